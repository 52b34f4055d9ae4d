# SPDX-License-Identifier: Apache-2.0
"""Layers and sums by the fused kernels: what they are given of a run."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikerun.kernels.gpu.conv import Conv, Counts, conv, prepared, scratch_size, tile_for
from spikerun.kernels.gpu.counting import MOST_PASSES, totals
from spikerun.kernels.gpu.distribute import Layer
from spikerun.kernels.gpu.fuse import takes
from spikerun.kernels.gpu.layout import in_order
from spikerun.kernels.gpu.linear import dense
from spikerun.kernels.gpu.matrices import flat, matrix
from spikerun.kernels.gpu.rows import BITS, At, Run
from spikerun.kernels.gpu.rules import Fire, If, Sums
from spikerun.kernels.operations import Apply, IfStep, Map

__all__ = ["layer", "sums"]


def layer(run: Run, made: Layer) -> None:
    """Execute a map, its neurons, and what is fused behind them."""
    if made.neuron is None:
        assert made.fill is not None
        passes = run.schedule.passes
        if not sums(At(run, made.apply, 0, len(passes[made.apply])), made.fill):
            raise AssertionError(f"the sums of {run.program.operations[made.apply]} are no piece of memory")
        return
    operations, registers = run.program.operations, run.registers
    apply, neuron = operations[made.apply], operations[made.neuron]
    assert isinstance(apply, Apply)
    weights = _weights(run, made.apply, apply.map)
    rule = _rule(run, made, weights)
    pool: Any = None if made.pool is None else operations[made.pool]
    how: Any = {
        "pool": pool is not None,
        "counts": tuple(_counted(run, k, bool(flat(apply.map))) for k in made.counts) or None,
    }
    acc = None if made.fill is not None else registers[apply.acc]
    if acc is not None and apply.x not in run.schedule.packed:
        acc = acc[_first(run, made.apply, "acc")]
    if isinstance(neuron, IfStep):
        out = registers[neuron.s if pool is None else pool.y]
        v = None if neuron.v in made.within else registers[neuron.v][0]
        _steps(run, made, weights, rule, out, acc, {"v": v, **how})
    else:
        word: Any = neuron
        out = registers[word.word if pool is None else pool.y]
        _conv(run, made.apply, weights, _row(run, made.apply), out[0], rule, apply.map, acc=acc, **how)


def _steps(run: Run, made: Layer, weights: Conv, rule: If, out: Any, acc: Any, how: dict[str, Any]) -> None:
    """Integrate and fire, eight passes at a time."""
    assert made.neuron is not None
    apply: Any = run.program.operations[made.apply]
    passes, packed = len(run.schedule.passes[made.neuron]), apply.x in run.schedule.packed
    for k, first in enumerate(range(0, passes, BITS)):
        steps = min(BITS, passes - first)
        x = run.registers[apply.x][k] if packed else _row(run, made.apply)
        own = acc[first : first + steps] if acc is not None and packed else acc
        _conv(run, made.apply, weights, x, out[k], rule, apply.map, steps=steps, constant=not packed, acc=own, **how)


def sums(at: At, fill: int | None = None) -> bool:
    """Add the sums of a map to its rows; return False, having done nothing, where no kernel takes it so.

    fill: the number of an operation that has the sums begin with a constant, which is not executed before.
    """
    run, apply = at.run, at.op
    register = at.described("x")
    rows = at.groups("acc")
    first, end = rows[0][0], rows[0][0] + len(rows)
    if not takes(apply.map, register) or [row for row, _ in rows] != list(range(first, end)):
        return False
    acc = run.registers[apply.acc][first:end]
    packed, x, steps = at.bytes("x"), at.view("x"), 0
    weights = _weights(run, at.number, apply.map)
    if len(rows) == 1 and packed is not None and len(at.passes) <= MOST_PASSES:
        x = torch.empty_like(packed[:1])
        totals(packed, x[0])
    elif len(rows) < len(at.passes):
        return False
    elif packed is not None:
        steps = len(at.passes)
    elif x is None:
        return False
    rule = _plain(run, at.number, weights, fill, apply.map, not steps and register.dtype == "uint8")
    if steps:
        assert packed is not None
        for k, byte in enumerate(packed):
            own = acc[k * BITS : (k + 1) * BITS]
            _conv(
                run, at.number, weights, byte, own, rule, apply.map, steps=len(own), acc=own if fill is None else None
            )
    else:
        assert x is not None
        own = acc.flatten(0, 1)
        _conv(run, at.number, weights, x.flatten(0, 1), own, rule, apply.map, acc=own if fill is None else None)
    return True


def _plain(run: Run, number: int, weights: Conv, fill: int | None, map_: Map, unsigned: bool) -> Any:
    """Return the rule of sums that begin with a constant, or are added to what is there."""
    value = np.zeros(1, np.int32) if fill is None else run.program.operations[fill].value  # type: ignore[attr-defined]

    def make() -> Any:
        return prepared(weights, Sums(run.constants.put(_of_sums(value, map_))), unsigned)

    return run.constants.of((number, "sums", fill, unsigned), make)


def _conv(
    run: Run, number: int, weights: Conv, x: torch.Tensor, out: torch.Tensor, rule: Any, map_: Map, **how: Any
) -> None:
    """Call the kernel; dense maps are convolutions of one pixel, or go event by event."""
    steps = 0 if how.get("constant") else how.get("steps", 0)
    plain = not how.get("constant") and how.get("acc") is None
    if run.events is not None and plain and run.events.takes(map_, len(x), steps):
        active = _by_event(run, number, weights, x, out, rule, map_, how)
        if active is None:
            return
        how |= {"active": active, "cut": run.events.cut(map_, steps)}
    tile = tile_for(weights, len(x), steps, bool(how.get("constant")))
    need = scratch_size(weights, len(x), steps, tile)
    if flat(map_):
        x, out = _pixel(x, 1), _pixel(out, 1 + (isinstance(rule, Sums) and steps > 0))
        how |= {
            name: _pixel(how[name], 1 + (name == "acc" and steps > 0))
            for name in ("acc", "v")
            if how.get(name) is not None
        }
    scratch = run.scratch(need) if need else None
    conv(x, weights, out, rule, tile=tile, scratch=scratch, **how)


def _by_event(
    run: Run, number: int, weights: Conv, x: torch.Tensor, out: torch.Tensor, rule: Any, map_: Map, how: dict[str, Any]
) -> torch.Tensor | None:
    """Call the event-driven kernel, which takes words as they are; return what a dense one behind it has to know."""
    assert run.events is not None
    steps, (counts, *_) = how.get("steps", 0), how.get("counts") or (None,)
    shifted = x.dtype == torch.uint8 and not steps

    def make() -> Any:
        return replace(rule, fill=rule.fill - weights.sums) if shifted else rule

    plain = run.constants.of((number, "plain", id(rule)), make)
    flat, to = x.flatten(1), out.flatten(2 if out.ndim > 2 and isinstance(rule, Sums) and steps else 1)
    v = None if how.get("v") is None else how["v"].flatten(1)
    return run.events.run(number, map_, flat, to, plain, steps=steps, v=v, counts=counts)


def _pixel(values: torch.Tensor, lead: int) -> torch.Tensor:
    return values.view(*values.shape[:lead], 1, 1, -1)


def _weights(run: Run, number: int, map_: Map) -> Conv:
    device = run.constants.device

    def make() -> Conv:
        if flat(map_):
            return dense(matrix(map_), device)
        geometry = (map_["stride"], map_["padding"], map_["dilation"], map_["groups"])
        source, target = _image(map_.source), _image(map_.target)
        return Conv.of(map_["weight"], source, target, *geometry, device)

    return run.constants.of((number, "conv"), make)


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    channels, height, width = shape
    return channels, height, width


def _rule(run: Run, made: Layer, weights: Conv) -> Any:
    assert made.neuron is not None
    neuron: Any = run.program.operations[made.neuron]
    apply: Any = run.program.operations[made.apply]
    map_: Map = apply.map
    fill = np.zeros(1, np.int32) if made.fill is None else run.program.operations[made.fill].value  # type: ignore[attr-defined]

    def values(given: npt.NDArray[np.int32]) -> torch.Tensor:
        return run.constants.put(_of_sums(given, map_))

    def make() -> Any:
        if isinstance(neuron, IfStep):
            threshold, bias, v_min = map(values, (neuron.threshold, neuron.bias, neuron.v_min))
            rule: Any = If.of(values(fill), threshold, bias, v_min, neuron.reset)
        else:
            rule = Fire(values(fill), values(neuron.threshold), neuron.bits, neuron.signed, neuron.max_spikes)
        return prepared(weights, rule, _unsigned(run, apply))

    return run.constants.of((made.neuron, "rule"), make)


def _of_sums(values: npt.NDArray[np.int32], map_: Map) -> npt.NDArray[np.int32]:
    """Return a parameter as 1 value, or one for each channel of a convolution, or each sum of a dense map."""
    if values.size == 1:
        return values.reshape(1)
    if not flat(map_):
        return values.reshape(-1)
    whole = values if values.ndim == len(map_.target) else values.reshape(-1, *(1,) * (len(map_.target) - 1))
    every = np.broadcast_to(whole, map_.target)
    return in_order(every).reshape(-1)


def _unsigned(run: Run, apply: Apply) -> bool:
    register = next(r for r in run.program.registers if r.name == apply.x)
    return register.dtype == "uint8" and apply.x not in run.schedule.packed


def _counted(run: Run, number: int, pixel: bool) -> Counts:
    """Return where the spikes of a layer are counted; pixel: the kernel sees its neurons as channels of one."""
    op: Any = run.program.operations[number]
    mode, bits = ("popcount", BITS) if op.word in run.schedule.packed else (op.mode, op.bits)
    out = run.counters[op.slot]

    def make() -> Counts:
        fan_out = in_order(op.fan_out)
        return Counts.of(fan_out.reshape(-1) if pixel else fan_out, out, mode, bits)

    known: Counts = run.constants.of((number, "counts"), make)
    return replace(known, out=out)


def _first(run: Run, number: int, field: str) -> int:
    return run.schedule.used[number, field][0]


def _row(run: Run, number: int) -> torch.Tensor:
    """Return the one row that a map reads."""
    return run.registers[run.program.operations[number].x][_first(run, number, "x")]  # type: ignore[attr-defined]
