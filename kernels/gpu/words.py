# SPDX-License-Identifier: Apache-2.0
"""Operations on words and sums, element by element, in torch's operators."""

import numpy as np
import torch

from spikerun.kernels.gpu import counting, neurons
from spikerun.kernels.gpu.layout import in_order
from spikerun.kernels.gpu.rows import BITS, At
from spikerun.kernels.gpu.rules import Fire as Rule

__all__ = ["accumulate", "add_shifted", "clear", "collect", "copy", "count", "decide", "encode", "fill", "fire",
           "fire_levels", "latch", "send", "weigh"]  # fmt: skip

NEVER = 2**31 - 1


def fill(at: At) -> None:
    """acc = value."""
    at.put("acc", at.value("value") if at.op.value.ndim else int(at.op.value))


def clear(at: At) -> None:
    """x = 0."""
    at.put("x", 0)


def copy(at: At) -> None:
    """y = x."""
    at.put("y", at.read("x"))


def encode(at: At) -> None:
    """s = the events of the integers q."""
    q, g, code = at.whole("q"), at.significance, at.op.code
    if code in ("graded", "current") and set(at.op.significance) == {1}:
        at.put("s", at.read("q"))
        return
    if code == "bits":
        at.put("s", (q & (abs(g) if isinstance(g, int) else g.abs())) != 0)
    elif code == "ttfs":
        at.put("s", (q == g) & (q > 0))  # g > 0 where they are equal
    else:
        at.put("s", q * g)


def fire(at: At) -> None:
    """word = clip(floor(v / threshold), lo, hi), then its most significant spikes."""
    op, v, word = at.op, at.view("v"), at.view("word")
    if at.run.fast and op.bits <= BITS and v is not None and word is not None:
        threshold = at.value("threshold").reshape(-1)
        neurons.fire(v, word, Rule(threshold, threshold, op.bits, op.signed, op.max_spikes))
        return
    low, high = (-(1 << op.bits - 1), (1 << op.bits - 1) - 1) if op.signed else (0, (1 << op.bits) - 1)
    q = torch.div(at.read("v"), at.value("threshold"), rounding_mode="floor").clamp_(low, high)
    at.put("word", q if op.max_spikes >= op.bits else _most_significant(q, op.bits, op.signed, op.max_spikes))


def _most_significant(q: torch.Tensor, bits: int, signed: bool, spikes: int) -> torch.Tensor:
    kept, left = torch.zeros_like(q), torch.full_like(q, spikes)
    for place in range(bits - 1, -1, -1):
        bit = ((q >> place) & 1) * (left > 0)
        kept += bit * (-(1 << place) if signed and place == bits - 1 else 1 << place)
        left -= bit
    return kept


def fire_levels(at: At) -> None:
    """word = words[k], k = how many levels are <= v."""
    v = at.read("v")
    levels, words = at.constant("levels", lambda: at.op.levels), at.constant("words", lambda: at.op.words)
    if levels.ndim == 1:
        k = torch.bucketize(v, levels, right=True)
    else:
        k = torch.searchsorted(levels, v.movedim(-1, 0).reshape(len(levels), -1).contiguous(), right=True)
        k = k.reshape(v.shape[-1], *v.shape[:-1]).movedim(0, -1)
    channels = torch.arange(v.shape[-1], device=v.device) if words.ndim == 2 else None
    at.put("word", words[k] if channels is None else words[channels, k])


def latch(at: At) -> None:
    """u = v, left = limit."""
    at.put("u", at.read("v"))
    at.put("left", at.op.limit)


def send(at: At) -> None:
    """One step of restoring division in each pass."""
    u, left, s = at.state("u"), at.state("left"), []
    threshold = at.value("threshold")
    for t in at.passes:
        g = at.op.significance[t % at.op.when.period]
        fires = ((u >= threshold * g) if g > 0 else (u < 0)) & (left > 0) & (g != 0)
        u -= threshold * g * fires if g >= 0 else -(threshold * -g * fires)
        left -= fires.to(left.dtype)
        s.append(fires)
    at.put("s", torch.stack(s))


def weigh(at: At) -> None:
    """y = g x."""
    at.put("y", at.whole("x") * at.significance)


def accumulate(at: At) -> None:
    """total += g x."""
    at.add("total", at.whole("x") * at.significance)


def add_shifted(at: At) -> None:
    """total += x << bits."""
    at.add("total", at.read("x") << at.op.bits)


def collect(at: At) -> None:
    """answer = max(answer, v), or answer += v >> shift."""
    v = at.read("v")
    if at.op.mode == "mean":
        at.add("answer", v >> at.op.shift)
        return
    for row, places in at.groups("answer"):
        answer = at.run.registers[at.op.answer][row]
        largest = v[places[0] : places[-1] + 1].amax(dim=0)  # the passes of a row follow each other
        torch.maximum(answer, largest, out=answer)


def count(at: At) -> None:
    """counters[slot] += (spikes, sum of spikes * fan_out)."""
    if at.run.fast and _counted(at):
        return
    word, fan_out = at.whole("word"), at.value("fan_out").to(torch.int64)
    if at.op.mode == "popcount":
        spikes = sum(((word >> bit) & 1 for bit in range(at.op.bits)), torch.zeros_like(word)).to(torch.int64)
    else:
        spikes = (word != 0).to(torch.int64)
    if at.run.alive is not None:
        spikes *= at.run.alive.reshape(-1, *(1,) * (spikes.ndim - 2))
    counter = at.run.counters[at.op.slot]
    counter[0] += spikes.sum()
    counter[1] += (spikes * fan_out).sum()


def _counted(at: At) -> bool:
    """Count by one kernel; return False, having done nothing, where the words are not one piece of memory."""
    words, bits, times = at.bytes("word"), BITS, 1
    if words is None:
        words, times = at.piece("word")
        bits = at.op.bits if at.op.mode == "popcount" else 0
    if words is not None:
        fan_out = at.constant("flat", lambda: in_order(at.op.fan_out).reshape(-1))
        counting.count(words, fan_out, at.run.counters[at.op.slot], bits, times)
    return words is not None


def decide(at: At) -> None:
    """steps = t + 1; a sample ends where nothing can change any more where the largest of v is."""
    op, (t,) = at.op, at.passes
    at.put("steps", t + 1)
    v = at.state("v").flatten(1)
    rows = v.shape[1]
    first = (t - op.when.begin) * rows
    table = at.constant("bounds", lambda: op.bounds.astype("int64"))[first : first + rows]  # of each other one
    scaled = at.constant("scale", lambda: np.array(op.scale, np.float64)) if op.scale else None
    compared = v.to(torch.int64) if scaled is None else v * scaled
    best = compared.argmax(dim=1, keepdim=True)  # the first of equals
    k = torch.arange(rows, device=v.device)
    bound = table[:, 0] if table.shape[1] == 1 else table.T[best[:, 0]]
    most = compared.gather(1, best)
    ahead = most - (torch.zeros_like(compared) if op.rule == "reach" else compared)
    more = (k < best).to(torch.int64) if not op.scale and op.rule != "lead" else 0
    enough = (bound != NEVER) & (ahead >= bound + more)
    decided = (enough | (k == best)).all(dim=1)
    assert at.run.alive is not None
    at.run.alive.mul_(~decided)
