# SPDX-License-Identifier: Apache-2.0
"""The plan: a network lowered to a program that can be printed, pickled and compared, and where its registers lie."""

import pickle
import time
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network, seeds

from spikerun.connections import KINDS as CONNECTIONS
from spikerun.connections import Dense, Window
from spikerun.errors import UnsupportedError
from spikerun.kernels.liveness import lifetimes, place
from spikerun.kernels.operations import OPERATIONS, Apply, Clear, Count, Fill, Fire, When
from spikerun.kernels.program import Program, Register
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, KINDS, FewSpikes, Input, MaxPool, Neuron, Readout
from spikerun.plan import SCHEDULES, Schedule, blockable, describe, lower
from spikerun.plan.blocked import _LOWER as BLOCKED
from spikerun.plan.stepped import _BY_NAME
from spikerun.plan.stepped import _LOWER as STEPPED
from spikerun.reference import blocked

kinds = st.sampled_from(["words", "spikes", "mixed", "drawn"])


def programs(net: Network) -> list[Program]:
    return [lower(net, schedule) for schedule in _schedules(net)]


def _schedules(net: Network) -> list[Schedule]:
    return ["blocked", "frame", "stream"] if blockable(net) else ["frame", "stream"]


def chain() -> Network:
    ones = Dense(np.ones((4, 4), np.int8))
    neurons = {"in": Input(4), "h": FewSpikes(4, np.int32(3)), "out": Readout()}
    populations = {name: Population((4,), neuron) for name, neuron in neurons.items()}
    return Network(populations, [Projection("in", "h", ones), Projection("h", "out", ones)], ["out"], 4)


def test_a_blocked_program_is_what_one_would_write_by_hand() -> None:
    names = [
        f"{operation.name} {next(operation.operands()).register}" for operation in lower(chain(), "blocked").operations
    ]
    assert names == ["count in", "fill h:v", "apply in", "fire h:v", "count h", "fill out:v", "apply h"]


@settings(max_examples=40)
@given(seeds, kinds)
def test_a_program_survives_pickling_and_equals_itself(seed: int, kind: str) -> None:
    net = random_network(seed, kind)
    for program in programs(net):
        assert pickle.loads(pickle.dumps(program)) == program
        assert programs(pickle.loads(pickle.dumps(net)))[0] == programs(net)[0]


def test_programs_of_other_weights_differ() -> None:
    net = chain()
    other = Network(
        net.populations, [*net.projections[:1], Projection("h", "out", Dense(np.eye(4, dtype=np.int8)))], ["out"], 4
    )
    assert lower(net, "blocked") != lower(other, "blocked")


def test_a_network_is_described_by_what_is_done() -> None:
    text = describe(chain())
    assert text.startswith("a run, schedule 'blocked': all windows of a sample at once\n")
    assert "h:v: int32 4, membranes" in text
    assert "fire(v=h:v, word=h, threshold=3, bits=4, signed=False, max_spikes=4)" in text
    assert "apply(x=in, acc=h:v, map=dense 4 -> 4)" in text


def test_a_pool_of_spikes_is_the_or_of_each_window_and_keeps_no_state() -> None:
    populations = {"in": Population((1, 4, 4), Input(1, "spikes")), "p": Population((1, 2, 2), MaxPool())}
    net = Network(populations, [Projection("in", "p", Window(2, 2))], ["p"], 2)
    events = np.random.default_rng(0).integers(0, 2, (2, 1, 4, 4)) * np.random.default_rng(1).integers(0, 2, (1, 4, 4))
    either = events.reshape(2, 1, 2, 2, 2, 2).any(axis=(3, 5))
    np.testing.assert_array_equal(blocked(net, {"in": events})["p"].events, either)
    assert [r.name for r in lower(net, "stream").registers] == ["in", "p"]


def test_parameters_stay_per_channel() -> None:
    populations = {
        "in": Population((2, 3, 3), Input(4)),
        "h": Population((2, 3, 3), FewSpikes(4, np.array([3, 5], np.int32), np.int32(1))),
    }
    net = Network(populations, [Projection("in", "h", CONNECTIONS["diagonal"](np.int32(1)))], ["h"], 4)  # type: ignore[call-arg]
    values = {name: array.shape for op in lower(net, "blocked").operations for name, array in op.values()}
    assert values == {"fan_out": (), "value": (), "threshold": (2,)}


