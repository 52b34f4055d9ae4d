"""From a network to a program of kernel operations on registers, for either schedule.

Inside kernels an image is channels-last, (H, W, C); everything above this file is (C, H, W). A population's words or
spikes live in a word register of its name, its state in registers `NAME:v`, `NAME:u`, ...
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.connections import Conv, Dense, Diagonal, Shape, Sparse, SumPool, Window
from spikerun.errors import UnsupportedError
from spikerun.kernels import Linear, Program
from spikerun.linear import fan_out
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, MaxPool, Readout

__all__ = ["Plan", "blockable", "from_kernel", "plan_blocked", "plan_stepped", "to_kernel"]

Kernel = Callable[[int], tuple[Linear, int]]  # of the k-th projection: its kernel object, and its cut
Array = npt.NDArray[Any]


def to_kernel(values: Array, shape: Shape) -> Array:
    """Return values (..., *shape) flattened per sample in kernel order: (..., n), channels last."""
    lead = values.shape[: values.ndim - len(shape)]
    if len(shape) == 3:
        values = np.moveaxis(values, -3, -1)
    return np.ascontiguousarray(values).reshape(*lead, -1)


def from_kernel(values: Array, shape: Shape) -> Array:
    """Return values (..., n) in kernel order as (..., *shape)."""
    lead = values.shape[:-1]
    if len(shape) != 3:
        return values.reshape(*lead, *shape)
    c, h, w = shape
    return np.ascontiguousarray(np.moveaxis(values.reshape(*lead, h, w, c), -1, -3))


def _positions(shape: Shape) -> npt.NDArray[np.int64]:
    """Return, for every neuron in (C, H, W) order, its position in kernel order: int64 of `shape`."""
    return from_kernel(np.arange(int(np.prod(shape))), shape)


@dataclass
class Plan:
    """A program and what its registers mean.

    words, accs: register numbers by name; shapes: the population shape of each named register; slots: the populations
    whose spikes are counted, in the order of the counters; steps: to run for one frame.
    """

    net: Network
    steps: int
    slots: tuple[str, ...]
    words: dict[str, int] = field(default_factory=dict)
    accs: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    program: Program = field(init=False)

    def register(self, table: dict[str, int], name: str, shape: Shape) -> int:
        """Give `name` a register."""
        assert name not in self.shapes, name
        table[name] = len(table)
        self.shapes[name] = shape
        return table[name]

    def build(self) -> Program:
        """Create the program once all registers are named."""

        def sizes(table: Mapping[str, int]) -> list[int]:
            return [int(np.prod(self.shapes[name])) for name in table]

        try:
            self.program = Program(sizes(self.words), sizes(self.accs))
        except ValueError as error:
            raise UnsupportedError(f"the network is too large for the CPU kernels: {error}") from None
        return self.program

    def vector(self, population: Population, values: Array) -> npt.NDArray[np.int32]:
        """Return a neuron parameter, one value for each neuron, in kernel order."""
        return to_kernel(population.spread(values), population.shape).astype(np.int32)

    def count(self, name: str, mode: str, bits: int, **when: int) -> None:
        """Append the counting of a population's spikes and of the synaptic operations that they cause."""
        population = self.net.populations[name]
        fans = (fan_out(p.connection, population.shape) for p in self.net.out_of(name))
        total = to_kernel(sum(fans, np.zeros(population.shape, np.int64)), population.shape).astype(np.int32)
        self.program.count(self.words[name], total, mode, bits, self.slots.index(name), **when)


def lower(net: Network, p: Projection) -> Linear:
    """Return the kernel object of a linear projection. Raises UnsupportedError beyond the limits of the kernels."""
    try:
        return _lower(net, p)
    except ValueError as error:
        raise UnsupportedError(f"{p}: beyond the limits of the CPU kernels: {error}") from None


