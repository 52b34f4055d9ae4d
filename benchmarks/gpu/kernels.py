# SPDX-License-Identifier: Apache-2.0
"""The kernels of a GPU by themselves, beside what torch has: microseconds of a call within a CUDA graph.

    python benchmarks/gpu/kernels.py [PART ...]

Parts, all by default:

events   linear layers at batch 1 whose silent inputs are not read, beside cuBLAS in half precision: cold, with weights
         that take turns and are more than the L2 cache holds, and hot.
neurons  16.8 million IF and LIF neurons over T steps, currents of 16 bits, spikes as temporal bytes; beside torch,
         eager and compiled, in half precision, and a copy of as many bytes.
layers   convolutions of VGG-11 on 32x32 with IF neurons and max-pool in one kernel, T = 4 and 8, batches 256 and 1;
         beside cuDNN's convolution alone in half precision.
halved   int8 products with two of each four weights zero, beside all weights and beside cuBLAS in int8.

Spikes are drawn anew for each figure. Before anything is timed its result is compared, number by number. The limits:
a graph's node takes 1.1 us, weights of active inputs come from memory once, each current is read once.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import clock
import numpy as np
import torch
from clock import record

from spikerun.kernels.gpu.conv import Conv, conv, prepared, scratch_size, tile_for
from spikerun.kernels.gpu.event import COLUMNS, event_linear
from spikerun.kernels.gpu.halved import halved, multiply
from spikerun.kernels.gpu.linear import dense, linear
from spikerun.kernels.gpu.machine import gpu
from spikerun.kernels.gpu.neurons import if_steps, lif_steps
from spikerun.kernels.gpu.rules import If, Lif, Sums

NAME = "gpu_kernels"
DEVICE = torch.device("cuda", 0)
COLD = 100e6  # bytes: more than the L2 cache holds
NEURONS = 1 << 24
EVENTS = (
    (4096, 4096, 1, 0.05), (4096, 4096, 4, 0.05), (4096, 4096, 4, 0.10), (4096, 4096, 8, 0.05), (4096, 16384, 1, 0.05),
)  # fmt: skip
LAYERS = ((3, 64, 32, True), (64, 128, 16, True), (128, 256, 8, False), (256, 256, 8, True), (256, 512, 4, False),
          (512, 512, 4, True), (512, 512, 2, False), (512, 512, 2, True))  # fmt: skip
HALVED = ((4096, 4096, 4096), (16384, 4096, 4096), (4096, 8192, 8192))


def numbers(*values: int) -> torch.Tensor:
    """Return int32 numbers on the device."""
    return torch.tensor(values, dtype=torch.int32, device=DEVICE)


def spikes(steps: int, shape: tuple[int, ...], rate: float) -> torch.Tensor:
    """Return temporal bytes."""
    byte = torch.zeros(shape, dtype=torch.uint8, device=DEVICE)
    for t in range(steps):
        byte |= (torch.rand(shape, device=DEVICE) < rate).to(torch.uint8) << t
    return byte


def same(got: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    """Raise where results differ."""
    if not torch.equal(got, expected.to(got.dtype)):
        raise AssertionError(f"{what}: {int((got != expected).sum())} of {got.numel()} numbers are wrong")


def weights(*shape: int) -> torch.Tensor:
    """Return random int8 weights."""
    return torch.randint(-127, 128, shape, dtype=torch.int8, device=DEVICE)


def of_events() -> None:
    """Measure event-driven linear layers."""
    machine = gpu(DEVICE)
    for n_in, n_out, steps, rate in EVENTS:
        what = f"linear {n_in}x{n_out}, T = {steps}, {100 * rate:.0f} % active"
        sets = max(2, int(COLD // (n_in * n_out)) + 1)
        ours: list[clock.Call] = []
        theirs: list[clock.Call] = []
        for _ in range(sets):
            w, x = weights(n_in, -(-n_out // COLUMNS) * COLUMNS), spikes(steps, (1, n_in), rate)
            out = torch.empty((steps, 1, n_out), dtype=torch.int32, device=DEVICE)
            seen = torch.zeros(3, dtype=torch.int64, device=DEVICE)
            rule, active = Sums(numbers(0)), numbers(0)
            call = partial(event_linear, machine, x, w, out, rule, active=active, seen=seen, steps=steps)
            call()
            rows = torch.cat([(x >> t) & 1 for t in range(steps)])
            same(out[:, 0], rows.double() @ w[:, :n_out].double(), what)
            half, wide = rows.half(), w[:, :n_out].t().contiguous().half()
            ours.append(call)
            theirs.append(partial(torch.mm, half, wide.t()))
        compared(f"{what}, cold", clock.graph_us(ours, 5), "cuBLAS fp16", clock.graph_us(theirs, 5))
        compared(f"{what}, hot", clock.graph_us(ours[:1], 50), "cuBLAS fp16", clock.graph_us(theirs[:1], 50))


def compared(what: str, ours: float, other: str, theirs: float) -> None:
    """Record two times, and how often the first goes into the second."""
    record(NAME, what, ours, "us")
    record(NAME, f"{what}: {other}", theirs, "us")
    record(NAME, f"{what}: {other} over ours", theirs / ours, "x")


def of_neurons() -> None:
    """Measure neurons of all steps in one pass."""
    for steps in (4, 8):
        i = torch.randint(-200, 400, (steps, NEURONS), dtype=torch.int16, device=DEVICE)
        out = torch.empty(NEURONS, dtype=torch.uint8, device=DEVICE)
        rule = If.of(numbers(0), numbers(500), numbers(3), numbers(-1000))
        zero = numbers(0)
        leaky = Lif(
            numbers(500), numbers(60000), zero, zero, zero, zero, numbers(-(2**23)), reset="subtract", decays=False
        )
        if_steps(i, None, out, rule)
        same(out, plain_if(i.int(), 3, 500, -1000), "IF")
        lif_steps(i, None, out, leaky)
        same(out[:65536], plain_leaky(i[:, :65536].long()), "LIF")
        moved = torch.empty(NEURONS * (2 * steps + 1) // 2, dtype=torch.uint8, device=DEVICE)
        there, half = torch.empty_like(moved), i.half()
        fused = torch.compile(plain_lif)
        what = f"{NEURONS / 1e6:.1f} million neurons, T = {steps}"
        record(NAME, f"{what}: a copy of as many bytes", clock.graph_us([lambda: there.copy_(moved)], 5), "us")  # noqa: B023
        ours = clock.graph_us([lambda: lif_steps(i, None, out, leaky)], 5)  # noqa: B023
        record(NAME, f"{what}: IF", clock.graph_us([lambda: if_steps(i, None, out, rule)], 5), "us")  # noqa: B023
        compared(f"{what}: LIF", ours, "torch.compile fp16", clock.call_us(lambda: fused(half)))  # noqa: B023
        record(NAME, f"{what}: LIF: torch fp16", clock.call_us(lambda: plain_lif(half)), "us")  # noqa: B023


def plain_if(i: torch.Tensor, bias: int, threshold: int, least: int) -> torch.Tensor:
    """Return the temporal bytes of IF neurons that subtract."""
    v, byte = torch.zeros_like(i[0]), torch.zeros_like(i[0])
    for t, current in enumerate(i):
        v = (v + current + bias).clamp(least, 2**23 - 1)
        s = v >= threshold
        v, byte = v - threshold * s, byte | (s.int() << t)
    return byte


def plain_leaky(i: torch.Tensor) -> torch.Tensor:
    """Return the temporal bytes of LIF neurons that keep 60000 / 2^16 of their membrane and subtract 500."""
    v, byte = torch.zeros_like(i[0]), torch.zeros_like(i[0])
    for t, current in enumerate(i):
        v = v.sign() * (v.abs() * 60000 >> 16) + current
        s = v > 500
        v, byte = v - 500 * s, byte | (s.long() << t)
    return byte


def plain_lif(i: torch.Tensor) -> torch.Tensor:
    """Return the spikes of LIF neurons, as frameworks have them: one number of the type of currents each."""
    v, out = torch.zeros_like(i[0]), []
    for current in i:
        v = v * 0.9155 + current
        s = (v > 500).to(i.dtype)
        v = v - 500 * s
        out.append(s)
    return torch.stack(out)


def of_layers() -> None:
    """Measure convolutions with IF neurons and max-pool, one by one and as one graph."""
    for batch, steps in ((256, 4), (256, 8), (1, 4)):
        calls: list[clock.Call] = []
        for number, (cin, cout, size, pool) in enumerate(LAYERS):
            call, alone = layer(batch, steps, cin, cout, size, pool, number == 0)
            what = f"conv {cin}->{cout} on {size}x{size}, IF{', pool' if pool else ''}, T = {steps}, batch {batch}"
            rounds = 5 if batch > 1 else 20
            compared(what, clock.graph_us([call], rounds), "cuDNN fp16, no neurons", clock.graph_us([alone], rounds))
            calls.append(call)
        what = f"the convolutions of VGG-11, T = {steps}, batch {batch}, one graph"
        record(NAME, what, clock.replay_us(lambda: [call() for call in calls]), "us")  # noqa: B023


def layer(
    batch: int, steps: int, cin: int, cout: int, size: int, pool: bool, first: bool
) -> tuple[Callable[[], None], Callable[[], torch.Tensor]]:
    """Return a layer, checked on some images, and the convolution alone of steps times images in half precision."""
    w = weights(cout, cin, 3, 3)
    one = (1, 1)
    prepared_conv = Conv.of(w.cpu().numpy(), (cin, size, size), (cout, size, size), one, one, one, 1, DEVICE)
    shape = (batch, size, size, cin)
    x = torch.randint(0, 256, shape, dtype=torch.uint8, device=DEVICE) if first else spikes(steps, shape, 0.1)
    threshold = 60000 if first else int(70 * (9 * cin) ** 0.5)
    rule = prepared(prepared_conv, If.of(numbers(0), numbers(threshold), numbers(0), numbers(-(2**23))), first)
    side = size // 2 if pool else size
    out = torch.empty((batch, side, side, cout), dtype=torch.uint8, device=DEVICE)
    tile = tile_for(prepared_conv, batch, steps, first)
    scratch = torch.zeros(scratch_size(prepared_conv, batch, steps, tile), dtype=torch.int32, device=DEVICE)

    def call() -> None:
        conv(x, prepared_conv, out, rule, steps=steps, constant=first, pool=pool, tile=tile, scratch=scratch)

    call()
    some = x[:4].permute(0, 3, 1, 2)
    frames = [some if first else (some >> t) & 1 for t in range(steps)]
    currents = torch.stack([torch.conv2d(f.double(), w.double(), padding=1) for f in frames]).int()
    byte = plain_if(currents, 0, threshold, -(2**23) + 1)
    if pool:
        byte = byte.unflatten(2, (side, 2)).unflatten(4, (side, 2))
        byte = byte[:, :, :, 0] | byte[:, :, :, 1]
        byte = byte[..., 0] | byte[..., 1]
    same(out[:4], byte.permute(0, 2, 3, 1), "conv and IF")
    count = batch if first else steps * batch
    image = torch.rand((count, cin, size, size), device=DEVICE).half().contiguous(memory_format=torch.channels_last)
    half = w.half().contiguous(memory_format=torch.channels_last)
    return call, lambda: torch.conv2d(image, half, padding=1)


def of_halved() -> None:
    """Measure products with half the weights."""
    for rows, n_in, n_out in HALVED:
        drawn = weights(n_in // 4, 4, n_out)
        drawn[:, 2:] = 0
        w, x = drawn.reshape(n_in, n_out), (torch.rand((rows, n_in), device=DEVICE) < 0.1).to(torch.int8)
        array = w.cpu().numpy()
        sparse, all_, rule = halved(array, DEVICE), dense(array, DEVICE), Sums(numbers(*[0] * n_out))
        out, column = torch.empty((rows, n_out), dtype=torch.int32, device=DEVICE), w.t().contiguous()
        linear(x, all_, out, rule)
        same(multiply(x, sparse), out, "2:4")
        same(torch._int_mm(x, column.t()), out, "cuBLAS int8")
        what = f"{rows} rows, {n_in}x{n_out}, 2:4, int8"
        ours = clock.graph_us([lambda: multiply(x, sparse)], 5)  # noqa: B023
        compared(what, ours, "all weights, ours", clock.graph_us([lambda: linear(x, all_, out, rule)], 5))  # noqa: B023
        compared(what, ours, "all weights, cuBLAS int8", clock.graph_us([lambda: torch._int_mm(x, column.t())], 5))  # noqa: B023


PARTS: dict[str, Callable[[], None]] = {
    "events": of_events,
    "neurons": of_neurons,
    "layers": of_layers,
    "halved": of_halved,
}


def main() -> None:
    """Measure the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    np.random.seed()
    torch.backends.cudnn.benchmark = True
    with torch.inference_mode():
        for part in parser.parse_args().parts or PARTS:
            PARTS[part]()


if __name__ == "__main__":
    main()
