"""From a network to the parts of its C: the constant tables of each population, and the calls that it takes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spikerun.edge.mcu import emit, tables
from spikerun.edge.mcu.layout import Layout
from spikerun.edge.mcu.tables import Table
from spikerun.neurons import IF, LIF, FewSpikes, MaxPool, Neuron, Readout

__all__ = ["Model", "array_symbol", "compose", "membrane", "words"]

KERNELS = {
    "dense": "spikerun_dense_add",
    "conv": "spikerun_conv_add",
    "sparse": "spikerun_sparse_add",
    "diagonal": "spikerun_diagonal_add",
    "sum_pool": "spikerun_sum_pool_add",
}


@dataclass(frozen=True)
class Model:
    """The parts of the generated model: its memory, the tables (symbol -> table) and calls of each population.

    setup: the calls before them all.
    """

    layout: Layout
    tables: Mapping[str, Mapping[str, Table]]
    calls: Mapping[str, tuple[str, ...]]
    setup: tuple[str, ...]

    @property
    def arrays(self) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
        """Return all constant arrays by symbol, in the order of the file."""
        return {
            array_symbol(symbol, key): values
            for group in self.tables.values()
            for symbol, table in group.items()
            for key, values in table.arrays.items()
        }

    @property
    def classified(self) -> str | None:
        """Return the output that `model_classify` looks at: the first readout, if there is one."""
        net = self.layout.net
        return next((name for name in net.outputs if isinstance(net.populations[name].neuron, Readout)), None)

    @property
    def state_bytes(self) -> int:
        """Return sizeof(model_state)."""
        return self.layout.membrane_bytes + self.layout.word_bytes


def array_symbol(symbol: str, key: str) -> str:
    """Return the name of an array that a field of the table `symbol` points to."""
    return emit.identifier(f"{symbol}_{key}")


def compose(layout: Layout) -> Model:
    """Return the tables and calls of every population."""
    names = emit.unique(layout.net.populations)
    groups: dict[str, dict[str, Table]] = {}
    calls: dict[str, tuple[str, ...]] = {}
    for name in layout.order:
        groups[name], calls[name] = BUILDERS[type(layout.net.populations[name].neuron)](layout, name, names[name])
    return Model(layout, groups, calls, tuple(_setup(layout, names)))


def words(layout: Layout, name: str, lag: int = 0) -> str:
    """Return the C expression for where the words of a population are, those of `lag` steps ago."""
    size = layout.net.populations[name].size
    if name not in layout.words:
        offset, count = layout.frames[name]
        return f"frame + {offset}" + (f" + t * {size}" if count > size else "")
    depth = layout.depths[name]
    if depth == 1:
        return f"words + {layout.words[name][0]}"
    step = f"(t + {depth - lag})" if lag else "t"
    return f"words + {layout.words[name][0]} + {step} % {depth} * {size}"


def membrane(layout: Layout, name: str, skip: int = 0) -> str:
    """Return the C expression for where the membranes of a population are, or what lies `skip` numbers behind."""
    return f"membrane + {layout.cells[name][0] + skip}"


Group = tuple[dict[str, Table], tuple[str, ...]]


def _additions(layout: Layout, name: str, own: str, place: str) -> tuple[dict[str, Table], list[str]]:
    """Return the tables and calls of all projections into a population."""
    group, calls = {}, []
    for number, p in enumerate(layout.net.into(name)):
        symbol = f"{own}_in{number}"
        group[symbol] = tables.connection(layout, p)
        lag = layout.net.lag[layout.net.projections.index(p)] if layout.stepped else 0
        calls.append(f"{KERNELS[p.connection.kind]}(&{symbol}, {words(layout, p.source, lag)}, {place});")
    return group, calls


def _pool(layout: Layout, name: str, own: str) -> Group:
    (p,) = layout.net.into(name)
    call = f"spikerun_max_pool_words(&{own}_pool, {words(layout, p.source)}, {words(layout, name)});"
    return {f"{own}_pool": tables.max_pool(layout, name)}, (call,)


def _biased(layout: Layout, name: str, own: str) -> Group:
    """Return the shape and bias of a population that integrates one window."""
    neuron = layout.net.populations[name].neuron
    assert isinstance(neuron, (FewSpikes, Readout))
    bias = tables.parameter(layout, name, neuron.bias)
    fill = f"spikerun_fill(&{own}_shape, &{own}_bias, {membrane(layout, name)});"
    return {f"{own}_shape": tables.shape(layout.views[name]), f"{own}_bias": bias}, (fill,)


def _few_spikes(layout: Layout, name: str, own: str) -> Group:
    place = membrane(layout, name)
    biased, fill = _biased(layout, name, own)
    added, calls = _additions(layout, name, own, place)
    fire = f"spikerun_fire_words(&{own}_fire, {place}, {words(layout, name)});"
    return {**biased, **added, f"{own}_fire": tables.fire(layout, name)}, (*fill, *calls, fire)


def _readout(layout: Layout, name: str, own: str) -> Group:
    biased, fill = _biased(layout, name, own)
    added, calls = _additions(layout, name, own, membrane(layout, name))
    return {**biased, **added}, (*(() if layout.stepped else fill), *calls)


def _integrate_and_fire(layout: Layout, name: str, own: str) -> Group:
    neuron, place = layout.net.populations[name].neuron, membrane(layout, name)
    assert isinstance(neuron, IF)
    added, calls = _additions(layout, name, own, place)
    group = {
        f"{own}_shape": tables.shape(layout.views[name]),
        f"{own}_init": tables.parameter(layout, name, neuron.v_init),
        **added,
        f"{own}_fire": tables.integrate_and_fire(layout, name),
    }
    return group, (*calls, f"spikerun_if_step(&{own}_fire, {place}, {words(layout, name)});")


def _leaky(layout: Layout, name: str, own: str) -> Group:
    size = layout.views[name].size
    added, calls = _additions(layout, name, own, "membrane")
    group = {
        f"{own}_shape": tables.shape(layout.views[name]),
        **added,
        f"{own}_fire": tables.leaky(layout, name),
    }
    places = f"membrane, {membrane(layout, name)}, {membrane(layout, name, size)}, {words(layout, name)}"
    return group, (f"spikerun_clear(membrane, {size});", *calls, f"spikerun_lif_step(&{own}_fire, t, {places});")


BUILDERS: Mapping[type[Neuron], Callable[[Layout, str, str], Group]] = {
    MaxPool: _pool,
    FewSpikes: _few_spikes,
    Readout: _readout,
    IF: _integrate_and_fire,
    LIF: _leaky,
}


def _setup(layout: Layout, names: Mapping[str, str]) -> Iterator[str]:
    """Yield the calls before the first step of time: everything is as if nothing had ever happened."""
    for name, (offset, count) in layout.outputs.items():
        if not isinstance(layout.net.populations[name].neuron, Readout):
            yield f"spikerun_clear(out + {offset}, {count});"
    if not layout.stepped:
        return
    for name, (offset, count) in layout.words.items():
        if layout.depths[name] > 1:
            yield f"spikerun_clear_words(words + {offset}, {count});"
    for name, (offset, count) in layout.cells.items():
        neuron = layout.net.populations[name].neuron
        if isinstance(neuron, LIF):
            yield f"spikerun_clear(membrane + {offset}, {count});"
        else:
            start = "init" if isinstance(neuron, IF) else "bias"
            yield f"spikerun_fill(&{names[name]}_shape, &{names[name]}_{start}, {membrane(layout, name)});"
