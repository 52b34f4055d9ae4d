# SPDX-License-Identifier: Apache-2.0
"""Which operations become one kernel, and which registers then need no memory, or an eighth of it.

A layer is a convolution or a dense map into sums that begin at a constant, the neurons that take these sums, and behind
them a max-pool of windows of 2x2 and the counting of spikes. Its sums never leave the chip. Spikes of several passes
that a kernel writes at once are packed: a byte holds those of eight passes, the first in bit 0.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from spikerun.kernels.gpu.conv import MOST_PRODUCTS
from spikerun.kernels.gpu.counting import MOST_PASSES
from spikerun.kernels.gpu.distribute import Layer, Part, Schedule
from spikerun.kernels.gpu.matrices import flat
from spikerun.kernels.gpu.rows import BITS
from spikerun.kernels.operations import Apply, Count, Encode, Fill, Fire, IfStep, LifStep, Map, MaxPool, Operation
from spikerun.kernels.program import Program, Register

__all__ = ["fused", "takes"]

WORDS = ("uint8", "int8")  # that kernels multiply
Neuron = Fire | IfStep


def takes(map_: Map, x: Register) -> bool:
    """Return whether the kernels multiply what a register holds by the weights of a map."""
    dense = flat(map_)
    if dense is None or x.dtype not in WORDS or map_.channels != (0, map_.target[0]):
        return False
    return bool(map_["weight"].size // map_["weight"].shape[1 if dense else 0] <= MOST_PRODUCTS)


def fused(program: Program, schedule: Schedule, keep: Collection[str]) -> Schedule:
    """Return a schedule in which operations that can be are one part."""
    kept = {name for _, name in program.outputs} | set(keep)
    return _Fusion(program, _without_repeats(program, schedule, kept), kept).done()


def _without_repeats(program: Program, schedule: Schedule, kept: Collection[str]) -> Schedule:
    """Return a schedule in which a current that stays the same, pass by pass, is in memory once."""
    for number, operation in enumerate(program.operations):
        if not isinstance(operation, Encode) or Part((number,), True) not in schedule.parts:
            continue
        period, name, passes = operation.when.period, operation.s, schedule.passes[number]
        alike = {operation.significance[t % period] for t in passes} == {1} and operation.code == "current"
        users = [(k, o) for part in schedule.parts for k in part.numbers for o in program.operations[k].operands()]
        written = [k for k, o in users if o.register == name and o.role != "read"]
        frames = schedule.used[number, "q"]
        if not alike or written != [number] or name in kept or name in schedule.begin or len(set(frames)) != 1:
            continue
        rows = {(k, o.field): (0,) * len(schedule.used[k, o.field]) for k, o in users if o.register == name}
        used = {**schedule.used, **rows, (number, "s"): (0,), (number, "q"): frames[:1]}
        shorter = (*schedule.passes[:number], passes[:1], *schedule.passes[number + 1 :])
        last = {**schedule.last, name: 0}
        schedule = replace(schedule, passes=shorter, used=used, rows={**schedule.rows, name: 1}, last=last)
    return schedule


@dataclass(frozen=True)
class _Fusion:
    program: Program
    schedule: Schedule
    kept: set[str]

    def done(self) -> Schedule:
        packed = frozenset(self._packed())
        layers = {layer.numbers[-1]: layer for layer in self._layers(packed)}
        taken = {number for layer in layers.values() for number in layer.numbers}
        layers |= {layer.apply: layer for layer in self._sums(taken, packed)}
        taken |= {number for layer in layers.values() for number in layer.numbers}
        layers = {layer.apply if layer.neuron is None else layer.neuron: layer for layer in layers.values()}
        parts: list[Part] = []
        for part in self.schedule.parts:
            layer = layers.get(part.numbers[0]) if part.whole else None
            if layer is not None:
                parts.append(Part(layer.numbers, True, layer))
            elif not part.whole or part.numbers[0] not in taken:
                parts.append(part)
        rows = {name: -(-n // BITS) if name in packed else n for name, n in self.schedule.rows.items()}
        rows |= dict.fromkeys((name for layer in layers.values() for name in layer.within), 0)
        return replace(self.schedule, parts=tuple(parts), rows=rows, packed=packed)

    def _uses(self) -> dict[str, list[tuple[int, str, str]]]:
        found: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        for part in self.schedule.parts:
            for number in part.numbers:
                for field, name, role in self.program.operations[number].operands():
                    found[name].append((number, field, role))
        return found

    def _whole(self) -> set[int]:
        return {part.numbers[0] for part in self.schedule.parts if part.whole}

    def _packed(self) -> Iterator[str]:
        """Yield the registers of spikes that have a row for each of several passes, written by one call."""
        whole, uses = self._whole(), self._uses()
        for register in self.program.registers:
            name, rows = register.name, self.schedule.rows[register.name]
            writers = [number for number, _, role in uses[name] if role != "read"]
            spikes = register.dtype == "uint8" and register.largest == 1 and rows > 1 and name not in self.kept
            if not spikes or name in self.schedule.begin:
                continue
            if name in self.schedule.loaded:
                if not writers and self.schedule.loaded[name] == tuple(range(rows)):
                    yield name
            elif len(writers) == 1 and writers[0] in whole:
                operation = self.program.operations[writers[0]]
                (field,) = (o.field for o in operation.operands() if o.register == name)
                made = isinstance(operation, IfStep | LifStep | MaxPool)
                if made and self.schedule.used[writers[0], field] == tuple(range(rows)):
                    yield name

    def _layers(self, packed: Collection[str]) -> Iterator[Layer]:
        whole, uses = self._whole(), self._uses()
        registers = {register.name: register for register in self.program.registers}
        for number in sorted(whole):
            operation = self.program.operations[number]
            if not isinstance(operation, Fire | IfStep):
                continue
            layer = self._layer(number, operation, whole, uses, registers, packed)
            if layer is not None:
                yield layer

    def _sums(self, taken: Collection[int], packed: Collection[str]) -> Iterator[Layer]:
        """Yield the maps whose sums begin with a constant and go to memory."""
        registers = {register.name: register for register in self.program.registers}
        whole = self._whole()
        for uses in self._uses().values():
            for (fill, _, _), (apply, _, _) in pairwise(uses):
                start, map_ = self.program.operations[fill], self.program.operations[apply]
                if not (isinstance(start, Fill) and isinstance(map_, Apply) and {fill, apply} <= whole - set(taken)):
                    continue
                filled, added = self.schedule.used[fill, "acc"], self.schedule.used[apply, "acc"]
                taken_ = self._adds(apply, map_.x, filled, added, packed) and takes(map_.map, registers[map_.x])
                if taken_ and _even(start.value, map_):
                    yield Layer((fill, apply), apply, None, fill, None, (), frozenset())

    def _adds(
        self, apply: int, x: str, filled: tuple[int, ...], added: tuple[int, ...], packed: Collection[str]
    ) -> bool:
        """Return whether a kernel writes these sums of all passes, or of each."""
        rows = self.schedule.used[apply, "x"]
        whole = x in packed and rows == tuple(range(len(rows))) and -(-len(rows) // BITS) == self._bytes(x)
        if len(filled) == 1 and len(added) > 1:
            return whole and set(added) == set(filled) and len(added) <= MOST_PASSES
        return _follow(filled) and added == filled and (whole or (x not in packed and _follow(rows)))

    def _bytes(self, name: str) -> int:
        return -(-self.schedule.rows[name] // BITS)

    def _layer(
        self, number: int, neuron: Neuron, whole: set[int], uses: dict[str, list[tuple[int, str, str]]],
        registers: dict[str, Register], packed: Collection[str],
    ) -> Layer | None:  # fmt: skip
        acc = neuron.v if isinstance(neuron, Fire) else neuron.i
        out = neuron.word if isinstance(neuron, Fire) else neuron.s
        field = "v" if isinstance(neuron, Fire) else "i"
        users = [k for k, _, _ in uses[acc]]
        maps = [k for k in users if isinstance(self.program.operations[k], Apply)]
        fills = [k for k in users if isinstance(self.program.operations[k], Fill)]
        readers = [k for k, _, role in uses[acc] if role == "read"]
        if acc in self.kept or not set(users) <= whole or readers != [number] or len(fills) != 1:
            return None
        apply = next((k for k in reversed(maps) if self._multiplies(k, number, field, registers, packed)), None)
        if apply is None or not self._fits(neuron, self.program.operations[apply], registers[acc]):
            return None
        alone = len(maps) == 1 and len(users) == 3
        fill = self.program.operations[fills[0]]
        if alone and not _even(fill.value, self.program.operations[apply]):  # type: ignore[attr-defined]
            return None
        within = {acc} if alone else set()
        if isinstance(neuron, IfStep) and self._starts_anew(neuron, registers, uses):
            within.add(neuron.v)
        counts, pool = self._behind(out, whole, uses, registers, packed)
        if pool is not None:
            within.add(out)
        numbers = (*(fills if alone else ()), apply, number, *counts, *(() if pool is None else (pool,)))
        return Layer(numbers, apply, number, fills[0] if alone else None, pool, counts, frozenset(within))

    def _multiplies(
        self, k: int, neuron: int, field: str, registers: dict[str, Register], packed: Collection[str]
    ) -> bool:
        """Return whether a kernel takes a map and, of all its passes, the neurons behind it."""
        apply = self.program.operations[k]
        assert isinstance(apply, Apply)
        if not takes(apply.map, registers[apply.x]):
            return False
        sums, taken = self.schedule.used[k, "acc"], self.schedule.used[neuron, field]
        if len(sums) == 1:  # one pass, or a current that stays the same
            return apply.x not in packed and set(taken) == set(sums) and self._integrates(neuron, len(taken))
        each = self.schedule.used[k, "x"] == tuple(range(len(sums)))
        return sums == taken and apply.x in packed and each and self._integrates(neuron, len(taken))

    def _integrates(self, number: int, passes: int) -> bool:
        neuron = self.program.operations[number]
        if isinstance(neuron, Fire):
            return passes == 1 and neuron.bits <= BITS
        return isinstance(neuron, IfStep) and passes > 1 and self.schedule.used[number, "s"] == tuple(range(passes))

    def _fits(self, neuron: Neuron, apply: Operation, acc: Register) -> bool:
        values = [neuron.threshold] if isinstance(neuron, Fire) else [neuron.threshold, neuron.bias, neuron.v_min]
        return all(_even(value, apply) for value in values)

    def _starts_anew(
        self, neuron: IfStep, registers: dict[str, Register], uses: dict[str, list[tuple[int, str, str]]]
    ) -> bool:
        """Return whether the membranes begin at 0 and nobody looks at them: for up to 8 passes they need no memory."""
        initial = registers[neuron.v].initial
        unseen = len(uses[neuron.v]) == 1 and neuron.v not in self.kept
        few = self.schedule.rows[neuron.s] <= BITS
        return unseen and few and (initial is None or not initial.any())

    def _behind(
        self, out: str, whole: set[int], uses: dict[str, list[tuple[int, str, str]]],
        registers: dict[str, Register], packed: Collection[str],
    ) -> tuple[tuple[int, ...], int | None]:  # fmt: skip
        """Return what counts the spikes, and the pool, if a kernel can do these, too."""
        counts = self._counts(out, whole, uses, packed)
        readers = [k for k, _, role in uses[out] if role == "read" and k not in counts]
        pool = self.program.operations[readers[0]] if len(readers) == 1 else None
        if not isinstance(pool, MaxPool) or not counts or out in self.kept or readers[0] not in whole:
            return counts, None
        g, rows = pool.geometry, self.schedule.rows[out]
        square = g.kernel == g.stride == (2, 2) and g.padding == (0, 0) and g.dilation in ((1, 1), (0, 0))
        even = g.source[1:] == (2 * g.target[1], 2 * g.target[2])
        same = self.schedule.used[readers[0], "x"] == self.schedule.used[readers[0], "y"] == tuple(range(rows))
        if not (square and even and same and (pool.y in packed) == (out in packed)):
            return counts, None
        more = self._counts(pool.y, whole, uses, packed)
        return (*counts, *more), readers[0]

    def _counts(
        self, name: str, whole: set[int], uses: dict[str, list[tuple[int, str, str]]], packed: Collection[str]
    ) -> tuple[int, ...]:
        """Return the one operation that counts all spikes of a register."""
        found = [k for k, _, _ in uses[name] if isinstance(self.program.operations[k], Count)]
        every = tuple(range(self.schedule.rows[name]))
        return tuple(k for k in found[:1] if k in whole and self.schedule.used[k, "word"] == every)


def _follow(rows: tuple[int, ...]) -> bool:
    return rows == tuple(range(rows[0], rows[0] + len(rows)))


def _even(values: "np.typing.NDArray[np.int32]", apply: Operation) -> bool:
    """Return whether a parameter has one value for each channel of a convolution; a dense map has one for each sum."""
    assert isinstance(apply, Apply)
    return bool(flat(apply.map)) or values.ndim < 2 or values.shape[1:] == (1, 1)