def _lower(net: Network, p: Projection) -> Linear:
    """Put weights and geometry in kernel order."""
    source, target = net.populations[p.source].shape, net.populations[p.target].shape
    first, end = p.target_channels or (0, target[0])
    rows, columns = _positions(source).ravel(), _positions(target)[first:end].ravel()
    c, size = p.connection, int(np.prod(target))
    match c:
        case Dense():
            weight = np.zeros((len(rows), size), np.int8)
            weight[rows[:, None], columns] = c.weight
            return Linear.dense(weight)
        case Sparse():
            order = np.argsort(rows)  # the source neuron of each kernel row
            counts = np.diff(c.indptr)[order]
            indptr = np.concatenate([[0], np.cumsum(counts)])
            entry = np.repeat(c.indptr[:-1][order] - indptr[:-1], counts) + np.arange(indptr[-1])
            return Linear.sparse(
                indptr.astype(np.int64), columns[c.indices[entry]].astype(np.int32), c.data[entry], size
            )
        case Diagonal():
            gain = np.empty(len(rows), np.int32)
            index = np.empty(len(rows), np.int32)
            gain[rows] = np.broadcast_to(c.gain.reshape((-1,) + (1,) * (len(source) - 1)), source).ravel()
            index[rows] = columns
            return Linear.diagonal(gain, size, index)
        case Conv():
            weight = np.ascontiguousarray(c.weight.transpose(2, 3, 1, 0))
            geometry = (_hwc(source), _hwc(target), c.stride, c.padding, c.dilation, c.groups)
            return Linear.conv(weight, *geometry, channel_offset=first)
        case SumPool():
            gain = np.broadcast_to(c.gain, (source[0],)).astype(np.int32)
            return Linear.sum_pool(
                _hwc(source), _hwc(target), c.kernel, c.stride, c.padding, gain, channel_offset=first
            )
    raise UnsupportedError(f"{p}: no CPU kernel for a connection of kind '{c.kind}'; spikerun.reference runs it")


def _hwc(shape: Shape) -> tuple[int, int, int]:
    return shape[1], shape[2], shape[0]


def blockable(net: Network) -> bool:
    """Return whether whole windows can go through the network at once: words everywhere, and no delays."""
    kinds_fit = all(
        isinstance(p.neuron, (FewSpikes, MaxPool, Readout))
        or (isinstance(p.neuron, Input) and p.neuron.code not in ("current", "spikes"))
        for p in net.populations.values()
    )
    return kinds_fit and net.feedforward


def plan_blocked(net: Network, kernel: Kernel) -> Plan:
    """Return the plan of the blocked schedule: one pass, words as operands, the membrane of a window at a time."""
    plan = Plan(net, steps=1, slots=_spiking(net))
    for name, population in net.populations.items():
        plan.register(plan.words, name, population.shape)
        if isinstance(population.neuron, (FewSpikes, Readout)):
            plan.register(plan.accs, f"{name}:v", population.shape)
    program = plan.build()
    for name in net.order:
        population, neuron = net.populations[name], net.populations[name].neuron
        if isinstance(neuron, MaxPool):
            (p,) = net.into(name)
            program.max_pool(plan.words[p.source], plan.words[name], *_window(net, p))
        elif isinstance(neuron, (FewSpikes, Readout)):
            v = plan.accs[f"{name}:v"]
            program.fill(v, plan.vector(population, neuron.bias))
            for k, p in enumerate(net.projections):
                if p.target == name:
                    _linear(plan, k, plan.words[p.source], v, kernel)
        if isinstance(neuron, FewSpikes):
            threshold = plan.vector(population, neuron.threshold)
            program.fire(v, plan.words[name], threshold, neuron.bits, neuron.signed, neuron.kept_bits)
        word = net.sender_of(name)
        if word is not None:
            plan.count(name, "popcount" if word.code == "bits" else "nonzero", word.bits)
    return plan


def _spiking(net: Network) -> tuple[str, ...]:
    return tuple(name for name, p in net.populations.items() if not isinstance(p.neuron, Readout))


def _window(net: Network, p: Projection) -> tuple[Any, Any, Any, Any, Any, Any]:
    window = p.connection
    assert isinstance(window, Window)
    ends = _hwc(net.populations[p.source].shape), _hwc(net.populations[p.target].shape)
    return (*ends, window.kernel, window.stride, window.padding, window.dilation)


def _linear(plan: Plan, k: int, x: int, acc: int, kernel: Kernel, **when: int) -> None:
    linear, cut = kernel(k)
    plan.program.linear(linear, x, acc, cut, **when)


