# SPDX-License-Identifier: Apache-2.0
"""Early exit: samples stop where their class is known, and it is that of the whole run."""

import json
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import densities, random_inputs, random_network, seeds

from spikerun import LIF, Network, Population, Projection, Session
from spikerun.cli import main
from spikerun.connections import Conv, Dense
from spikerun.errors import UnsupportedError, UsageError
from spikerun.file import save
from spikerun.inputs import events as events_of
from spikerun.neurons import IF, FewSpikes, Input, Readout
from spikerun.plan import early
from spikerun.reference import Stepper, stepped

CLASSES = 4
OUTPUTS: dict[str, Any] = {
    "readout": lambda rng: Readout(np.float32(0.5), rng.integers(-9, 9, CLASSES)),
    "scaled": lambda rng: Readout(rng.uniform(0.1, 2, CLASSES).astype(np.float32), rng.integers(-9, 9, CLASSES)),
    "scaled_count": lambda rng: IF(np.int32(9), scale=rng.uniform(0.5, 2, CLASSES).astype(np.float32)),
    "scaled_first": lambda rng: IF(np.int32(30), answer="first_spike", scale=rng.uniform(0.5, 2, 4).astype(np.float32)),
    "count": lambda rng: IF(np.int32(rng.integers(5, 40))),
    "first_spike": lambda rng: IF(np.int32(rng.integers(5, 90)), answer="first_spike"),
    "words": lambda rng: FewSpikes(3, np.int32(rng.integers(5, 40))),
}


def network(seed: int, output: str, code: str, lag: int = 0) -> Network:
    """Return an input, IF neurons, and an output of four classes."""
    rng = np.random.default_rng(seed)
    window = int(rng.integers(4, 14))
    words = {
        "bits": Input(3),
        "ttfs": Input(2, "ttfs"),
        "signed": Input(3, signed=True),
        "current": Input(3, "current"),
    }
    coded = code in ("bits", "ttfs", "signed")  # words, which neurons that integrate step by step do not take
    threshold = np.int32(rng.integers(5, 60))
    hidden: Any = FewSpikes(2, threshold, code="ttfs" if code == "ttfs" else "bits") if coded else IF(threshold)
    if coded:
        output = {"count": "readout", "first_spike": "words", "scaled_count": "scaled", "scaled_first": "scaled"}.get(
            output, output
        )
    populations = {
        "in": Population((6,), words.get(code, Input(1, "spikes"))),
        "h": Population((9,), hidden),
        "out": Population((CLASSES,), OUTPUTS[output](rng)),
    }
    sizes = [p.shape[0] for p in populations.values()]
    projections = [
        Projection(a, b, Dense(rng.integers(-20, 21, shape).astype(np.int8)))
        for (a, b), shape in zip(pairwise(populations), pairwise(sizes), strict=True)
    ]
    direct = Dense(rng.integers(-9, 10, (6, 2)).astype(np.int8))
    delay = window if coded else lag
    projections.append(Projection("in", "out", direct, delay, (1, 3), exponent=int(rng.integers(3))))
    return Network(populations, projections, ["out"], window)


def steps_of(session: Session, x: Any) -> list[int]:
    """Return the steps that samples took."""
    steps = session.run(x).steps
    assert steps is not None
    found: list[int] = steps.tolist()
    return found


def check(net: Network, seed: int, density: float, threads: int = 1) -> Any:
    """Compare classes, results and steps with the reference; return the result."""
    x = random_inputs(net, seed, 5, density)
    whole = Session(net, schedule="stepped", kernels="event", threads=threads).run(x)
    result: Any = Session(net, schedule="stepped", kernels="event", threads=threads, early_exit="exact").run(x)
    np.testing.assert_array_equal(result.classes, whole.classes)
    assert whole.steps is None and result.steps.dtype == np.int32 and result.steps.shape == (5,)
    (name,), w = net.outputs, net.window
    own = net.latency[name] * w
    assert (own < result.steps).all() and (result.steps <= own + w).all()
    for k in range(5):
        turn = stepped(net, {n: v[k] for n, v in x.items()})[name]
        full = turn.answer
        assert net.populations[name].real(full).ravel().argmax() == result.classes[k]
        expected = after(net, {n: v[k] for n, v in x.items()}, int(result.steps[k]))
        np.testing.assert_array_equal(result.outputs[name][k], expected)
    assert set(result.outputs) == {name}
    return result


