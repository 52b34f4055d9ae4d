# SPDX-License-Identifier: Apache-2.0
"""Max pools of words, whole and spike by spike, against a maximum over explicit windows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from programs import Bench

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)
Geometry = dict[str, Any]


@st.composite
def pools(draw: st.DrawFn) -> Geometry:
    """Draw the geometry of a pool, floor or ceil mode, each of whose windows holds at least one input."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = draw(pair), draw(pair), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    image = tuple(draw(st.integers(max(1, s - 2 * p), s + 5)) for s, p in zip(span, padding, strict=True))
    room = [image[a] + 2 * padding[a] - span[a] for a in range(2)]
    up = draw(st.booleans())
    out = tuple((-(-room[a] // stride[a]) if up else room[a] // stride[a]) + 1 for a in range(2))
    channels = draw(st.integers(1, 18))
    geometry = {
        "in_hwc": (*image, channels),
        "out_hwc": (*out, channels),
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    assume(all(inside(geometry, oy, ox) for oy in range(out[0]) for ox in range(out[1])))
    return geometry


def inside(g: Geometry, oy: int, ox: int) -> list[tuple[int, int]]:
    """Return the input positions of the window of an output."""
    rows = [oy * g["stride"][0] - g["padding"][0] + k * g["dilation"][0] for k in range(g["kernel"][0])]
    columns = [ox * g["stride"][1] - g["padding"][1] + k * g["dilation"][1] for k in range(g["kernel"][1])]
    return [(y, x) for y in rows for x in columns if 0 <= y < g["in_hwc"][0] and 0 <= x < g["in_hwc"][1]]


def largest(g: Geometry, x: Any) -> Any:
    image = x.reshape(g["in_hwc"])
    out = np.zeros(g["out_hwc"], x.dtype)
    for oy, ox in np.ndindex(*g["out_hwc"][:2]):
        out[oy, ox] = np.max([image[at] for at in inside(g, oy, ox)], axis=0)
    return out.reshape(-1)


def sizes(geometry: Geometry) -> tuple[int, int]:
    return int(np.prod(geometry["in_hwc"])), int(np.prod(geometry["out_hwc"]))


@quick
@given(seeds, pools())
def test_max_pool_takes_the_largest_word_inside_the_image(seed: int, geometry: Geometry) -> None:
    n_in, n_out = sizes(geometry)
    x = np.random.default_rng(seed).integers(-(2**15), 2**15, n_in).astype(np.int16)
    bench = Bench(x=("int16", n_in), y=("int16", n_out)).add("max_pool", x="x", y="y", **geometry).step(x=x)
    np.testing.assert_array_equal(bench["y"], largest(geometry, x))


@quick
@given(seeds, pools())
def test_max_pool_sums_takes_the_largest_number_inside_the_image(seed: int, geometry: Geometry) -> None:
    n_in, n_out = sizes(geometry)
    sums = np.random.default_rng(seed).integers(-(2**31), 2**31, n_in).astype(np.int32)
    bench = Bench(sums=("int32", n_in), acc=("int32", n_out)).add("max_pool_sums", sums="sums", acc="acc", **geometry)
    np.testing.assert_array_equal(bench.step(sums=sums)["acc"], largest(geometry, sums))


def comparator(geometry: Geometry, **keywords: int) -> Bench:
    n_in, n_out = sizes(geometry)
    taps = int(np.prod(geometry["kernel"]))
    bench = Bench(x=("int16", n_in), alive=("int16", n_out * taps), y=("int16", n_out))
    return bench.add("max_pool_step", x="x", alive="alive", y="y", **geometry, **keywords)


@quick
@given(seeds, pools(), st.booleans(), st.integers(2, 6))
def test_the_comparator_sends_the_bits_of_the_largest_word(
    seed: int, geometry: Geometry, signed: bool, bits: int
) -> None:
    rng = np.random.default_rng(seed)
    n_in, n_out = sizes(geometry)
    bench = comparator(geometry, restart_at=0, sign_at=0 if signed else -1, period=bits)
    for _ in range(2):  # a second window begins anew
        low = -(2 ** (bits - 1)) if signed else 0
        x = rng.integers(low, low + 2**bits, n_in)
        word = np.zeros(n_out, np.int64)
        for b in reversed(range(bits)):
            y = bench.step(x=x >> b & 1)["y"].astype(np.int64)
            word += y * (-1 if signed and b == bits - 1 else 1) << b
        np.testing.assert_array_equal(word, largest(geometry, x))


def test_without_candidates_nothing_is_sent() -> None:
    geometry = {"in_hwc": (2, 2, 1), "out_hwc": (1, 1, 1), "kernel": (2, 2)}
    geometry |= {"stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)}
    bench = comparator(geometry, restart_at=1, sign_at=-1, period=2)
    assert bench.step(x=1, alive=0)["y"].tolist() == [0]


def test_a_window_far_larger_than_the_image_costs_no_more_than_the_image() -> None:
    size = 2**20 + 1
    geometry = {"in_hwc": (3, 3, 2), "out_hwc": (3, 3, 2), "kernel": (size, size)}
    geometry |= {"stride": (1, 1), "padding": (size // 2, size // 2), "dilation": (1, 1)}
    bench = Bench(x=("int16", 18), y=("int16", 18)).add("max_pool", x="x", y="y", **geometry).step(x=range(18))
    np.testing.assert_array_equal(bench["y"].reshape(9, 2), np.broadcast_to([16, 17], (9, 2)))


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("y", {"out_hwc": (3, 2, 1), "in_hwc": (6, 4, 1)}),
        ("out_hwc", {"out_hwc": (2, 2, 2)}),
        ("out_hwc", {"out_hwc": (3, 3, 1)}),
        ("padding", {"in_hwc": (1, 1, 1), "out_hwc": (2, 2, 1), "kernel": (2, 2), "padding": (3, 3), "stride": (4, 4)}),
        ("kernel", {"kernel": (2**27, 1)}),
        ("stride", {"stride": (2, 2**60)}),
    ],
)
def test_max_pool_refuses_what_contradicts(argument: str, changes: Geometry) -> None:
    geometry = {"in_hwc": (4, 4, 1), "out_hwc": (2, 2, 1), "kernel": (2, 2), "stride": (2, 2)}
    geometry |= {"padding": (0, 0), "dilation": (1, 1)} | changes
    bench = Bench(x=("int16", int(np.prod(geometry["in_hwc"]))), y=("int16", 4))
    with pytest.raises(ValueError, match=f"^{argument}: "):
        bench.add("max_pool", x="x", y="y", **geometry)
