# SPDX-License-Identifier: Apache-2.0
"""Populations of words row by row: membranes of a row, and words that lie where their sources lay."""

import doctest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import random_network, seeds

from spikerun.connections import Conv, Dense, Diagonal, SumPool, Window
from spikerun.edge.golden import random_frames
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy, overlap
from spikerun.edge.mcu.build import SANITIZERS, WARNINGS, build, execute
from spikerun.edge.mcu.kernels import Call, bytes_of
from spikerun.edge.mcu.model import Printed, compose
from spikerun.errors import NetworkError
from spikerun.kernels.program import Register
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Levels, MaxPool, Readout


@pytest.fixture(scope="module")
def images() -> Network:
    """Convolutions of every kind, one after the other: padded, strided, dilated, grouped, residual, pooled."""
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-128, 128, shape).astype(np.int8)

    populations = {
        "in": Population((2, 9, 7), Input(5)),
        "wide": Population((20, 9, 7), FewSpikes(4, rng.integers(300, 900, 20), rng.integers(-99, 99, (20, 9, 7)))),
        "far": Population((16, 5, 6), FewSpikes(4, rng.integers(900, 2000, (16, 5, 6)), max_spikes=2)),
        "near": Population((16, 5, 6), FewSpikes(5, np.int32(700), np.int32(90), signed=True)),
        "added": Population((16, 5, 6), Levels(2, [[0, 900, 2000]] * 16, [[0, 1, 2, 3]] * 16)),
        "pool": Population((16, 3, 3), MaxPool()),
        "sums": Population((16, 2, 2), FewSpikes(8, np.int32(30))),
        "out": Population((4,), Readout()),
    }
    projections = [
        Projection("in", "wide", Conv(weights(20, 2, 3, 3), padding=(1, 1))),
        Projection("wide", "far", Conv(weights(16, 20, 3, 2), (2, 1), (1, 0))),
        Projection("far", "near", Conv(weights(16, 4, 3, 3), padding=(2, 2), dilation=(2, 2), groups=4)),
        Projection("near", "added", Conv(weights(16, 1, 3, 3), padding=(1, 1), groups=16)),
        Projection("far", "added", Diagonal(np.int32(300)), exponent=1),
        Projection("near", "added", Conv(weights(8, 16, 1, 1)), target_channels=(4, 12)),
        Projection("added", "pool", Window((3, 2), (2, 2), (1, 0))),
        Projection("pool", "sums", SumPool((2, 2), (1, 1), gain=np.int32(40))),
        Projection("sums", "out", Dense(weights(64, 4))),
    ]
    return Network(populations, projections, ["out"], 8)