def test_every_kind_of_neuron_is_lowered_by_one_row() -> None:
    for kind, neuron in KINDS.items():
        by_steps = neuron.integrates == "step"
        alone = neuron.spontaneous  # step by step, with no currents
        assert (kind in BLOCKED) == (not by_steps and not alone) and (kind in STEPPED) != by_steps, kind
        assert (neuron.instruction in _BY_NAME) == by_steps, kind


def test_times_of_operations() -> None:
    when = When(4, 8, 16, 1, 2)
    assert [t for t in range(20) if when.includes(t)] == [9, 10, 13, 14]
    assert When().always and not when.always
    assert When(4).covers(when) and when.covers(When(4, 8, 12, 1, 1)) and not when.covers(When())
    with pytest.raises(ValueError, match="no such time"):
        When(4, first=3, last=2)


def test_currents_that_stay_the_same_are_summed_once_a_window() -> None:
    leak = {"a": Population((3,), IF(np.int32(9))), "b": Population((3,), IF(np.int32(9)))}
    net = Network(
        {"in": Population((4,), Input(8, "current")), **leak},
        [
            Projection("in", "a", Dense(np.ones((4, 3), np.int8))),
            Projection("a", "b", Dense(np.ones((3, 3), np.int8))),
        ],
        ["b"],
        10,
    )
    sums = {o.acc: o.when for o in lower(net, "frame").operations if isinstance(o, Apply)}
    assert sums == {"a:i": When(10, first=0, last=0), "b:i": When(begin=net.turn("b") * 10)}
    sums = {o.acc: o.when for o in lower(net, "stream").operations if isinstance(o, Apply)}
    assert sums["a:i"].always  # there, another sample may come at any step


def test_a_program_with_unknown_or_double_names_is_refused() -> None:
    register = Register("v", "int32", (1,), "membranes")
    fill = Fill("w", np.array(0, np.int32))
    with pytest.raises(ValueError, match="no register has the name 'w'"):
        Program((register,), (fill,), 1, (), ())
    with pytest.raises(ValueError, match="two registers"):
        Program((register, register), (), 1, (), ())


