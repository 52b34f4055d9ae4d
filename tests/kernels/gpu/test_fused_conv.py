# SPDX-License-Identifier: Apache-2.0
"""Convolutions with their neurons in one kernel, against NumPy, on odd shapes; split over K and not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from gpu_law import Array, bytes_of, conv_sums, fire_law, if_law, pool_law, spikes_of, wrapped

from spikerun.kernels.gpu.conv import Conv, Counts, Tile, conv, prepared, scratch_size, split_of, tile_for
from spikerun.kernels.gpu.rules import Fire, If, Sums


@dataclass(frozen=True)
class Case:
    image: tuple[int, int, int, int]  # batch, height, width, channels
    cout: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1
    groups: int = 1
    steps: int = 0
    rate: float = 0.3


WAYS = ["whole", "interleaved", "split"]


def tensor(x: Any, device: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x)).to(device)


class Drawn:
    """Weights, inputs and parameters of a case, and the sums that they come to."""

    def __init__(self, case: Case, dtype: str, device: str, constant: bool = False) -> None:
        self.rng = rng = np.random.default_rng(repr(case).encode()[0] + 7)
        b, h, w, cin = case.image
        weight = rng.integers(-128, 128, (case.cout, cin // case.groups, case.kernel, case.kernel)).astype(np.int8)
        geometry = ((case.stride,) * 2, (case.padding,) * 2, (case.dilation,) * 2, case.groups)
        if case.steps and not constant:
            self.x = bytes_of(rng.random((case.steps, b, h, w, cin)) < case.rate)
            events = spikes_of(self.x, case.steps)
        else:
            info = np.iinfo(dtype)
            self.x = rng.integers(info.min, info.max + 1, case.image).astype(dtype)
            events = self.x[None]
        self.fill = rng.integers(-1000, 1000, case.cout).astype(np.int32)
        self.sums = np.stack([conv_sums(e, weight, *geometry) for e in events]) + self.fill
        shape = self.sums.shape[1:]
        target = (case.cout, shape[1], shape[2])
        self.conv = Conv.of(weight, (cin, h, w), target, geometry[0], geometry[1], geometry[2], case.groups, device)
        self.shape, self.device = shape, device

    def values(self, low: int, high: int) -> Array:
        return self.rng.integers(low, high, (self.shape[-1],)).astype(np.int32)

    def run(self, out: torch.Tensor, rule: Any, way: str, **options: Any) -> Array:
        steps, constant = options.get("steps", 0), options.get("constant", False)
        tile = Tile(32, 16, 32, split=split_of(self.conv, 32, 3) if way == "split" else 1, interleaved=way != "whole")
        scratch = torch.zeros(
            scratch_size(self.conv, self.shape[0], steps, tile), dtype=torch.int32, device=self.device
        )
        unsigned = self.x.dtype == np.uint8 and (not steps or constant)
        rule = prepared(self.conv, rule, unsigned)
        conv(tensor(self.x, self.device), self.conv, out, rule, scratch=scratch, tile=tile, **options)
        assert not scratch.any()
        return out.cpu().numpy()


WORDS = [
    Case((1, 1, 1, 1), 1, kernel=1, padding=0),
    Case((2, 5, 7, 3), 5),
    Case((1, 5, 4, 32), 17, stride=2),
    Case((1, 4, 5, 6), 4, dilation=2, padding=2, groups=2),
    Case((0, 3, 3, 4), 4),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("case", WORDS, ids=str)
def test_sums_of_words(case: Case, dtype: str, way: str, device: str) -> None:
    drawn = Drawn(case, dtype, device)
    out = torch.full(drawn.shape, -1, dtype=torch.int32, device=device)
    rule = Sums(tensor(drawn.fill, device))
    np.testing.assert_array_equal(drawn.run(out, rule, way), wrapped(drawn.sums[0]))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("bits", "signed", "most", "pool"), [(4, False, 4, True), (5, True, 2, False)])
def test_words_fire(bits: int, signed: bool, most: int, pool: bool, way: str, device: str) -> None:
    drawn = Drawn(Case((1, 4, 2, 16), 18), "int8", device)
    threshold = drawn.values(100, 3000)
    rule = Fire(tensor(drawn.fill, device), tensor(threshold, device), bits, signed, most)
    expected = fire_law(drawn.sums[0], threshold, bits, signed, most)
    expected = pool_law(expected) if pool else expected
    out = torch.zeros(expected.shape, dtype=torch.int8 if signed else torch.uint8, device=device)
    np.testing.assert_array_equal(drawn.run(out, rule, way, pool=pool), expected)


STEPS = [
    (Case((1, 3, 5, 16), 5, steps=1), False),
    (Case((2, 2, 2, 3), 17, steps=4), True),
    (Case((1, 2, 4, 32), 7, kernel=1, padding=0, steps=8), True),
    (Case((1, 3, 3, 3), 5, steps=5, rate=0.0), False),
    (Case((1, 3, 3, 3), 5, steps=3, rate=1.0), False),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize(("case", "pool"), STEPS, ids=str)
def test_temporal_bytes_integrate_and_fire(case: Case, pool: bool, reset: str, way: str, device: str) -> None:
    drawn = Drawn(case, "uint8", device)
    before = drawn.rng.integers(-900, 900, drawn.sums.shape).astype(np.int32)
    threshold, bias, v_min = drawn.values(300, 900), drawn.values(-99, 99), drawn.values(-1500, 0)
    v = drawn.rng.integers(-500, 500, drawn.shape).astype(np.int32)
    spikes, after = if_law(drawn.sums + before, v, threshold, bias, v_min, reset)
    expected = np.stack([pool_law(s) for s in spikes]) if pool else spikes
    kept, one = tensor(v, device), [tensor(x, device) for x in (drawn.fill, threshold, bias, v_min)]
    out = torch.zeros(expected.shape[1:], dtype=torch.uint8, device=device)
    options = {"steps": case.steps, "acc": tensor(before, device), "v": kept, "pool": pool}
    got = drawn.run(out, If.of(one[0], one[1], one[2], one[3], reset), way, **options)
    np.testing.assert_array_equal(got, bytes_of(expected))
    np.testing.assert_array_equal(kept.cpu().numpy(), after)


@pytest.mark.parametrize("way", WAYS)
def test_sums_of_temporal_bytes(way: str, device: str) -> None:
    drawn = Drawn(Case((1, 3, 3, 5), 5, steps=6), "uint8", device)
    out = torch.zeros(drawn.sums.shape, dtype=torch.int32, device=device)
    rule = Sums(tensor(drawn.fill, device))
    np.testing.assert_array_equal(drawn.run(out, rule, way, steps=6), wrapped(drawn.sums))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_current_that_stays_is_computed_once(way: str, shared: bool, device: str) -> None:
    drawn = Drawn(Case((1, 4, 4, 3), 5, steps=7), "uint8", device, constant=True)
    floor = (-(2**23), -7_000_000) if shared else (-15000, 0)  # where it is never reached nothing is compared with it
    parameters = (drawn.values(9000, 30000), drawn.values(-99, 99), drawn.values(*floor))
    threshold, bias, v_min = parameters
    spikes, _ = if_law(np.repeat(drawn.sums, 7, axis=0), np.zeros(drawn.shape), threshold, bias, v_min, "subtract")
    one = [tensor(x, device) for x in (drawn.fill, *parameters)]
    out = torch.zeros((1, 2, 2, 5), dtype=torch.uint8, device=device)
    counters = torch.zeros((2, 2), dtype=torch.int64, device=device)
    fan_out = drawn.rng.integers(0, 2**24 if shared else 9, (4, 4, 1 if shared else 5)).astype(np.int32)
    fan_out = np.broadcast_to(fan_out, (4, 4, 5))
    counts = (Counts.of(fan_out, counters[0]), Counts.of(np.array([3], np.int32), counters[1]))
    options = {"steps": 7, "constant": True, "pool": True, "counts": counts}
    rule = If.of(one[0], one[1], one[2], one[3])
    assert rule.width(7, 27 * 128 * 255) == (2 if shared else 1)
    got = drawn.run(out, rule, way, **options)
    pooled = np.stack([pool_law(s) for s in spikes])
    np.testing.assert_array_equal(got, bytes_of(pooled))
    fans = (spikes * fan_out).sum()
    assert counters.tolist() == [[spikes.sum(), fans], [pooled.sum(), 3 * pooled.sum()]]


@pytest.mark.parametrize("steps", [0, 3])
def test_a_tile_is_chosen_for_few_and_many_positions(steps: int, device: str) -> None:
    drawn = Drawn(Case((1, 2, 3, 16), 5, steps=steps), "int8", device)
    out = torch.zeros((steps, *drawn.shape) if steps else drawn.shape, dtype=torch.int32, device=device)
    rule = prepared(drawn.conv, Sums(tensor(drawn.fill, device)), False)
    conv(tensor(drawn.x, device), drawn.conv, out, rule, steps=steps)
    np.testing.assert_array_equal(out.cpu().numpy(), wrapped(drawn.sums if steps else drawn.sums[0]))
    few, many = tile_for(drawn.conv, 1, steps), tile_for(drawn.conv, 2000, steps)
    assert few.interleaved and few.rows < many.rows and not many.interleaved


def test_membranes_that_come_to_no_limit(device: str) -> None:
    drawn = Drawn(Case((1, 3, 2, 16), 5, steps=6), "uint8", device)
    threshold, bias, v_min = drawn.values(300, 900), drawn.values(-99, 99), drawn.values(-(2**23), -(2**22))
    spikes, _ = if_law(drawn.sums, np.zeros(drawn.shape), threshold, bias, v_min, "zero")
    one = [tensor(x, device) for x in (drawn.fill, threshold, bias, v_min)]
    rule, out = (
        If.of(one[0], one[1], one[2], one[3], "zero"),
        torch.zeros(drawn.shape, dtype=torch.uint8, device=device),
    )
    assert rule.width(6, 144 * 128) == 2
    np.testing.assert_array_equal(drawn.run(out, rule, "whole", steps=6), bytes_of(spikes))


def test_nothing_is_done_where_few_inputs_are_active(device: str) -> None:
    drawn = Drawn(Case((1, 1, 1, 16), 5, kernel=1, padding=0), "int8", device)
    out = torch.full(drawn.shape, -1, dtype=torch.int32, device=device)
    active, rule = torch.tensor([9], dtype=torch.int32, device=device), Sums(tensor(drawn.fill, device))
    assert (drawn.run(out, rule, "whole", active=active, cut=9) == -1).all()
    np.testing.assert_array_equal(drawn.run(out, rule, "whole", active=active, cut=8), wrapped(drawn.sums[0]))


def test_a_tile_too_small_for_a_window_is_refused(device: str) -> None:
    drawn = Drawn(Case((1, 2, 2, 3), 5, steps=8), "uint8", device)
    one = tensor(np.ones(5, np.int32), device)
    rule, out = If.of(one, one, one, -one), torch.zeros((1, 1, 1, 5), dtype=torch.uint8, device=device)
    options = {"steps": 8, "pool": True}
    with pytest.raises(ValueError, match="16 rows hold no window of four positions with 8 steps each"):
        conv(tensor(drawn.x, device), drawn.conv, out, rule, tile=Tile(16, 16, 32, interleaved=True), **options)
    conv(tensor(drawn.x, device), drawn.conv, out, rule, **options)  # the tile that is chosen holds one
