"""Where everything lies: membranes channels last, words in C order, and what may share memory.

A network of few-spikes populations runs blocked: one population after the other, each once. A network of IF and LIF
populations runs stepped: all populations in every step of time, so that they keep their membranes, and the spikes of a
source are kept for as many steps as the longest delay behind it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikerun.errors import UnsupportedError
from spikerun.network import Network, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, MaxPool, Neuron, Readout

__all__ = ["Layout", "View", "plan", "require_supported"]

IntArray = npt.NDArray[np.int64]
ALIGNMENT = 4


@dataclass(frozen=True)
class View:
    """An image of membranes; a population without an image has one pixel."""

    channels: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Return rows times columns."""
        return self.height * self.width

    @property
    def size(self) -> int:
        """Return the number of membranes."""
        return self.channels * self.pixels

    def index(self) -> IntArray:
        """Return the place of each membrane in memory, in C order.

        >>> View(2, 1, 3).index().tolist()
        [0, 2, 4, 1, 3, 5]
        """
        return np.arange(self.size).reshape(self.pixels, self.channels).T.ravel()


@dataclass(frozen=True)
class Layout:
    """The plan of a network's memory.

    stepped: whether time runs step by step; views: of each population that integrates; cells: (offset, count) of its
    numbers among the membranes; words: (offset, bytes) of each population whose words are kept, in the arena; depths:
    for how many steps they are; frames: (offset, bytes) of each input in the frame; outputs: (offset, count) of each
    output among the results.
    """

    net: Network
    stepped: bool
    order: tuple[str, ...]
    views: Mapping[str, View]
    cells: Mapping[str, tuple[int, int]]
    words: Mapping[str, tuple[int, int]]
    depths: Mapping[str, int]
    frames: Mapping[str, tuple[int, int]]
    outputs: Mapping[str, tuple[int, int]]

    @property
    def membrane_bytes(self) -> int:
        """Return the size of the memory for membranes, and for what else neurons keep."""
        shared = self.shared_cells
        return 4 * max([1, shared, *(offset + count for offset, count in self.cells.values())])

    @property
    def shared_cells(self) -> int:
        """Return how many numbers at the beginning are no population's own: the currents of LIF neurons."""
        return _currents(self.net, self.views) if self.stepped else 0

    @property
    def word_bytes(self) -> int:
        """Return the size of the memory for words."""
        end = max((offset + count for offset, count in self.words.values()), default=0)
        return max(ALIGNMENT, -(-end // ALIGNMENT) * ALIGNMENT)

    @property
    def frame_bytes(self) -> int:
        """Return the size of a frame, one byte for each value of each input."""
        return sum(count for _, count in self.frames.values())

    @property
    def output_count(self) -> int:
        """Return the number of results of a run."""
        return sum(count for _, count in self.outputs.values())

    def places(self, p: Projection) -> IntArray:
        """Return where in the target's membranes each current of a projection goes, in C order of the currents."""
        shape = self.net.populations[p.target].shape
        first, end = p.target_channels or (0, shape[0])
        inner = int(np.prod(shape[1:], dtype=np.int64))
        return self.views[p.target].index()[first * inner : end * inner]


SUPPORTED = (Input, FewSpikes, IF, LIF, MaxPool, Readout)


def require_supported(net: Network) -> bool:
    """Return whether the network runs stepped; raise UnsupportedError, naming the population, for what does not run."""
    stepped = not net.feedforward or any(isinstance(p.neuron, (IF, LIF)) for p in net.populations.values())
    stepped = stepped or any(_plain_input(p.neuron) for p in net.populations.values())
    instead = "`spikerun run` executes it on this computer"
    for name, population in net.populations.items():
        neuron = population.neuron
        if not isinstance(neuron, SUPPORTED):
            raise UnsupportedError(
                f"population '{name}': there is no C code for neurons of kind '{neuron.kind}'; {instead}"
            )
        if stepped and (
            isinstance(neuron, (FewSpikes, MaxPool)) or (isinstance(neuron, Input) and not _plain_input(neuron))
        ):
            raise UnsupportedError(
                f"population '{name}' ({neuron.kind}): the microcontroller target runs populations that send words "
                "(few_spikes, max_pool, inputs in a few-spikes code) only without if, lif, delays, and inputs of code "
                f"'current' or 'spikes'; {instead}"
            )
        if population.size > 2**24:
            raise UnsupportedError(f"population '{name}' has {population.size} neurons, too many for any board here")
    return stepped


def _plain_input(neuron: Neuron) -> bool:
    return isinstance(neuron, Input) and neuron.code in ("current", "spikes")


def plan(net: Network) -> Layout:
    """Return the plan of a network's memory."""
    stepped = require_supported(net)
    order = tuple(name for name in net.order if not isinstance(net.populations[name].neuron, Input))
    integrating = [name for name in order if not isinstance(net.populations[name].neuron, MaxPool)]
    views = {name: _view(net, name) for name in integrating}
    depths = _depths(net) if stepped else dict.fromkeys(order, 1)
    frames = {
        name: net.populations[name].size * _frame_steps(net.populations[name].neuron, net.window) for name in net.inputs
    }
    return Layout(
        net,
        stepped,
        order,
        views,
        _own_cells(net, views) if stepped else {name: (0, view.size) for name, view in views.items()},
        _kept_words(net, depths) if stepped else _word_places(net, order),
        depths,
        _stack(frames),
        _stack({name: net.populations[name].size for name in net.outputs}),
    )


def _frame_steps(neuron: Neuron, steps: int) -> int:
    """Return how many values of each neuron a frame holds: events of code `spikes` are given step by step."""
    return steps if isinstance(neuron, Input) and neuron.code == "spikes" else 1


def _currents(net: Network, views: Mapping[str, View]) -> int:
    return max([0, *(view.size for name, view in views.items() if isinstance(net.populations[name].neuron, LIF))])


def _own_cells(net: Network, views: Mapping[str, View]) -> dict[str, tuple[int, int]]:
    """Give each population its numbers: membranes, and for LIF the currents and what refractory times need."""
    sizes = {
        name: view.size * (3 if isinstance(net.populations[name].neuron, LIF) else 1) for name, view in views.items()
    }
    shared = _currents(net, views)
    return {name: (shared + offset, count) for name, (offset, count) in _stack(sizes).items()}


def _depths(net: Network) -> dict[str, int]:
    """Return for how many steps the words of each population are kept: the present one, and the longest delay."""
    depths = {}
    for name in net.populations:
        lags = [lag for p, lag in zip(net.projections, net.lag, strict=True) if p.source == name]
        depths[name] = 1 + max(lags, default=0)
    return depths


def _kept_words(net: Network, depths: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Give each population its words of the last steps; an input's are read from the frame unless they are delayed."""
    sizes = {}
    for name, population in net.populations.items():
        if isinstance(population.neuron, Readout) or (isinstance(population.neuron, Input) and depths[name] == 1):
            continue
        sizes[name] = -(-population.size * depths[name] // ALIGNMENT) * ALIGNMENT
    return {name: (offset, net.populations[name].size * depths[name]) for name, (offset, _) in _stack(sizes).items()}


def _stack(sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return (offset, size) of things that lie one after the other."""
    places, offset = {}, 0
    for name, size in sizes.items():
        places[name] = (offset, size)
        offset += size
    return places


def _view(net: Network, name: str) -> View:
    """Return how the membranes lie: as the population's image; neurons in a row are channels of one pixel."""
    shape = net.populations[name].shape
    return View(*shape) if len(shape) == 3 else View(shape[0], 1, 1)


def _word_places(net: Network, order: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Give each population that sends its bytes; those that are never alive together share memory.

    Population k integrates at time 2k and fires at 2k + 1, so its words may overwrite those that it was the last to
    read, unless it is a max_pool, which reads while it writes. The largest are placed first, each as low as possible.
    """
    time = {name: 2 * k for k, name in enumerate(order)}
    spans = {}
    for name in order:
        if isinstance(net.populations[name].neuron, Readout):
            continue
        readers = [p.target for p in net.out_of(name)]
        last = [time[r] + isinstance(net.populations[r].neuron, MaxPool) for r in readers]
        spans[name] = (time[name] + 1, max(last, default=time[name] + 1))
    placed: dict[str, tuple[int, int]] = {}
    for name in sorted(spans, key=lambda n: (-net.populations[n].size, time[n])):
        rivals = sorted(placed[n] for n in placed if _overlap(spans[n], spans[name]))
        placed[name] = (_lowest_gap(rivals, net.populations[name].size), net.populations[name].size)
    return {name: placed[name] for name in spans}


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _lowest_gap(taken: list[tuple[int, int]], size: int) -> int:
    """Return the lowest offset at which `size` bytes do not touch what is taken (sorted).

    >>> _lowest_gap([(0, 4), (8, 4)], 4), _lowest_gap([(0, 4), (8, 4)], 5)
    (4, 12)
    """
    offset = 0
    for start, count in taken:
        if offset + size <= start:
            break
        offset = max(offset, -(-(start + count) // ALIGNMENT) * ALIGNMENT)
    return offset
