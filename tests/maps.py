# SPDX-License-Identifier: Apache-2.0
"""Linear maps beside their definitions: inputs of every density and size, sliding windows, convolutions."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from spikerun.kernels.cpu.native import Linear

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)
densities = st.sampled_from([0.0, 0.05, 0.3, 0.9, 1.0])
# The largest event value: the kernels have a path of their own for those up to 63.
magnitudes = st.sampled_from([1, 31, 63, 64, 255, 32767])


def events(rng: np.random.Generator, n: int, density: float, magnitude: int) -> Any:
    x = rng.integers(-magnitude - 1 if magnitude == 32767 else -magnitude, magnitude + 1, n)
    return np.where(rng.random(n) < density, x, 0).astype(np.int16)


def words(rng: np.random.Generator, n: int, density: float, largest: int) -> Any:
    """Return unsigned words in 0..largest, of which this share is not zero."""
    return np.where(rng.random(n) < density, rng.integers(1, largest + 1, n), 0).astype(np.int16)


def check(linear: Linear, x: Any, expected: Any, rng: np.random.Generator) -> None:
    """Both kernels, as a whole and in parts, add `expected` to what the accumulators hold already, modulo 2^32."""
    before = rng.integers(-(2**31), 2**31, linear.n_out).astype(np.int32)
    by_event, by_dense = before.copy(), before.copy()
    linear.apply_event(x, by_event)
    linear.apply_dense(x, by_dense)
    wanted = (before.astype(np.int64) + expected.reshape(-1)).astype(np.uint32).astype(np.int32)
    np.testing.assert_array_equal(by_event, wanted)
    np.testing.assert_array_equal(by_dense, wanted)
    for parts in {2, 3, linear.parts} & set(range(2, linear.parts + 1)):
        for apply in (linear.apply_event, linear.apply_dense):
            shared = before.copy()
            for part in range(parts):
                apply(x, shared, part, parts)
            np.testing.assert_array_equal(shared, wanted)


@st.composite
def windows(draw: st.DrawFn, kernels: int = 4) -> dict[str, Any]:
    """Draw the geometry of a sliding window: image (H, W), kernel, stride, padding, dilation and output (H, W)."""
    kernel = (draw(st.integers(1, kernels)), draw(st.integers(1, kernels)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    image = tuple(draw(st.integers(max(1, s - 2 * p), s + 6)) for s, p in zip(span, padding, strict=True))
    out = tuple((image[a] + 2 * padding[a] - span[a]) // stride[a] + 1 for a in range(2))
    return {"image": image, "out": out, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


def padded(x: Any, window: dict[str, Any], value: int = 0) -> Any:
    (ph, pw), extra = window["padding"], 8
    return np.pad(x.astype(np.int64), ((ph, ph + extra), (pw, pw + extra), (0, 0)), constant_values=value)


def patch(image: Any, window: dict[str, Any], ky: int, kx: int) -> Any:
    """Return what kernel position (ky, kx) sees from every output position: (Ho, Wo, C)."""
    (ho, wo), (sh, sw), (dh, dw) = window["out"], window["stride"], window["dilation"]
    return image[ky * dh : ky * dh + ho * sh : sh, kx * dw : kx * dw + wo * sw : sw][:ho, :wo]


def convolution(
    rng: np.random.Generator,
    window: dict[str, Any],
    split: tuple[int, int, int],
    before: int,
    behind: int,
    fill: int | None = None,
) -> tuple[Linear, Callable[[Any], Any]]:
    """Return a convolution, and its definition; split: groups, and channels in and out of each.

    Weights are random, or all `fill`.
    """
    (h, w), (ho, wo), (kh, kw) = window["image"], window["out"], window["kernel"]
    groups, group_in, group_out = split
    cin, cout = groups * group_in, groups * group_out
    weight = rng.integers(-128, 128, (kh, kw, group_in, cout)).astype(np.int8)
    if fill is not None:
        weight[:] = fill
    shape = (ho, wo, before + cout + behind)

    def correlated(x: Any) -> Any:
        image = padded(x.reshape(h, w, cin), window)
        sums = np.zeros(shape, np.int64)
        for ky in range(kh):
            for kx in range(kw):
                seen = patch(image, window, ky, kx)
                for g in range(groups):
                    source, target = slice(g * group_in, (g + 1) * group_in), slice(g * group_out, (g + 1) * group_out)
                    sums[..., before : before + cout][..., target] += seen[..., source] @ weight[ky, kx, :, target]
        return sums

    geometry = (window["stride"], window["padding"], window["dilation"])
    return Linear.conv(weight, (h, w, cin), shape, *geometry, groups, channel_offset=before), correlated
