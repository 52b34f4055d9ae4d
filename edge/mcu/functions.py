# SPDX-License-Identifier: Apache-2.0
"""The functions of a model that run its programs: a frame at once, step by step, and its state to bytes and back."""

from collections.abc import Iterator

from spikerun.edge.mcu.body import Body
from spikerun.edge.mcu.kept import table

__all__ = ["run_functions", "step_functions"]

ARGUMENT, INPUT, STATE = (f"    return SPIKERUN_ERROR_{what};" for what in ("ARGUMENT", "INPUT", "STATE"))


def _function(head: str, lines: list[str]) -> str:
    body = "\n".join(f"    {line}" if line else "" for line in lines)
    return f"{head} {{\n{body}\n}}"


def _refused(condition: str, what: str) -> list[str]:
    return [f"if ({condition}) {{", what, "}"]


def _null(*pointers: str) -> list[str]:
    return _refused(" || ".join(f"{p} == NULL" for p in pointers), ARGUMENT)


def _unready(body: Body) -> list[str]:
    """Return what refuses a state that was never reset, or is that of another network."""
    return _refused(f"state->network != {body.model.name.upper()}_NETWORK", STATE)


def _out_of_range(body: Body) -> Iterator[str]:
    """Yield what refuses values outside the range of an input, where its bytes may hold some."""
    for label, port in body.ports.items():
        word = body.model.net.sender_of(label)
        assert word is not None
        low, high = word.event_range if body.printed.program.endless else word.range
        bits, signed = (high - low).bit_length(), int(low < 0)
        if bits < 8 * port.width:
            checks = "check_words_wide" if port.width == 2 else "check_words"
            check = body.helper(checks, f"{body.given} + {port.offset}", port.count, bits, signed)
            yield from _refused(f"{check} != SPIKERUN_OK", INPUT)


def run_functions(body: Body) -> str:
    """Return the functions that take a frame."""
    name = body.model.name
    calls = [*body.take(windowed=True), *body.calls()]
    if not body.printed.at_once:
        calls += body.tick()
        loop = f"for (int32_t t = 0; t < {body.printed.program.steps}; t++) {{"
        begin = ["state->network = 0u; /* its clock is that of a frame: steps need a reset */", *body.begin()]
        calls = [*begin, *body.take(windowed=False), loop, *(f"    {line}" for line in calls), "}"]
    else:
        calls = [*body.take(windowed=False), *calls]
    calls += [*body.read(), "return SPIKERUN_OK;"]
    lines = [*_null("state", "frame", "out"), *_out_of_range(body), *body.variables(), *calls]
    traced = _function(
        f"spikerun_status {name}_trace({name}_state* state, const uint8_t* frame, int32_t* out,\n"
        f"                            const spikerun_observer* observer)",
        lines,
    )
    return f"""{traced}

spikerun_status {name}_run({name}_state* state, const uint8_t* frame, int32_t* out) {{
    return {name}_trace(state, frame, out, NULL);
}}"""


def step_functions(body: Body) -> list[str]:
    """Return the functions that go on step by step, and those that save and load the state between two steps."""
    name, given = body.model.name, "events, " if body.printed.in_place else ""
    calls = [*body.calls(), *body.tick(), *body.read()]
    head = f"static void {name}_pass({name}_state* state, {given and 'const uint8_t* events, '}int32_t* out,\n"
    passed = _function(f"{head}    const spikerun_observer* observer)", [*body.variables(), *calls])
    take = list(body.take(windowed=False))
    lines = [*_null("state", "events", "out"), *_unready(body), *_out_of_range(body), *body.variables(), *take]
    traced = _function(
        f"spikerun_status {name}_trace_step({name}_state* state, const uint8_t* events, int32_t* out,\n"
        f"                                 const spikerun_observer* observer)",
        [*lines, f"{name}_pass(state, {given}out, observer);", "return SPIKERUN_OK;"],
    )
    step = f"""spikerun_status {name}_step({name}_state* state, const uint8_t* events, int32_t* out) {{
    return {name}_trace_step(state, events, out, NULL);
}}"""
    listed = [_step_events(body)] if body.model.binary else []
    return [_reset(body), passed, traced, step, *listed, *_snapshots(body)]


def _reset(body: Body) -> str:
    name = body.model.name
    begin = [*body.begin(), "state->steps[0] = 0u;", "state->steps[1] = 0u;"]
    begin += [f"state->network = {name.upper()}_NETWORK;", "return SPIKERUN_OK;"]
    return _function(f"spikerun_status {name}_reset({name}_state* state)", [*_null("state"), *body.variables(), *begin])


def _step_events(body: Body) -> str:
    """Return the function that takes a list of events."""
    name, upper = body.model.name, body.model.name.upper()
    wide = "_wide" if body.model.event_type == "uint32_t" else ""
    check = body.helper(f"check_events{wide}", "events", "count", f"{upper}_STEP_BYTES")
    place = list(body.place_events(f"place_events{wide}"))
    null = _refused("state == NULL || (events == NULL && count != 0u) || out == NULL", ARGUMENT)
    return _function(
        f"spikerun_status {name}_step_events({name}_state* state, const {name}_event* events, uint32_t count,\n"
        f"                                  int32_t* out)",
        [
            *(*null, *_unready(body), *_refused(f"{check} != SPIKERUN_OK", INPUT), *body.variables(), *place),
            *(f"{name}_pass(state, out, NULL);", "return SPIKERUN_OK;"),
        ],
    )


def _snapshots(body: Body) -> Iterator[str]:
    name = body.model.name
    symbol = f"&{body.constants.table(table(body.model), '')}"
    save = body.helper("save_state", symbol, "state->memory", "state->steps", "bytes")
    yield _function(
        f"spikerun_status {name}_save(const {name}_state* state, uint8_t* bytes)",
        [*_null("state", "bytes"), *_unready(body), f"{save};", "return SPIKERUN_OK;"],
    )
    check = body.helper("check_snapshot", symbol, "bytes", "size")
    lines = [*_null("state", "bytes"), f"status = {check};", *_refused("status != SPIKERUN_OK", "    return status;")]
    load = [f"{body.helper('load_state', symbol, 'bytes', 'state->memory', 'state->steps')};", *body.wind()]
    yield _function(
        f"spikerun_status {name}_load({name}_state* state, const uint8_t* bytes, size_t size)",
        ["spikerun_status status;", *lines, f"{name}_reset(state);", *load, "return SPIKERUN_OK;"],
    )
