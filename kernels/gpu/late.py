# SPDX-License-Identifier: Apache-2.0
"""Noise, and synapses with delays of their own, in torch's operators."""

import numpy as np
import torch

from spikerun.kernels import philox
from spikerun.kernels.gpu.layout import in_order, on_device
from spikerun.kernels.gpu.matrices import synapses
from spikerun.kernels.gpu.rows import At

__all__ = ["arrive", "poisson", "scatter"]

LOW = 0xFFFFFFFF


def poisson(at: At) -> None:
    """s[n] = how many of the thresholds of neuron n are smaller than its word of this pass."""
    shape, op = at.described("s").shape, at.op
    number = at.constant("number", lambda: in_order(np.arange(np.prod(shape)).reshape(shape)).reshape(-1))
    thresholds = at.constant("thresholds", lambda: op.thresholds.astype(np.int64))
    found = []
    for t in at.passes:
        word = _philox(op.seed, number, (t >> 2) & LOW, t >> 34)[t & 3]
        if thresholds.ndim == 1:
            found.append(torch.searchsorted(thresholds, word))
        else:
            each = word.reshape(-1, len(thresholds)).T.contiguous()
            found.append(torch.searchsorted(thresholds, each).T.reshape(-1))
    rows = torch.stack(found).reshape(len(found), 1, *on_device(shape))
    at.put("s", rows.expand(len(found), at.samples, *on_device(shape)))


def _philox(seed: int, number: torch.Tensor, second: int, third: int) -> list[torch.Tensor]:
    """Return the four words of each number, as `spikerun.kernels.philox.philox` does, in int64."""
    b, c, d = (torch.full_like(number, value) for value in (second, third, philox.POISSON))
    a, key = number.clone(), (seed & LOW, seed >> 32)
    for turn in range(philox.ROUNDS):
        left, right = ((k + turn * add) & LOW for k, add in zip(key, philox.ADD, strict=True))
        first, other = a * int(philox.MULTIPLY[0]), c * int(philox.MULTIPLY[1])  # modulo 2^64
        b, d = b ^ ((other >> 32) & LOW) ^ left, d ^ ((first >> 32) & LOW) ^ right
        a, b, c, d = b, other & LOW, d, first & LOW
    return [a, b, c, d]


def scatter(at: At) -> None:
    """ring[(t + delay + d) % slots, j] += w x[i] << bits, for each synapse."""
    op = at.op
    made = at.run.constants.of((at.number, "places"), lambda: [at.run.constants.put(p) for p in synapses(op.map)])
    sources, targets, weights, delays = made
    ring = at.state("ring").flatten(1)
    size, last = ring.shape[1] // op.slots, op.slots - 1
    kind = torch.int32 if ring.shape[1] < 2**31 else torch.int64
    for x, t in zip(at.read("x"), at.passes, strict=True):
        values = (x.flatten(1).index_select(1, sources).to(torch.int64) * weights << op.bits).to(torch.int32)
        slots = (delays + (t + op.delay & last)) & last
        ring.index_add_(1, slots.to(kind) * size + targets, values)


def arrive(at: At) -> None:
    """acc += ring[t % slots], which then is 0."""
    ring = at.state("ring")
    slots = [t % at.op.slots for t in at.passes]
    at.add("acc", torch.stack([ring[:, slot] for slot in slots]))
    for slot in slots:
        ring[:, slot] = 0