def plan_stepped(net: Network, kernel: Kernel, endless: bool) -> Plan:
    """Return the plan of the stepped schedule: one pass of the program is one step of time for every population.

    endless: for a stream. Otherwise for one frame from rest: spikes count in the window in which they belong to it, and
    registers `NAME:result` hold what the outputs make of it.
    """
    plan = Plan(net, steps=(max(net.latency.values()) + 1) * net.window, slots=_spiking(net))
    _stepped_registers(plan, endless)
    plan.build()
    for k, p in enumerate(net.projections):
        if net.lag[k]:
            _delay(plan, k, p)
    for name in net.order:
        _STEPPED[type(net.populations[name].neuron)](plan, name, kernel)
        own = net.latency[name] * net.window
        window = {} if endless else {"begin": own, "end": own + net.window}
        if name in plan.slots:
            plan.count(name, "nonzero", 1, **window)
        if name in net.outputs and not endless:
            _keep_result(plan, name, window)
    return plan


def _keep_result(plan: Plan, name: str, window: dict[str, int]) -> None:
    """Append what fills `NAME:result`: the membrane of a readout, which later windows overwrite, or the words sent."""
    net, program, result = plan.net, plan.program, plan.accs[f"{name}:result"]
    if isinstance(net.populations[name].neuron, Readout):
        last = {"begin": window["end"] - 1, "end": window["end"]}
        program.latch(plan.accs[f"{name}:v"], result, plan.words[f"{name}:done"], 1, **last)
        return
    size = net.populations[name].size
    ones = Linear.diagonal(np.ones(size, np.int32), size, np.arange(size, dtype=np.int32))
    y = _weighed(plan, name, plan.words[name], net.significance(name))
    program.linear(ones, y, result, ones.n_in, **window)


_STATE: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = {  # accumulators, words
    Input: ((), ()),
    FewSpikes: (("v", "u"), ("left",)),
    Readout: (("v",), ()),
    IF: (("v", "i"), ()),
    LIF: (("v", "i", "u", "wait"), ("pending",)),
    MaxPool: ((), ()),
}


def _stepped_registers(plan: Plan, endless: bool) -> None:
    net = plan.net
    for name, population in net.populations.items():
        accs, words = _STATE[type(population.neuron)]
        plan.register(plan.words, name, population.shape)
        plan.register(plan.words, f"{name}:weighed", population.shape)
        for key in accs:
            plan.register(plan.accs, f"{name}:{key}", population.shape)
        for key in words:
            plan.register(plan.words, f"{name}:{key}", population.shape)
        if isinstance(population.neuron, MaxPool):
            window = net.into(name)[0].connection
            assert isinstance(window, Window)
            plan.register(plan.words, f"{name}:alive", (population.size * window.kernel[0] * window.kernel[1],))
        if name in net.outputs and not endless:
            plan.register(plan.accs, f"{name}:result", population.shape)
            plan.register(plan.words, f"{name}:done", population.shape)
    for k, p in enumerate(net.projections):
        if net.lag[k]:
            shape = net.populations[p.source].shape
            plan.register(plan.words, f"projection{k}:past", (max(_ring(net, k), 1) * int(np.prod(shape)),))
            plan.register(plan.words, f"projection{k}:delayed", shape)


def _ring(net: Network, k: int) -> int:
    """Return how many steps the ring of a lagging projection holds.

    Rings turn at the beginning of a step, when the spikes of inputs are those of this step, all others of the last.
    """
    source = net.populations[net.projections[k].source].neuron
    return net.lag[k] - (0 if isinstance(source, Input) else 1)


def _delay(plan: Plan, k: int, p: Projection) -> None:
    x, y = plan.words[p.source], plan.words[f"projection{k}:delayed"]
    if _ring(plan.net, k):
        plan.program.delay(x, plan.words[f"projection{k}:past"], y, _ring(plan.net, k))
    else:
        plan.program.weigh(x, y, np.ones(1, np.int32))


def _weighed(plan: Plan, name: str, x: int, g: npt.NDArray[np.int64], **when: int) -> int:
    """Return a register with the events of register `x` times their significance, of source `name`."""
    if (g == 1).all():
        return x
    y = plan.words[f"{name}:weighed"]
    plan.program.weigh(x, y, g.astype(np.int32), period=plan.net.window, **when)
    return y


def _integrate(plan: Plan, name: str, acc: int, kernel: Kernel, weigh: bool, begin: int) -> None:
    """Append the currents of all projections into a population, to accumulator `acc`."""
    net = plan.net
    for k, p in enumerate(net.projections):
        if p.target == name:
            x = plan.words[f"projection{k}:delayed" if net.lag[k] else p.source]
            if weigh:
                x = _weighed(plan, p.source, x, np.roll(net.significance(p.source), net.lag[k]), begin=begin)
            _linear(plan, k, x, acc, kernel, begin=begin)


