# SPDX-License-Identifier: Apache-2.0
"""The kernel of recurrent networks, on the host, against NumPy: spikes, state and counters, bit for bit."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gpu.circuits import Builder, Interpreter, rule
from gpu.on_host import machine

from spikerun.errors import DataError, UnsupportedError
from spikerun.kernels.executor import Capture
from spikerun.kernels.gpu import ongoing
from spikerun.kernels.gpu.machine import gpu
from spikerun.kernels.gpu.recurrent import Recurrent, takes
from spikerun.kernels.program import Program

RATES = [2**32 * k // 4 - 1 for k in (2, 3)]  # 0 to 2 events
WHERE: list[str] = []
KEPT = ("i", "u", "v", "wait", "pending", "ring", "past")


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)], autouse=True)
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let kernels run on the host, and once more on a GPU."""
    if request.param == "gpu" and not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    WHERE.append(request.param)
    yield request.param
    WHERE.pop()


def compiled(program: Program, **fewer: int) -> Recurrent:
    """Return an executor of a program that must be one for it; fewer: processors, or bytes that they share."""
    assert takes(program) is None
    where = gpu(torch.device("cuda", 0)) if WHERE == ["gpu"] else machine(3, 2**16)
    return Recurrent(program, replace(where, **fewer))


def same(program: Program, *parts: int, **how: int) -> int:
    """Compare passes, some at a time; return how many spikes there were."""
    names = [name for name, _ in program.outputs]
    work, wanted = compiled(program, **how).workspace(names), Interpreter(program)
    return sum(compare(work, wanted, passes) for passes in parts)


def compare(work: Any, wanted: Interpreter, passes: int) -> int:
    """Compare so many more passes; return how many spikes there were."""
    program, begin, total = wanted.program, wanted.t, 0
    sent = work.step(passes)
    expected = [wanted.step() for _ in range(passes)]
    for (name, _), spikes in zip(program.outputs, sent.watched, strict=True):
        told = [(begin + k, n) for k, one in enumerate(expected) for n in one[name].tolist()]
        assert list(zip(spikes["step"].tolist(), spikes["index"].tolist(), strict=True)) == told
        total += len(spikes)
    for register in program.registers:
        if ":" not in register.name or register.name.rpartition(":")[2] in KEPT:
            np.testing.assert_array_equal(work.read(register.name), wanted.state[register.name], register.name)
    np.testing.assert_array_equal(work.counters, wanted.counts)
    return total


def one(size: int, synapses: int, least: int = 1, **different: Any) -> Builder:
    """Return a population that a Poisson source drives, and that reaches itself; least: the smallest delay."""
    b = Builder()
    b.poisson("p", size, RATES, 5)
    b.population("e", size, initial=np.arange(size) * 5, **different)
    b.apply("p", "e", "diagonal", 7, {"gain": np.array(90, np.int32)})
    b.scatter("e", "e", "random", 0, rule(size, size, synapses, 6, [-40, 20, 25, 127], [least, 6, 9, 62]))
    return b


def several() -> Builder:
    """Return populations of every kind, with every kind of map between them."""
    rng, b = np.random.default_rng(3), Builder()
    b.poisson("p", 37, RATES, 5)
    b.poisson("q", 5, np.sort(rng.integers(0, 2**32, (5, 9), np.uint32)), 2**40 + 7)
    per_neuron = {"threshold": rng.integers(500, 900, 37), "keep_v": rng.integers(60000, 65537, 37)}
    b.population("a", 37, **per_neuron, bias=rng.integers(0, 99, 37), fraction_bits=0)
    b.population("b", 31, reset="subtract", limits="chip", threshold=700, bias=40, inclusive=False, v_min=-50)
    b.population("c", 11, reset="subtract_after_leak", threshold=300, bias=33, refractory=0, reset_interval=9,
                 reset_offset=4)  # fmt: skip
    b.population("d", 4, reset="none", threshold=2000, bias=10, keep_u=0, v_min=-5)
    b.population("f", 13, "if", bias=rng.integers(0, 40, 13))
    b.population("g", 5, "if", reset="zero", threshold=90, bias=-2, v_min=-60)
    b.apply("p", "a", "diagonal", 3, {"gain": np.array(30, np.int32)})
    weight = rng.integers(-9, 30, (5, 31)).astype(np.int8)
    b.apply("q", "b", "dense", 1, {"weight": weight, "delays": np.ones((5, 31), np.uint8)})
    b.apply("b", "g", "random", 4, rule(31, 5, 60, 8, [-9, 30], [3, 3]))
    b.apply("a", "a", "diagonal", 5, {"gain": np.array(-300, np.int32)})
    b.apply("f", "f", "diagonal", 1, {"gain": np.array(1, np.int32)})
    for source, target in ("ab", "bc", "cd", "fa", "ag", "gf"):
        m, n = (b.registers[name].shape[0] for name in (source, target))
        weight = (rng.integers(-40, 90, (m, n)) * (rng.random((m, n)) < 0.3)).astype(np.int8)
        late = rng.integers(0, 9, (m, n)).astype(np.uint8)
        b.scatter(source, target, "dense", 1, {"weight": weight, "delays": late})
        row, column = np.nonzero(weight)
        begins = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=m))])
        listed = {"indptr": begins, "indices": column.astype(np.int32), "data": weight[row, column]}
        b.apply(source, target, "sparse", 12, listed | {"size": n, "delays": np.full(len(row), 12, np.uint8)})
    return b


