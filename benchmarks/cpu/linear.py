# SPDX-License-Identifier: Apache-2.0
"""Linear layers, weights that are mostly zero, and depthwise convolutions of words beside ONNX Runtime and torch.

    python benchmarks/cpu/linear.py [--rounds 9]

One thread, batch 1, int8 weights, the kernels alone (a call from Python, 0.5 us of it the call itself). Words of T = 5
are random and independent, 1.4 spikes in an active one; binary: all words are 1. All take turns, 32 inputs each (of
depthwise ones, which are larger, 8), so that rows are not those of the time before; each turn begins with all of them
once, unmeasured, so that weights are where a network alone on its machine has them: 16 MiB in the last cache. Thread
CPU time, medians of the ratios of a round. ONNX Runtime int8 is the faster one of QLinearMatMul and MatMulInteger.

The physical limit of the large layer is memory: each row of an active input is read once, n_in * n_out * active bytes,
at the rate at which the core reads rows of 4 KiB that lie apart. ONNX Runtime reads all of the matrix in one piece: it
cannot be beaten by more than 1 / active where it does so at the same rate. In a near cache the limit is the core: of
two rows and 64 outputs AVX2 makes 4 interleavings, 4 multiplications and 4 additions, of which 4 go at once: 43 MACs a
cycle. Blocks of 16 outputs (90 % zeros) take three instructions on vectors and one store for 16 MACs; CSR (95 % zeros)
one store for each MAC, so one cycle at least. Depthwise convolutions read 2 bytes a word, and read and write 4 a sum:
112 x 112 x 32 are 4 MB, at 40 GB/s 100 us.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from layers import kernel, node_session, quantisation, weights, words
from onnx import helper
from record import record
from turns import Array, Call, in_turns, over

from spikerun.kernels.cpu.native import Linear, isa

NAME = "cpu_linear"
INPUTS, FEWER, THRESHOLD, LARGEST = 32, 8, 3000, 31
SHAPES = ((512, 512), (1024, 1024), (4096, 4096))
ACTIVE = (0.05, 0.1, 0.3, 1.0)
ZEROS = {"blocks of 16, 90% zeros": (0.9, 16), "csr, 95% zeros": (0.95, 1)}
# side, channels, kernel, stride: of EfficientNet-Lite0, T = 6, half of the words active
DEPTHWISE = ((112, 32, 3, 1), (112, 96, 3, 2), (56, 144, 5, 2), (28, 240, 5, 1), (14, 480, 3, 1), (14, 672, 5, 1))


def report(
    what: str, named: dict[str, Call], ratios: list[tuple[str, str]], rounds: int, inputs: int = INPUTS
) -> dict[str, float]:
    """Let all take turns; record their times, and the ratios of two of them. Return the medians."""
    times = in_turns(list(named.values()), rounds, inputs, warm=True)
    names = list(named)
    medians = {name: float(np.median(column)) for name, column in zip(names, times.T, strict=True)}
    for name, taken in medians.items():
        record(NAME, f"{what}: {name}", taken, "us")
    for slow, fast in ratios:
        record(NAME, f"{what}: {slow} over {fast}", over(times, names.index(slow), names.index(fast)), "x")
    return medians


def int8_matmul(weight: Array, x: Array) -> dict[str, Call]:
    """Return both ways of ONNX Runtime."""
    n_out, given = weight.shape[1], x[:, None]
    quantised = helper.make_node("QLinearMatMul", ["x", "s", "z", "w", "s", "t", "a", "z"], ["y"])
    constants = {**quantisation(THRESHOLD), "w": weight}
    plain = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    return {
        "QLinearMatMul": node_session(quantised, constants, given, (np.uint8, [1, n_out])),
        "MatMulInteger": node_session(plain, {"w": weight}, given, (np.int32, [1, n_out])),
    }


def float_matmul(weight: Array, x: Array) -> dict[str, Call]:
    """Return ONNX Runtime and torch in float32."""
    w, given = weight.astype(np.float32), x[:, None].astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    layer, rows = torch.from_numpy(w.T.copy()), torch.from_numpy(given)

    def call(k: int) -> object:
        with torch.inference_mode():
            return torch.nn.functional.linear(rows[k], layer)

    return {
        "onnxruntime float32": node_session(node, {"w": w}, given, (np.float32, [1, w.shape[1]])),
        "torch float32": call,
    }


def matmul(n_in: int, n_out: int, active: float, binary: bool, rounds: int) -> None:
    """Measure and record one layer at one activity; float, which does not depend on it, at 10 %."""
    rng = np.random.default_rng(0)
    weight = weights(rng, n_in, n_out)
    x = words(rng, INPUTS, n_in, active, 1 if binary else LARGEST)
    linear = Linear.dense(weight)
    named = {"events": kernel(linear.apply_event, x, n_out), "dense": kernel(linear.apply_dense, x, n_out)}
    int8 = int8_matmul(weight, x)
    faster = min(int8, key=lambda name: float(np.median(in_turns([int8[name]], 3, INPUTS, warm=True))))
    named["onnxruntime int8"] = int8[faster]
    if active == 0.1 and not binary:
        named |= float_matmul(weight, x)
    best = "dense" if active == 1 else "events"
    what = f"{n_in}x{n_out}, {active:.0%} active, {'binary' if binary else 'words'}, {isa()}"
    medians = report(what, named, [(name, best) for name in named if "32" in name or "int8" in name], rounds)
    record(NAME, f"{what}: {best}, read", active * n_in * n_out / medians[best] / 1000, "GB/s")
    record(NAME, f"{what}: onnxruntime int8, read", n_in * n_out / medians["onnxruntime int8"] / 1000, "GB/s")


def listed(pattern: str, n: int, active: float, rounds: int) -> None:
    """Measure and record a layout of weights that are mostly zero beside the dense one, each in its faster kernel."""
    rng, (zeros, block) = np.random.default_rng(0), ZEROS[pattern]
    keep = np.repeat(rng.random((n, n // block)) >= zeros, block, axis=1)
    weight = np.where(keep, rng.integers(1, 128, (n, n)), 0).astype(np.int8)
    begin = np.concatenate([[0], np.cumsum(np.count_nonzero(weight, axis=1))])
    rows, columns = np.nonzero(weight)
    kept = (
        Linear.blocks(weight) if block > 1 else Linear.sparse(begin, columns.astype(np.int32), weight[rows, columns], n)
    )
    x = words(rng, INPUTS, n, active, LARGEST)
    maps = {"dense": Linear.dense(weight), "kept": kept}
    named = {name: kernel(one.apply_event if active < 1 else one.apply_dense, x, n) for name, one in maps.items()}
    report(f"{n}x{n}, {pattern}, {active:.0%} active, {isa()}", named, [("dense", "kept")], rounds)


def depthwise(side: int, channels: int, size: int, stride: int, rounds: int) -> None:
    """Measure and record one depthwise convolution."""
    rng, to = np.random.default_rng(0), side // stride
    weight = weights(rng, size, size, 1, channels)
    pad = size // 2
    geometry = ((side, side, channels), (to, to, channels), (stride, stride), (pad, pad), (1, 1))
    linear = Linear.conv(weight, *geometry, channels)
    x = words(rng, FEWER, linear.n_in, 0.5, 63)
    oihw = np.ascontiguousarray(weight.transpose(3, 2, 0, 1))
    attributes = {"group": channels, "kernel_shape": [size] * 2, "pads": [pad] * 4, "strides": [stride] * 2}
    names = ["x", "s", "z", "w", "s", "t", "a", "z"]
    int8 = helper.make_node("QLinearConv", names, ["y"], domain="com.microsoft", channels_last=1, **attributes)
    given = x.reshape(FEWER, 1, side, side, channels)
    image = np.ascontiguousarray(given.transpose(0, 1, 4, 2, 3)).astype(np.float32)
    plain = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    named = {
        "events": kernel(linear.apply_event, x, linear.n_out),
        "dense": kernel(linear.apply_dense, x, linear.n_out),
        "onnxruntime int8": node_session(
            int8, {**quantisation(THRESHOLD), "w": oihw}, given, (np.uint8, [1, to, to, channels])
        ),
        "onnxruntime float32": node_session(
            plain, {"w": oihw.astype(np.float32)}, image, (np.float32, [1, channels, to, to])
        ),
    }
    ratios = [("onnxruntime int8", "events"), ("onnxruntime float32", "events")]
    what = f"depthwise {size}x{size}, stride {stride}, {channels}@{side}, {isa()}"
    medians = report(what, named, ratios, rounds, FEWER)
    record(NAME, f"{what}: dense", to * to * channels * size**2 / medians["dense"] / 1000, "GMAC/s")


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    parser.add_argument("--only", choices=("linear", "listed", "depthwise"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only in (None, "linear"):
        for shape in SHAPES:
            for active in ACTIVE:
                matmul(*shape, active, False, arguments.rounds)
            matmul(*shape, 0.1, True, arguments.rounds)
    if arguments.only in (None, "listed"):
        for pattern in ZEROS:
            for active in ACTIVE:
                listed(pattern, 4096, active, arguments.rounds)
    if arguments.only in (None, "depthwise"):
        for shape in DEPTHWISE:
            depthwise(*shape, arguments.rounds)


if __name__ == "__main__":
    main()