def _step_input(plan: Plan, name: str, kernel: Kernel) -> None:
    """Nothing happens to an input: its spikes are put into its register from outside."""


def _step_words(plan: Plan, name: str, kernel: Kernel) -> None:
    """A few-spikes population or a readout: a window ends and the next begins, send one step, integrate one."""
    net, program = plan.net, plan.program
    population, neuron, w = net.populations[name], net.populations[name].neuron, net.window
    begin, sends = net.turn(name) * w, net.latency[name] * w
    v = plan.accs[f"{name}:v"]
    if isinstance(neuron, FewSpikes):
        u, left = plan.accs[f"{name}:u"], plan.words[f"{name}:left"]
        program.latch(v, u, left, neuron.spike_limit, period=w, begin=sends, first=0, last=0)
    assert isinstance(neuron, (FewSpikes, Readout))
    program.fill(v, plan.vector(population, neuron.bias), period=w, begin=begin, first=0, last=0)
    if isinstance(neuron, FewSpikes):
        threshold, s = plan.vector(population, neuron.threshold), plan.words[name]
        if neuron.code == "graded":
            program.send(u, left, threshold, s, np.zeros(w, np.int32), period=w, begin=sends)  # silent but at the end
            program.send_graded(
                u, threshold, neuron.bits, neuron.signed, neuron.kept_bits, s, period=w, begin=sends, first=w - 1
            )
        else:
            g = net.significance(name).astype(np.int32)
            program.send(u, left, threshold, s, g, period=w, begin=sends)
    _integrate(plan, name, v, kernel, weigh=True, begin=begin)


def _step_if(plan: Plan, name: str, kernel: Kernel) -> None:
    population, begin = plan.net.populations[name], plan.net.turn(name) * plan.net.window
    neuron = population.neuron
    assert isinstance(neuron, IF)
    v, i = plan.accs[f"{name}:v"], plan.accs[f"{name}:i"]
    plan.program.initial(v, plan.vector(population, neuron.v_init))
    plan.program.fill(i, np.zeros(population.size, np.int32))
    _integrate(plan, name, i, kernel, weigh=False, begin=begin)
    threshold, bias, v_min = (plan.vector(population, a) for a in (neuron.threshold, neuron.bias, neuron.v_min))
    plan.program.if_step(i, v, plan.words[name], threshold, bias, v_min, neuron.reset, begin=begin)


def _step_lif(plan: Plan, name: str, kernel: Kernel) -> None:
    population, begin = plan.net.populations[name], plan.net.turn(name) * plan.net.window
    neuron = population.neuron
    assert isinstance(neuron, LIF)
    i, u, v, wait = (plan.accs[f"{name}:{key}"] for key in ("i", "u", "v", "wait"))
    plan.program.fill(i, np.zeros(population.size, np.int32))
    _integrate(plan, name, i, kernel, weigh=False, begin=begin)
    values = (neuron.threshold, neuron.bias, neuron.du, neuron.dv)
    threshold, bias, du, dv = (plan.vector(population, a) for a in values)
    offset = neuron.reset_offset + begin  # the kernel counts steps from the beginning of the program
    plan.program.lif_step(
        i, u, v, wait, plan.words[f"{name}:pending"], plan.words[name], threshold, bias, du, dv, neuron.reset,
        neuron.refractory, neuron.reset_interval, offset, begin=begin,
    )  # fmt: skip


def _step_pool(plan: Plan, name: str, kernel: Kernel) -> None:
    net = plan.net
    k = next(k for k, p in enumerate(net.projections) if p.target == name)
    p, g = net.projections[k], net.significance(name)
    x = plan.words[f"projection{k}:delayed" if net.lag[k] else p.source]
    sign = int(np.argmin(g)) if (g < 0).any() else -1
    plan.program.max_pool_step(
        x, plan.words[f"{name}:alive"], plan.words[name], *_window(net, p), restart_at=0, sign_at=sign,
        period=net.window, begin=net.turn(name) * net.window,
    )  # fmt: skip


_STEPPED: dict[type, Callable[[Plan, str, Kernel], None]] = {
    Input: _step_input,
    FewSpikes: _step_words,
    Readout: _step_words,
    IF: _step_if,
    LIF: _step_lif,
    MaxPool: _step_pool,
}