def test_images_are_identical_on_the_host_under_sanitizers(
    images: Network, tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("gcc")
    deploy(images, tmp_path, "host", random_frames(images, 8), packing="dense")
    host = boards.load("host")
    program = build(tmp_path, host, "gcc", tmp_path / "program", (*WARNINGS, *SANITIZERS, "-O1"))
    transcript = execute(program, host, "none", timeout=60)
    assert transcript.complete and transcript.mismatches == []


def one_conv(source: tuple[int, int, int], bits: int, kernel: int, padding: int) -> Network:
    """Return a convolution of an image."""
    conv = Conv(np.full((4, source[0], kernel, kernel), 1, np.int8), padding=(padding, padding))
    target = conv.target_shape(source)
    populations = {"in": Population(source, Input(bits)), "out": Population(target, FewSpikes(8, np.int32(1 << 22)))}
    return Network(populations, [Projection("in", "out", conv)], "out", 16)


@pytest.mark.parametrize(
    ("source", "bits", "kernel", "padding"),
    [((4, 5, 1), 8, 3, 1), ((4, 5, 2), 1, 3, 1), ((3, 7, 4), 8, 5, 2), ((16, 3, 720), 16, 3, 1)],
    ids=["one column", "two columns of spikes", "less columns than the kernel", "sums of a row pass 32 bits"],
)
def test_every_neuron_of_an_image_may_be_active(
    source: tuple[int, int, int], bits: int, kernel: int, padding: int, tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("gcc")
    net, host = one_conv(source, bits, kernel, padding), boards.load("host")
    deploy(net, tmp_path, "host", np.full((1, *source), 2**bits - 1), packing="dense")
    program = build(tmp_path, host, "gcc", tmp_path / "program", (*WARNINGS, *SANITIZERS, "-O1"))
    transcript = execute(program, host, "none", timeout=60)
    assert transcript.complete and transcript.mismatches == []


@pytest.mark.parametrize("source", [(4, 8, 8), (256,)])
def test_a_dense_kernel_takes_an_image_as_one_pixel(
    source: tuple[int, ...], tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("qemu-system-arm", "arm-none-eabi-gcc")
    rng = np.random.default_rng(0)
    weights = Dense(rng.integers(-90, 128, (256, 48)).astype(np.int8))
    populations = {"in": Population(source, Input(8)), "image": Population((8, 3, 2), FewSpikes(4, np.int32(9000)))}
    net = Network(populations, [Projection("in", "image", weights)], "image", 8)
    frames = rng.integers(1, 256, (2, *source))
    bundle = deploy(net, tmp_path / "fw", "generic-cortex-m55", frames, run=True)
    assert "'dot'" in " ".join(bundle.verdict.notes)
    assert bundle.run is not None and bundle.run.identical


@pytest.mark.parametrize("board", ["generic-cortex-m0", "generic-cortex-m3", "generic-cortex-m4", "generic-cortex-m55"])
def test_images_are_identical_on_the_emulated_board(
    images: Network, tmp_path: Path, needs: Callable[..., None], board: str
) -> None:
    needs("qemu-system-arm", "arm-none-eabi-gcc")
    bundle = deploy(images, tmp_path / "fw", board, random_frames(images, 3), packing="dense", run=True)
    assert bundle.run is not None and bundle.run.mismatches == () and bundle.run.identical


def test_membranes_take_the_memory_of_a_row(images: Network) -> None:
    registers = compose(images, packing="dense").run.registers
    assert registers["wide:v"].shape == (20, 1, 7)
    assert registers["added:part"].shape == (16, 1, 6)
    assert registers["out:v"].shape == (4,)


def test_membranes_that_are_results_lie_there_whole() -> None:
    conv = Conv(np.ones((3, 1, 2, 2), np.int8))
    populations = {"in": Population((1, 6, 6), Input()), "out": Population((3, 5, 5), Readout())}
    registers = compose(Network(populations, [Projection("in", "out", conv)], "out", 8)).run.registers
    assert registers["out:v"].shape == (3, 5, 5)


def rows_of(printed: Printed, call: Call, register: Register, row: int) -> Iterator[int]:
    """Yield the rows of a source that a call reads for a target row; none where all that it sees is padding."""
    operation: Any = call.operation
    window = getattr(operation, "geometry", None)
    if window is not None:
        kernel, stride, padding, dilation = (
            p[0] for p in (window.kernel, window.stride, window.padding, window.dilation)
        )
    elif operation.map.kind == "diagonal":
        kernel, stride, padding, dilation = 1, 1, 0, 1
    else:
        known = dict(operation.map.parameters)
        kernel = known["weight"].shape[2] if "weight" in known else known["kernel"][0]
        stride, padding, dilation = known["stride"][0], known["padding"][0], known.get("dilation", (1, 1))[0]
    for k in range(kernel):
        y = row * stride - padding + k * dilation
        if 0 <= y < register.shape[1]:
            yield y


def never_overwritten_before_read(printed: Printed) -> int:
    """Execute a program on memory that knows which row of which register lies in each byte; return how many overlap."""
    memory: dict[int, tuple[str, int]] = {}
    overlapping = 0

    def stretch(register: Register, row: int, rows: int) -> range:
        size = register.size * bytes_of(register) // rows
        begin = printed.places[register.name] + row * size
        return range(begin, begin + size)

    for _, name in printed.program.inputs:
        register, rows = printed.registers[name], printed.registers[name].shape[1:2] or (1,)
        if name in printed.places:
            memory |= {at: (name, y) for y in range(rows[0]) for at in stretch(register, y, rows[0])}
    for loop in printed.loops:
        for row in range(loop.rows):
            for call in loop.calls:
                for operand in call.operands:
                    register = printed.registers[operand.register]
                    if operand.register not in printed.places or operand.field == "memory":
                        continue
                    height = register.shape[1] if len(register.shape) == 3 else 1
                    written = operand.role != "read"
                    if written:
                        seen = [row] if loop.rows == height else list(range(height))
                    elif call.kernel.row and not call.kernel.stretch and len(register.shape) == 3:
                        seen = list(rows_of(printed, call, register, row))
                    else:
                        seen = list(range(height))
                    for y in seen:
                        for at in stretch(register, y, height):
                            if written:
                                overlapping += memory.get(at, ("", 0))[0] not in ("", register.name)
                                memory[at] = register.name, y
                            else:
                                assert memory[at] == (register.name, y), (register.name, y, row)
    return overlapping


def test_no_row_of_images_is_overwritten_before_it_is_read(images: Network) -> None:
    assert never_overwritten_before_read(compose(images, packing="dense").run) > 0


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_no_row_of_a_random_network_is_overwritten_before_it_is_read(seed: int) -> None:
    try:
        model = compose(random_network(seed, "words"), packing="dense")
    except NetworkError:
        assume(False)
    assume(model.run.at_once)
    never_overwritten_before_read(model.run)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.lists(st.integers(-3, 14), min_size=1, max_size=9))
def test_the_distance_of_an_overlap_is_the_least_that_is_safe(
    row: int, source_row: int, height: int, first: list[int]
) -> None:
    first = sorted(first)

    def safe(distance: int) -> bool:
        return all(
            not set(range((y + 1) * row))
            & set(range(distance + max(0, begin) * source_row, distance + height * source_row))
            for y, begin in enumerate(first)
        )

    found = overlap.distance(row, source_row, height, first)
    assert safe(found)
    assert found == 0 or not safe(found - 1)


def test_the_examples_in_the_docstring_are_true() -> None:
    assert doctest.testmod(overlap).failed == 0 < doctest.testmod(overlap).attempted