def after(net: Network, x: dict[str, Any], steps: int) -> Any:
    """Return what a run would report of the output after so many steps."""
    stepper, (name,), w = Stepper(net), net.outputs, net.window
    given_ = {n: events_of(net, n, values, batch=False) for n, values in x.items()}
    own, sent = net.latency[name] * w, np.zeros(net.populations[name].shape, np.int64)
    for t in range(steps):
        events = stepper.step({n: g[t] for n, g in given_.items()} if t < w else {})
        if own <= t:
            sent = sent + net.significance(name)[t - own] * events[name]
    key = net.populations[name].neuron.reported
    return stepper.state[name][key] if key else sent


def leading_to_one(net: Network) -> Network:
    """Return the part of a network that leads to its first output that has a class."""
    found = [name for name in net.outputs if sum(n > 1 for n in net.populations[name].shape) == 1]
    assume(found)
    kept = set(found[:1])
    while more := {p.source for p in net.projections if p.target in kept} - kept:
        kept |= more
    populations = {n: p for n, p in net.populations.items() if n in kept}
    projections = [p for p in net.projections if p.target in kept]
    return Network(populations, projections, found[:1], net.window)


codes = st.sampled_from(["bits", "ttfs", "signed", "current", "spikes"])


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(list(OUTPUTS)), codes, densities, st.integers(0, 5))
def test_the_class_is_that_of_the_whole_run(seed: int, output: str, code: str, density: float, lag: int) -> None:
    check(network(seed, output, code, lag), seed, density)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(["words", "spikes", "mixed"]), densities)
def test_so_it_is_in_any_network_of_one_class(seed: int, kind: str, density: float) -> None:
    net = leading_to_one(random_network(seed, kind))
    try:
        Session(net, schedule="stepped", kernels="event", early_exit="exact")
    except UnsupportedError:
        assume(False)
    check(net, seed, density)


