"""Where everything lies: membranes channels last, words in C order, and which words may share memory."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikerun.connections import Conv
from spikerun.errors import UnsupportedError
from spikerun.network import Network, Projection
from spikerun.neurons import FewSpikes, Input, MaxPool, Readout

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

    views: of each population that integrates; words: (offset, bytes) of each population that sends, in the arena;
    frames: (offset, bytes) of each input in the frame; outputs: (offset, count) of each output among the results.
    """

    net: Network
    order: tuple[str, ...]
    views: Mapping[str, View]
    words: Mapping[str, tuple[int, int]]
    frames: Mapping[str, tuple[int, int]]
    outputs: Mapping[str, tuple[int, int]]

    @property
    def membrane_bytes(self) -> int:
        """Return the size of the one buffer of membranes, which all populations share."""
        return 4 * max((view.size for view in self.views.values()), default=1)

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


def require_supported(net: Network) -> None:
    """Raise UnsupportedError, naming the population, for what the microcontroller runtime does not do."""
    instead = "`spikerun run` executes it on this computer"
    if not net.feedforward:
        slow = next(p for p in net.projections if p.delay)
        raise UnsupportedError(
            f"{slow}: delay {slow.delay}: the microcontroller target runs networks without delays only; {instead}"
        )
    for name, population in net.populations.items():
        neuron = population.neuron
        if not isinstance(neuron, (Input, FewSpikes, MaxPool, Readout)):
            raise UnsupportedError(
                f"population '{name}' ({neuron.kind}): the microcontroller target runs few_spikes, max_pool and "
                f"readout populations; {instead}"
            )
        if isinstance(neuron, Input) and neuron.code in ("current", "spikes"):
            raise UnsupportedError(
                f"population '{name}': the microcontroller target takes frames in a few-spikes code (bits, ttfs, "
                f"graded), not code '{neuron.code}'; {instead}"
            )
        if population.size > 2**24:
            raise UnsupportedError(f"population '{name}' has {population.size} neurons, too many for any board here")


def plan(net: Network) -> Layout:
    """Return the plan of a network's memory."""
    require_supported(net)
    order = tuple(name for name in net.order if not isinstance(net.populations[name].neuron, Input))
    views = {name: _view(net, name) for name in order if isinstance(net.populations[name].neuron, (FewSpikes, Readout))}
    return Layout(
        net,
        order,
        views,
        _word_places(net, order),
        _stack({name: net.populations[name].size for name in net.inputs}),
        _stack({name: net.populations[name].size for name in net.outputs}),
    )


def _stack(sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return (offset, size) of things that lie one after the other."""
    places, offset = {}, 0
    for name, size in sizes.items():
        places[name] = (offset, size)
        offset += size
    return places


def _view(net: Network, name: str) -> View:
    """Return how the membranes lie: as the population's image, or as that of the convolutions it flattens."""
    shape = net.populations[name].shape
    if len(shape) == 3:
        return View(*shape)
    images = set()
    for p in net.into(name):
        if isinstance(p.connection, Conv):
            image = p.connection.target_shape(net.populations[p.source].shape)
            if p.target_channels is not None:
                raise UnsupportedError(
                    f"{p}: the microcontroller target cannot flatten a convolution into a part of a population: "
                    "let it lead to a population of its own shape"
                )
            images.add(image)
    if len(images) > 1:
        raise UnsupportedError(
            f"population '{name}': the microcontroller target cannot flatten convolutions of different shapes "
            f"{sorted(images)} into one population: let each lead to a population of its own shape"
        )
    return View(*images.pop()) if images else View(shape[0], 1, 1)


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
