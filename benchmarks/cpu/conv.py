# SPDX-License-Identifier: Apache-2.0
"""A 3x3 convolution of few-spikes words beside int8 of ONNX Runtime and float of torch, by how many words are active.

    python benchmarks/cpu/conv.py [--rounds 15]

One thread, batch 1, T = 5, int8 weights; words are random and independent, 1.4 spikes in an active one. A layer: words
in, sums, thresholds, words out, as the runtime chooses its kernels, one call from Python; its words come as they lie
between layers, and stay there. ONNX Runtime makes uint8 of uint8 meanwhile, channels last. Kernels: the sums alone,
event by event and dense. Binary: all words are 1, which is a time step of a spiking network. All take turns of 32
calls, each with the next of 8 inputs; thread CPU time, medians of the ratios of a round.

The physical limit, event by event: of two active inputs and 64 outputs a core makes 4 interleavings, 4 multiplications
and 4 additions of 32 bytes, 4 of which can go at once: 43 MACs a cycle, with AVX2 and, on Zen 4, which takes two cycles
for 64 bytes, with AVX-512; weights that come from its second cache, 32 bytes a cycle: 32 MACs. Dense: with VNNI 64 MACs
a cycle on Zen 4, without 57 for words of 5 bits (9 operations for 128), 32 for words of 16 bits.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from layers import kernel, node_session, quantisation, weights, words
from onnx import helper
from record import record
from turns import INPUTS, Array, Call, in_turns, over

from spikerun.kernels.cpu.cost import calibrate
from spikerun.kernels.cpu.maps import Candidate
from spikerun.kernels.cpu.native import Linear, Program, isa

NAME = "cpu_conv"
SHAPES = ((64, 32), (128, 16), (256, 8))  # channels, in and out, and the side of the image
BINARY = ((128, 16, 0.1), (64, 32, 0.05))  # and the share of words that are active
ACTIVE = (0.05, 0.1, 0.15, 0.3, 0.6, 1.0)
BITS, THRESHOLD = 5, 3000
TURN = 4 * INPUTS  # calls: the first ones bring back what others have pushed out of the caches


def layer(linear: Linear, x: Array, cut: int) -> Call:
    """Return the call of a layer, words in and words out."""
    program = Program([("int16", linear.n_in, 0), ("int32", linear.n_out, 0), ("int16", linear.n_out, linear.n_in)])
    program.fill(acc=1, value=np.zeros(1, np.int32))
    program.apply(x=0, acc=1, map=linear, cut=cut)
    threshold = np.full(1, THRESHOLD, np.int32)
    program.fire(v=1, word=2, threshold=threshold, bits=BITS, signed=False, max_spikes=BITS)
    work, wide = program.workspace(), x.astype(np.int16)
    return lambda k: program.step(work, 1, rows=[(0, wide[k : k + 1])])


def int8(weight: Array, x: Array, side: int) -> Call:
    """Return the call of ONNX Runtime, channels last."""
    channels = weight.shape[3]
    attributes = {"channels_last": 1, "kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    names = ["x", "s", "z", "w", "s", "t", "a", "z"]
    node = helper.make_node("QLinearConv", names, ["y"], domain="com.microsoft", **attributes)
    constants = {**quantisation(THRESHOLD), "w": weight.transpose(3, 2, 0, 1)}
    given = x.reshape(INPUTS, 1, side, side, channels)
    return node_session(node, constants, given, (np.uint8, [1, side, side, channels]))


def float32(weight: Array, x: Array, side: int) -> Call:
    """Return the call of torch, channels last, which is the faster of its two on such shapes or equal."""
    channels = weight.shape[3]
    form = torch.channels_last
    w = torch.from_numpy(weight.transpose(3, 2, 0, 1).astype(np.float32)).to(memory_format=form)
    images = torch.from_numpy(x.reshape(INPUTS, side, side, channels).transpose(0, 3, 1, 2).astype(np.float32))
    given = [image[None].to(memory_format=form) for image in images]

    def call(k: int) -> Any:
        with torch.inference_mode():
            return torch.nn.functional.conv2d(given[k], w, padding=1)

    return call


def measure(channels: int, side: int, active: float, binary: bool, rounds: int) -> None:
    """Measure and record one shape at one activity."""
    rng = np.random.default_rng(0)
    weight = weights(rng, 3, 3, channels, channels)
    shape = (side, side, channels)
    linear = Linear.conv(weight, shape, shape, (1, 1), (1, 1), (1, 1), 1)
    x = words(rng, INPUTS, linear.n_in, active, 1 if binary else 2**BITS - 1)
    ((_, cost),) = calibrate([Candidate([linear], 1 if binary else 2**BITS - 1)])
    cut = cost.cut(linear.n_in)
    calls = [
        layer(linear, x, cut),
        kernel(linear.apply_event, x, linear.n_out),
        kernel(linear.apply_dense, x, linear.n_out),
        int8(weight, x, side),
        float32(weight, x, side),
    ]
    times = in_turns([lambda k, call=call: call(k % INPUTS) for call in calls], rounds, TURN)
    what = f"{channels}->{channels}@{side}, {active:.0%} active{', binary' if binary else ''}, {isa()}"
    for name, column in zip(("layer", "events", "dense", "onnxruntime int8", "torch float32"), times.T, strict=True):
        record(NAME, f"{what}: {name}", float(np.median(column)), "us")
    for name, column in (("onnxruntime int8", 3), ("torch float32", 4)):
        record(NAME, f"{what}: {name} over layer", over(times, column, 0), "x")


def main() -> None:
    """Measure all shapes and activities."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for channels, side in SHAPES:
        for active in ACTIVE:
            measure(channels, side, active, False, rounds)
    for shape in BINARY:
        measure(*shape, True, rounds)


if __name__ == "__main__":
    main()