def overlaps(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


@settings(max_examples=60)
@given(seeds, kinds, st.integers(1, 8), st.booleans())
def test_registers_that_live_at_the_same_time_do_not_touch(seed: int, kind: str, alignment: int, keep: bool) -> None:
    for program in programs(random_network(seed, kind)):
        kept = [register for _, _, register in program.traces] if keep else []
        spans = lifetimes(program, kept)
        places, total = place(program, spans, lambda r: r.size, alignment)
        sizes = {r.name: r.size for r in program.registers}
        names = list(places)
        for k, a in enumerate(names):
            assert places[a] % alignment == 0 and places[a] + sizes[a] <= total
            for b in names[:k]:
                apart = places[a] + sizes[a] <= places[b] or places[b] + sizes[b] <= places[a]
                assert apart or not overlaps(spans[a], spans[b]), (a, b)


def bytes_at(spans: dict[str, tuple[int, int]], operations: int) -> Program:
    registers = tuple(Register(name, "uint8", (1 + k % 5,), "words") for k, name in enumerate(spans))
    return Program(registers, (Clear("r0"),) * operations, 1, (), ())


@given(st.lists(st.tuples(st.integers(-1, 40), st.integers(-1, 40)), min_size=1, max_size=40), st.sampled_from([1, 4]))
def test_registers_of_any_lifetimes_do_not_touch(ends: list[tuple[int, int]], alignment: int) -> None:
    spans = {f"r{k}": (min(pair), max(pair)) for k, pair in enumerate(ends)}
    program = bytes_at(spans, 40)
    places, _ = place(program, spans, lambda r: r.size, alignment)
    for a, b in combinations(program.registers, 2):
        apart = places[a.name] + a.size <= places[b.name] or places[b.name] + b.size <= places[a.name]
        assert apart or not overlaps(spans[a.name], spans[b.name])


def test_thousands_of_registers_that_live_at_once_are_placed_in_seconds() -> None:
    spans = {f"r{k}": (k, 8000) for k in range(8000)}
    program = bytes_at(spans, 8000)
    begin = time.process_time()
    place(program, spans, lambda r: r.size, 64)
    assert time.process_time() - begin < 5


def test_what_is_looked_at_after_every_pass_lives_always_unless_every_pass_writes_it() -> None:
    registers = tuple(Register(name, "int32", (2,), "numbers") for name in ("seen", "unseen", "always"))
    late, zero = When(begin=3), np.array(0, np.int32)
    operations = (Fill("seen", zero, late), Fill("unseen", zero, late), Fill("always", zero))
    traces = (("p", "v", "seen"), ("p", "u", "always"))
    spans = lifetimes(Program(registers, operations, 1, (), (), traces, (), endless=True))
    assert spans == {"seen": (-1, 3), "unseen": (1, 1), "always": (2, 2)}


def test_words_of_a_long_chain_share_memory() -> None:
    ones = Dense(np.ones((64, 64), np.int8))
    neurons: dict[str, Any] = {
        "in": Input(4),
        **{f"h{k}": FewSpikes(4, np.int32(300)) for k in range(20)},
        "out": Readout(),
    }
    populations = {name: Population((64,), neuron) for name, neuron in neurons.items()}
    names = list(populations)
    projections = [Projection(a, b, ones) for a, b in pairwise(names)]
    program = lower(Network(populations, projections, ["out"], 4), "blocked")
    spans = lifetimes(program)
    _, words = place(program, spans, lambda r: r.size if r.dtype == "uint8" else 0)
    _, membranes = place(program, spans, lambda r: 4 * r.size if r.dtype == "int32" else 0)
    assert (words, membranes) == (64, 4 * 64)


def test_every_operation_says_which_registers_it_uses() -> None:
    for operation in OPERATIONS:
        assert operation.__doc__, operation
    used = list(Apply("x", "acc", lower(chain(), "blocked").operations[2].map).operands())  # type: ignore[attr-defined]
    assert [(o.field, o.role) for o in used] == [("x", "read"), ("acc", "update")]
    assert [o.role for o in Fire("v", "w", np.array(1, np.int32), 4, False, 4).operands()] == ["read", "write"]
    assert [o.role for o in Count("w", np.array(1, np.int32), "nonzero", 1, 0).operands()] == ["read"]


def test_there_are_three_schedules() -> None:
    assert set(SCHEDULES) == {"blocked", "frame", "stream"}
    assert not blockable(
        Network(
            {"in": Population((1,), Input(1, "spikes")), "h": Population((1,), IF(np.int32(1)))},
            [Projection("in", "h", Dense(np.ones((1, 1), np.int8)))],
            ["h"],
            4,
        )
    )


class Toy(IF):
    """A kind whose author has forgotten something."""

    kind = "toy"


class Windowed(FewSpikes):
    """A kind of windows that no schedule knows."""

    kind = "toy"


def alone(neuron: Neuron, given: Input) -> Network:
    ones = Dense(np.ones((4, 4), np.int8))
    populations = {"in": Population((4,), given), "h": Population((4,), neuron)}
    return Network(populations, [Projection("in", "h", ones)], ["h"], 4)


@pytest.mark.parametrize("instruction", ["", "toy_step"])
def test_a_kind_without_an_operation_says_where_it_is_missing(
    instruction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "instruction", instruction)
    said = rf"population 'h' \(toy\): there is no row '{instruction}' in OPERATIONS of kernels/operations.py"
    with pytest.raises(UnsupportedError, match=said):
        lower(alone(Toy(np.int32(1)), Input(1, "spikes")), "frame")


def test_an_operation_that_needs_what_the_kind_does_not_have_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "instruction", "lif_step")
    with pytest.raises(UnsupportedError, match=r"population 'h' \(toy\): there is no row 'u' in the state or"):
        lower(alone(Toy(np.int32(1)), Input(1, "spikes")), "frame")


@pytest.mark.parametrize(("schedule", "file"), [("blocked", "blocked"), ("frame", "stepped")])
def test_a_kind_that_a_schedule_does_not_know_says_which_file_lacks_it(schedule: Schedule, file: str) -> None:
    said = rf"population 'h' \(toy\): there is no row 'toy' in spikerun/plan/{file}\.py"
    with pytest.raises(UnsupportedError, match=said):
        lower(alone(Windowed(4, np.int32(3)), Input(4)), schedule)