@pytest.mark.parametrize("wide", [False, True])
def test_bounds_of_many_inputs_or_classes_are_wider_and_hold(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    for limit in (early.MAX_INPUTS, 1):
        monkeypatch.setattr(early, "MAX_INPUTS" if wide else "MAX_CLASSES", limit)
        steps.append(sum(check(network(seed, "readout", "spikes"), seed, 0.3).steps.sum() for seed in range(12)))
    assert steps[0] < steps[1]


def test_a_convolution_into_a_readout_is_bounded_too() -> None:
    rng = np.random.default_rng(2)
    populations = {
        "in": Population((2, 3, 3), Input(1, "spikes")),
        "out": Population((CLASSES, 1, 1), Readout()),
    }
    conv = Conv(rng.integers(-9, 10, (CLASSES, 2, 3, 3)).astype(np.int8))
    net = Network(populations, [Projection("in", "out", conv)], ["out"], 12)
    for seed in range(8):
        check(net, seed, 0.1)


def silent_after(steps: int, output: Any, weight: int = 1) -> tuple[Network, Any]:
    """Return two classes, the first of which gets a spike in each of so many steps of ten, and the samples."""
    populations = {"in": Population((2,), Input(1, "spikes")), "out": Population((2,), output)}
    dense = Dense((weight * np.eye(2)).astype(np.int8))
    x = np.zeros((1, 10, 2), np.uint8)
    x[:, :steps, 0] = 1
    return Network(populations, [Projection("in", "out", dense)], ["out"], 10), x


@pytest.mark.parametrize(
    ("output", "steps"),
    [
        (IF(np.int32(1)), 5),  # 5 spikes: 5 steps are left, and of equals the first is the class
        (Readout(), 5),
        (IF(np.int32(1), answer="first_spike"), 1),  # nobody can come before the first
    ],
)
def test_a_sample_stops_as_soon_as_nobody_can_catch_up(output: Any, steps: int) -> None:
    net, x = silent_after(10, output)
    result: Any = Session(net, threads=1, early_exit="exact").run(x)
    assert result.steps.tolist() == [steps] and result.classes.tolist() == [0]
    mirrored: Any = Session(net, threads=1, early_exit="exact").run(x[..., ::-1].copy())
    later = steps if steps == 1 else steps + 1  # the one before it would win where it draws level
    assert mirrored.steps.tolist() == [later] and mirrored.classes.tolist() == [1]


def test_an_exponent_makes_what_may_come_as_much_larger() -> None:
    net, x = silent_after(10, Readout())
    link = net.projections[0]
    larger = Projection(link.source, link.target, link.connection, exponent=3)
    assert steps_of(Session(Network(net.populations, [larger], ["out"], 10), threads=1, early_exit="exact"), x) == [5]


def test_an_output_of_a_larger_scale_gains_more() -> None:
    net, x = silent_after(10, Readout(np.array([1, 4], np.float32)))
    assert steps_of(Session(net, threads=1, early_exit="exact"), x) == [9]  # 8 ahead, 8 may come: a draw in float32


@pytest.mark.parametrize(("lead", "steps", "chosen"), [(6, 4, 1), (7, 1, 0)])
def test_what_the_leader_may_lose_counts(lead: int, steps: int, chosen: int) -> None:
    """The other gains 3 at most, and the leader loses 4: in the last of four steps both do."""
    populations = {
        "in": Population((2,), Input(3, "graded", signed=True)),
        "out": Population((2,), Readout(np.float32(1.0), np.array([lead, 0], np.int32))),
    }
    net = Network(populations, [Projection("in", "out", Dense(np.eye(2, dtype=np.int8)))], ["out"], 4)
    session = Session(net, threads=1, schedule="stepped", early_exit="exact")
    x = np.array([[-4, 3]], np.int8)
    assert steps_of(session, x) == [steps] and session.run(x).classes.tolist() == [chosen]


def test_a_margin_stops_where_the_largest_leads_by_so_much() -> None:
    net, x = silent_after(3, IF(np.int32(1)))
    for margin, steps in ((1, 1), (2, 2), (3, 3), (4, 10)):
        for samples in (x, x[..., ::-1].copy()):
            assert steps_of(Session(net, threads=1, early_exit=margin), samples) == [steps]


def test_a_margin_may_change_the_class_and_exact_never_does() -> None:
    net, x = silent_after(3, Readout())
    x[0, 3:, 1] = 1  # overtakes, seven to three
    assert Session(net, threads=1, early_exit=2).run(x).classes.tolist() == [0]
    assert Session(net, threads=1, early_exit="exact").run(x).classes.tolist() == [1]


def test_every_sample_of_a_batch_stops_by_itself_on_any_number_of_threads() -> None:
    net, x = silent_after(10, IF(np.int32(1)))
    samples = np.concatenate([x, 0 * x, x[..., ::-1]])
    for threads in (1, 3):
        session = Session(net, threads=threads, early_exit="exact")
        assert steps_of(session, samples) == [5, 10, 6]
        assert steps_of(session, samples[1:2]) == [10]


def test_what_is_not_done_is_not_counted() -> None:
    net, x = silent_after(10, IF(np.int32(1)))
    whole, early_ = (Session(net, threads=1, early_exit=e).run(x).activity for e in (None, "exact"))
    assert whole.populations["in"].spikes == 10 and early_.populations["in"].spikes == 5


def refused(output: Any, match: str, **options: Any) -> None:
    net, _ = silent_after(1, output)
    with pytest.raises(UnsupportedError, match=match):
        Session(net, **{"early_exit": "exact", **options})


def test_what_nothing_bounds_is_refused_by_name_and_a_margin_takes_it() -> None:
    for answer in ("last", "max", "mean"):
        refused(LIF(np.int32(9), np.int32(1), answer=answer), f"the answer '{answer}' of population 'out'")
        net, x = silent_after(10, LIF(np.int32(9), np.int32(1), answer=answer))
        assert steps_of(Session(net, threads=1, early_exit=10**6), x) == [10]


def test_an_output_without_one_class_is_refused() -> None:
    net, _ = silent_after(1, Readout())
    one = Network({"in": net.populations["in"]}, [], ["in"], 10)
    wide = Network({"in": Population((2, 3, 1), Input(1, "spikes"))}, [], ["in"], 10)
    both = Network(net.populations, net.projections, ["in", "out"], 10)
    single = Network({"in": Population((1,), Input(1, "spikes"))}, [], ["in"], 10)
    assert Session(one, early_exit="exact").run(np.ones((1, 10, 2), np.uint8)).classes.tolist() == [0]
    for bad, match in ((both, "has the outputs in, out"), (wide, "a class for each place"), (single, "has one neuron")):
        with pytest.raises(UnsupportedError, match=match):
            Session(bad, early_exit="exact")


def test_the_blocked_schedule_has_nothing_to_stop_and_says_so() -> None:
    net = random_network(5, "words")
    for schedule in ("auto", "blocked"):
        with pytest.raises(UnsupportedError, match=r"at once.*leave early_exit out.*='stepped'$"):
            Session(net, schedule=schedule, early_exit="exact")


def test_a_lead_is_one_of_logits() -> None:
    for scale, steps in ((np.float32(0.5), 4), (np.array([0.5, 0.5001], np.float32), 4), (np.float32(4.0), 1)):
        net, x = silent_after(10, IF(np.int32(1), scale=scale))
        assert steps_of(Session(net, threads=1, early_exit=1.75), x) == [steps]


@pytest.mark.parametrize("lead", [np.float32(1.5), np.float64(1.5), np.int64(2), Fraction(3, 2)])
def test_numbers_of_other_types_are_leads(lead: Any) -> None:
    net, x = silent_after(10, IF(np.int32(1)))
    assert steps_of(Session(net, threads=1, early_exit=lead), x) == [2]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("lead", [1e308, 10**300])
@pytest.mark.parametrize("scale", [np.float32(1e-30), np.array([1e-30, 1e-29], np.float32)])
def test_a_lead_that_no_logit_reaches_stops_nothing(lead: float, scale: Any) -> None:
    net, x = silent_after(10, IF(np.int32(1), scale=scale))
    assert steps_of(Session(net, threads=1, early_exit=lead), x) == [10]


HUGE = pytest.param(10**5000, id="10**5000")  # which Python does not print


@pytest.mark.parametrize(
    "value", ["exactly", 0, -1, True, 1j, "2", float("nan"), float("inf"), 10**400, HUGE, np.ones(2)]
)
def test_a_choice_that_is_none_is_refused_whatever_the_schedule(value: Any) -> None:
    for net in (silent_after(1, Readout())[0], random_network(5, "words")):
        with pytest.raises(UsageError, match="early_exit is 'exact', or by how much the largest logit"):
            Session(net, early_exit=value)


def test_the_command_says_how_many_steps_were_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net, x = silent_after(10, IF(np.int32(1)))
    file = str(save(net, tmp_path / "net.snn"))
    np.savez(tmp_path / "x.npz", samples=np.concatenate([x, x[..., ::-1]]), labels=np.array([0, 1]))
    data = ["run", file, "--data", str(tmp_path / "x.npz")]
    assert main([*data, "--early-exit", "exact", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["steps_per_sample"], found["steps"], found["accuracy"]) == (5.5, 10, 100)
    assert main([*data, "--early-exit", "2", "--quiet"]) == 0
    assert "2.0 of 10 a sample" in capsys.readouterr().out
    assert main([*data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps_per_sample"] is None
    assert main([*data, "--early-exit", "soon"]) == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["exact"], "--early-exit stops between steps, .* give --schedule stepped"),
        (["2", "--schedule", "blocked"], "--early-exit stops between steps, .* give --schedule stepped"),
        *(
            (["=" + value], f"--early-exit takes 'exact', .* above 0, got '{value}'")
            for value in ("-1", "0", "nan", "so")
        ),
    ],
)
def test_the_command_refuses_in_its_own_words(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = random_network(5, "words")
    file = str(save(net, tmp_path / "net.snn"))
    x: Any = random_inputs(net, 5, 3, 0.3)
    np.savez(tmp_path / "x.npz", **(x if isinstance(x, dict) else {"samples": x}))
    first, *rest = more
    option = ["--early-exit" + first] if first.startswith("=") else ["--early-exit", first]
    assert main(["run", file, "--data", str(tmp_path / "x.npz"), *option, *rest]) == 2
    assert re.search(said, " ".join(capsys.readouterr().err.split()))


def test_a_stream_goes_on_after_the_class_is_known() -> None:
    net, _ = silent_after(10, IF(np.int32(1)))
    sent = []
    for exit_ in (None, "exact"):
        stream = Session(net, threads=1, early_exit=exit_).stream()
        sent.append([one.step for _ in range(10) for one in stream.step(np.array([1, 0], np.uint8))])
    assert sent[0] == sent[1] == list(range(10))
