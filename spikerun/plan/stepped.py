# SPDX-License-Identifier: Apache-2.0
"""The stepped schedules: one pass of the program is one step of time for every population."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, get_args

import numpy as np

from spikerun.kernels.operations import (
    OPERATIONS,
    Accumulate,
    Apply,
    Arrive,
    Clear,
    Collect,
    Copy,
    Delay,
    Dtype,
    Encode,
    Fill,
    Fire,
    FireLevels,
    Latch,
    Map,
    MaxPool,
    MaxPoolStep,
    MaxPoolSums,
    Operation,
    Poisson,
    Send,
    Weigh,
    When,
)
from spikerun.kernels.program import Program, Register
from spikerun.network import Link, Network
from spikerun.neurons.answer import shift
from spikerun.plan.common import (
    STATE_HOLDS,
    ZERO,
    apply,
    count,
    counted,
    dtype_of,
    geometry,
    of,
    part_register,
    reported,
    row,
    words_register,
)
from spikerun.plan.early import STEPS, EarlyExit, decide, steps_register
from spikerun.plan.past import delayed, past, ring_steps
from spikerun.plan.ring import ring, scatter, slots
from spikerun.values import locked

__all__ = ["lower_frame", "lower_stream"]

_LOWEST = locked(np.array(-(2**31), np.int32))
_BY_NAME = {operation.name: operation for operation in OPERATIONS}


def lower_stream(net: Network) -> Program:
    """Return the program that goes on without end, for inputs that are given step by step."""
    counters = {name: slot for slot, name in enumerate(counted(net))}
    operations = [*_delays(net)]
    for name in net.order:
        operations += _lowered(net, name)
        if name in counters:
            operations.append(count(net, name, counters[name], "nonzero", 1))
        operations += _scattered(net, name)
    outputs = tuple((n, reported(net, n)) for n in net.outputs)
    return _program(net, [], operations, 1, {}, outputs, endless=True)


def lower_frame(net: Network, early_exit: EarlyExit = None) -> Program:
    """Return the program of one frame from rest: spikes count in the window in which they belong to it.

    Registers `NAME:result` hold what the outputs make of it. early_exit: a sample ends where its class is known
    (`spikerun.plan.early`); the output STEPS is how many passes it took.
    """
    w, counters, reported = net.window, {name: slot for slot, name in enumerate(counted(net))}, set(net.outputs)
    extra, operations, frames = [], [], {}
    senders = {name: net.sender_of(name) for name in net.inputs}
    constant = frozenset(name for name, word in senders.items() if word is not None and word.code == "current")
    for name, word in senders.items():
        assert word is not None
        if not word.stepwise:  # events are given step by step; integers are encoded here
            frames[name] = of(name, "frame")
            extra.append(Register(frames[name], dtype_of(net, name), net.populations[name].shape, "a frame"))
            operations += [
                Encode(frames[name], name, word.code, _numbers(net.significance(name)), When(w, 0, w)),
                Clear(name, When(begin=w, end=w + 1)),
            ]
    operations += _delays(net)
    for name in net.order:
        own = net.latency[name] * w
        operations += _lowered(net, name, constant)
        if name in counters:
            operations.append(count(net, name, counters[name], "nonzero", 1, When(begin=own, end=own + w)))
        operations += _scattered(net, name)
        if name in reported:
            extra.append(Register(of(name, "result"), "int32", net.populations[name].shape, "results"))
            operations.append(_result(net, name, own, early_exit is not None))
    outputs = tuple((name, of(name, "result")) for name in net.outputs)
    if early_exit is not None:
        extra.append(steps_register(net))
        operations.append(decide(net, early_exit))
        outputs += ((STEPS, extra[-1].name),)
    return _program(net, extra, operations, (max(net.latency.values()) + 1) * w, frames, outputs)


def _program(
    net: Network,
    extra: list[Register],
    operations: list[Operation],
    steps: int,
    frames: Mapping[str, str],
    outputs: tuple[tuple[str, str], ...],
    endless: bool = False,
) -> Program:
    used = {o.register for operation in operations for o in operation.operands()}
    registers = [*_registers(net), *extra]
    return Program(
        tuple(r for r in registers if ":" not in r.name or r.name in used),
        tuple(operations),
        steps,
        inputs=tuple((name, frames.get(name, name)) for name in net.inputs),
        outputs=outputs,
        traces=tuple(
            [(n, "word", n) for n in counted(net)]
            + [(n, key, of(n, key)) for n in net.populations for key in net.kept(n)]
        ),
        counters=counted(net),
        endless=endless,
    )


def _registers(net: Network) -> Iterator[Register]:
    """Yield all registers that populations and projections may need."""
    for name, p in net.populations.items():
        if p.neuron.fires:
            yield words_register(net, name)
            holds, largest = "words times significance", net.largest_event(name)
            yield Register(of(name, "weighed"), dtype_of(net, name), p.shape, holds, largest=largest)
        if p.neuron.integrates == "step":
            yield Register(of(name, "i"), "int32", p.shape, "currents")
            yield Register(of(name, "early"), "int32", p.shape, "steps that are left at a spike")
            yield Register(of(name, "constant"), "int32", p.shape, "currents that stay the same in a window")
        yield part_register(net, name)
        if ahead := net.under_way(name):
            yield Register(ring(name), "int32", (slots(net, name), *p.shape), f"currents of the next {ahead} steps")
        initial = p.neuron.initial(p.shape, net.taps(name))
        for key, dtype in net.kept(name).items():
            start = initial[key].astype(np.int32) if initial[key].any() else None
            yield Register(of(name, key), _dtype(dtype), initial[key].shape, STATE_HOLDS.get(key, key), start)
    for link in net.links:
        shape, dtype, largest = (
            net.populations[link.source].shape,
            dtype_of(net, link.source),
            net.largest_event(link.source),
        )
        yield Register(past(link), dtype, (ring_steps(net, link), *shape), "past events", largest=largest)
        yield Register(delayed(link), dtype, shape, "events that arrive now", largest=largest)
        if link.connection.alone:
            yield Register(of(link.target, "sums"), "int32", _sums_shape(net, link), "sums that are compared")


def _delays(net: Network) -> Iterator[Operation]:
    for link in net.links:
        if link.held and ring_steps(net, link):
            yield Delay(link.source, past(link), delayed(link), ring_steps(net, link))
        elif link.held:
            yield Copy(link.source, delayed(link))


def _scattered(net: Network, name: str) -> Iterator[Operation]:
    """Yield what sends the events of a population on their way, through synapses with delays of their own."""
    return (scatter(net, link) for link in net.out_of(name) if link.scattered)


def _at_once(net: Network, name: str) -> list[Link]:
    """Return the projections into a population whose events arrive at the same time."""
    return [link for link in net.into(name) if not link.scattered]


def _arrived(net: Network, name: str, acc: str) -> Iterator[Operation]:
    """Yield what adds the currents that were under way until this step."""
    if net.under_way(name):
        yield Arrive(ring(name), acc, slots(net, name))


def _lowered(net: Network, name: str, constant: frozenset[str] = frozenset()) -> Iterator[Operation]:
    """Return the operations of a population; constant: the inputs that send the same in each step of a window."""
    neuron = net.populations[name].neuron
    if neuron.integrates == "step":
        return _step_neuron(net, name, constant)
    return row(_LOWER, neuron.kind, net, name, "spikerun/plan/stepped.py")(net, name)


def _result(net: Network, name: str, own: int, at_each_step: bool) -> Operation:
    """Return what fills `NAME:result`: a state that is reported, which later windows overwrite, or the words sent."""
    end = own + net.window
    if net.populations[name].neuron.reported:
        return Copy(reported(net, name), of(name, "result"), When(begin=own if at_each_step else end - 1, end=end))
    g = _numbers(net.significance(name))
    return Accumulate(name, of(name, "result"), g, When(net.window, own, end))


def _integrate(net: Network, name: str, acc: str) -> Iterator[Operation]:
    """Yield the words of all projections into a population, each spike by its significance, added to register `acc`."""
    begin = net.turn(name) * net.window
    for link in _at_once(net, name):
        x = _arriving(link)
        if (link.significance != 1).any():
            y = of(link.source, "weighed")
            yield Weigh(x, y, _numbers(link.significance), When(net.window, begin))
            x = y
        yield from apply(net, link, x, acc, When(begin=begin))
    yield from _arrived(net, name, acc)


def _arriving(link: Link) -> str:
    """Return the register of the events that reach a projection in this step."""
    return delayed(link) if link.held else link.source


def _input(net: Network, name: str) -> Iterator[Operation]:
    """Nothing happens to an input: its spikes are put into its register from outside."""
    yield from ()


def _poisson(net: Network, name: str) -> Iterator[Operation]:
    neuron: Any = net.populations[name].neuron
    yield Poisson(name, neuron.thresholds, neuron.seed)


def _few_spikes(net: Network, name: str) -> Iterator[Operation]:
    """A window ends and the next begins; send one step, integrate one."""
    neuron: Any = net.populations[name].neuron
    w, sends = net.window, net.latency[name] * net.window
    v, u, left = (of(name, key) for key in ("v", "u", "left"))
    yield Latch(v, u, left, neuron.spike_limit, When(w, sends, first=0, last=0))
    yield Fill(v, neuron.bias, When(w, net.turn(name) * w, first=0, last=0))
    if neuron.code == "graded":
        if w > 1:
            yield Clear(name, When(w, sends, first=0, last=0))
        rule = (neuron.threshold, neuron.bits, neuron.signed, neuron.kept_bits)
        yield Fire(u, name, *rule, When(w, sends, first=w - 1, last=w - 1))
    else:
        yield Send(u, left, name, neuron.threshold, _numbers(net.significance(name)), When(w, sends))
    yield from _integrate(net, name, v)


def _levels(net: Network, name: str) -> Iterator[Operation]:
    """A window ends: look its word up; send one step of it, integrate one of the next."""
    neuron: Any = net.populations[name].neuron
    w, sends = net.window, net.latency[name] * net.window
    v, u = of(name, "v"), of(name, "u")
    yield FireLevels(v, u, neuron.levels, neuron.words, When(w, sends, first=0, last=0))
    yield Fill(v, neuron.bias, When(w, net.turn(name) * w, first=0, last=0))
    yield Encode(u, name, neuron.code, _numbers(net.significance(name)), When(w, sends))
    yield from _integrate(net, name, v)


def _readout(net: Network, name: str) -> Iterator[Operation]:
    begin = When(net.window, net.turn(name) * net.window, first=0, last=0)
    yield Fill(of(name, "v"), net.populations[name].neuron.offset, begin)
    yield from _integrate(net, name, of(name, "v"))


def _max_pool(net: Network, name: str) -> Iterator[Operation]:
    (link,) = net.into(name)
    x, begin = _arriving(link), net.turn(name) * net.window
    windows = geometry(link.connection, net.populations[link.source].shape)
    if not net.taps(name):
        yield MaxPool(x, name, windows, When(begin=begin))
        return
    g, when = net.significance(name), When(net.window, begin)
    sign = int(np.argmin(g)) if (g < 0).any() else -1
    yield MaxPoolStep(x, of(name, "alive"), name, windows, 0, sign, when)


def _step_neuron(net: Network, name: str, constant: frozenset[str]) -> Iterator[Operation]:
    """A population that integrates step by step: its kind names the operation, whose fields are its parameters."""
    population = net.populations[name]
    i, when = of(name, "i"), When(begin=net.turn(name) * net.window)
    yield from _currents(net, name, i, constant)
    registers = {"i": i, "s": name, **{key: of(name, key) for key in population.neuron.state}}
    operation = row(_BY_NAME, population.neuron.instruction, net, name, "OPERATIONS of kernels/operations.py")
    names = [f.name for f in fields(operation)[:-1]]
    known = {n: getattr(population.neuron, n) for n in names if hasattr(population.neuron, n)} | registers
    where = f"the state or the parameters of the kind, which '{operation.name}' of kernels/operations.py needs"
    values: dict[str, Any] = {n: row(known, n, net, name, where) for n in names}
    yield operation(**{**values, "when": when})
    if "answer" in net.kept(name):
        yield from _collect(net, name)


def _currents(net: Network, name: str, i: str, constant: frozenset[str]) -> Iterator[Operation]:
    """Yield the currents of all projections into a population; what is the same throughout a window is summed once."""
    begin = net.turn(name) * net.window
    always, once = When(begin=begin), When(net.window, begin, first=0, last=0)
    same = [link for link in _at_once(net, name) if link.source in constant and not link.lag]
    others = [link for link in _at_once(net, name) if link not in same]
    if any(link.connection.alone for link in net.into(name)):
        yield from _largest(net, name, i, once if same else always)
    elif same and (others or net.under_way(name)):
        yield from _summed(net, same, of(name, "constant"), once)
        yield Copy(of(name, "constant"), i, always)
        for link in others:
            yield from apply(net, link, _arriving(link), i, always)
    else:
        yield from _summed(net, same or others, i, once if same else always)
    yield from _arrived(net, name, i)


def _summed(net: Network, links: list[Link], acc: str, when: When) -> Iterator[Operation]:
    yield Fill(acc, ZERO, when)
    for link in links:
        yield from apply(net, link, _arriving(link), acc, when)


def _largest(net: Network, name: str, i: str, when: When) -> Iterator[Operation]:
    """The currents of a projection that is alone: the largest of the sums in each window."""
    (link,) = net.into(name)
    connection: Any = link.connection
    source = net.populations[link.source].shape
    conv, shape, sums = connection.conv, _sums_shape(net, link), of(name, "sums")
    yield Fill(sums, ZERO, when)
    yield Apply(_arriving(link), sums, Map(conv.kind, source, shape, (0, shape[0]), conv.parameters()), when)
    yield MaxPoolSums(sums, i, geometry(connection.window, shape), when)


def _sums_shape(net: Network, link: Link) -> tuple[int, ...]:
    """Return the shape of the sums that a projection that is alone compares."""
    connection: Any = link.connection
    shape: tuple[int, ...] = connection.conv.target_shape(net.populations[link.source].shape)
    return shape


def _collect(net: Network, name: str) -> Iterator[Operation]:
    """What the membranes of each window come to, or its spikes: each is the steps that are left, the first the most."""
    neuron: Any = net.populations[name].neuron
    answer, w, begin = of(name, "answer"), net.window, net.turn(name) * net.window
    yield Fill(answer, _LOWEST if neuron.answer == "max" else ZERO, When(w, begin, first=0, last=0))
    if neuron.answer == "first_spike":
        early = of(name, "early")
        yield Fill(early, ZERO, When(begin=begin))
        yield Accumulate(name, early, tuple(range(w, 0, -1)), When(w, begin))
        yield Collect(early, answer, "max", 0, When(begin=begin))
    else:
        yield Collect(
            of(name, "v"), answer, neuron.answer, shift(w) if neuron.answer == "mean" else 0, When(begin=begin)
        )


def _dtype(name: str) -> Dtype:
    for known in get_args(Dtype):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise TypeError(f"a state is one of {', '.join(get_args(Dtype))}, not {name}")


def _numbers(significance: Any) -> tuple[int, ...]:
    return tuple(int(g) for g in significance)


# All others integrate step by step, as if and lif do: they name their operation, and need no row.
_LOWER: Mapping[str, Callable[[Network, str], Iterator[Operation]]] = {
    "input": _input,
    "poisson": _poisson,
    "few_spikes": _few_spikes,
    "levels": _levels,
    "readout": _readout,
    "max_pool": _max_pool,
}