@pytest.mark.parametrize(("size", "least"), [(1, 1), (33, 2), (211, 5)])
def test_odd_sizes_and_rounds_of_several_passes(size: int, least: int) -> None:
    executor = compiled(one(size, 40 * size, least).program())
    assert executor.size.round == min(least, 4)
    assert same(one(size, 40 * size, least).program(), 1, 40, 39) > 0


def test_every_kind_of_neuron_and_map() -> None:
    assert same(several().program(), 30, 25) > 100


def test_all_neurons_spike_at_once_and_logs_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ongoing, "LOG", 1)  # room for two rounds
    assert same(one(97, 900, 2, threshold=0, refractory=0, bias=10**6).program(), 7, 4) == 11 * 97


def test_nothing_ever_happens() -> None:
    b = Builder()
    b.population("e", 40)
    b.scatter("e", "e", "random", 0, rule(40, 40, 300, 6, [9], [1, 2]))
    assert same(b.program(), 20) == 0


def test_there_are_no_synapses() -> None:
    b = Builder()
    b.population("e", 40, bias=500)
    assert same(b.program(), 20) > 0


def test_a_thread_has_several_neurons_and_rings_lie_in_memory_of_all() -> None:
    assert same(one(1100, 3000).program(), 12, processors=1, shared=1000) > 0


def noisy() -> Builder:
    """Return a population that takes nothing but what a Poisson source sent to it some passes ago, by a matrix."""
    b = Builder()
    b.poisson("p", 5, RATES, 5)
    b.population("e", 5)
    b.apply("p", "e", "dense", 4, {"weight": np.eye(5, dtype=np.int8) * 90})
    return b


@pytest.mark.parametrize("built", [several, noisy])
def test_a_state_that_is_read_goes_on_in_another_workspace(built: Callable[[], Builder]) -> None:
    program = built().program()
    first, wanted = compiled(program), Interpreter(program)
    names = [name for name, _ in program.outputs]
    compare(first.workspace(names), wanted, 27)
    work = first.workspace(names)
    for register in program.registers:
        if ":" not in register.name or register.name.rpartition(":")[2] in KEPT:
            work.write(register.name, wanted.state[register.name])
    work.t, wanted.counts[:] = 27, 0
    compare(work, wanted, 30)


def test_past_events_that_a_source_did_not_send_are_refused() -> None:
    work = compiled(one(33, 40).program()).workspace()
    past = next(r for r in work._described if r.endswith(":past"))
    work.write(past, np.full(work._described[past].shape, 2))
    work.t = 20
    with pytest.raises(DataError, match="'p' did not send at step"):
        work.step(1)


def test_a_register_is_captured_at_its_passes() -> None:
    program = one(33, 40).program()
    work, wanted = compiled(program).workspace([], [Capture("e:v", 5, 3)]), Interpreter(program)
    times, values = work.step(17).captured[0]
    expected = [wanted.step() and wanted.state["e:v"].copy() for _ in range(17)]
    assert times.tolist() == [4, 9, 14]
    np.testing.assert_array_equal(values, [expected[t] for t in times])


def test_reset_returns_to_rest() -> None:
    program = one(33, 400).program()
    work = compiled(program).workspace(["e"])
    work.step(30)
    work.reset()
    assert compare(work, Interpreter(program), 30) > 0


def _undelayed(b: Builder) -> None:
    b.scatter("e", "e", "dense", 0, {"weight": np.ones((9, 9), np.int8), "delays": np.eye(9, dtype=np.uint8)})


def _conv(b: Builder) -> None:
    b.apply("e", "e", "conv", 2, {})


def _both(b: Builder) -> None:
    b.scatter("p", "e", "random", 2, rule(9, 9, 9, 1, [1], [0]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_undelayed, "spikes of 'e' arrive in the pass in which they are sent"),
        (_conv, "kind 'conv' are not listed"),
        (_both, "reaches neurons at its own place, and others"),
    ],
)
def test_what_is_no_circuit_is_told(change: Any, reason: str) -> None:
    b = one(9, 20)
    change(b)
    assert reason in (takes(b.program()) or "")


def test_a_gain_that_is_too_large_is_refused() -> None:
    b = one(9, 20)
    b.apply("e", "e", "diagonal", 2, {"gain": np.array(10**6, np.int32)})
    with pytest.raises(UnsupportedError, match="a gain of"):
        compiled(b.program()).workspace()
