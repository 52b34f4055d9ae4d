# SPDX-License-Identifier: Apache-2.0
"""The event-driven linear kernel, on the host, against NumPy: sums, words, temporal bytes and membranes."""

from typing import Any

import numpy as np
import pytest
import torch
from gpu.on_host import machine

from spikerun.kernels.gpu.conv import Counts
from spikerun.kernels.gpu.event import ALL, COLUMNS, ROWS, event_linear, fits
from spikerun.kernels.gpu.rules import Fire, If, Sums

HOST = machine(2, 2**16)
Array = np.ndarray[Any, Any]


def given(n_in: int, n_out: int, samples: int, active: float, high: int, dtype: str) -> tuple[Array, Array]:
    """Return x (samples, n_in) and weights (n_in, n_out); active: the share of the inputs."""
    rng = np.random.default_rng(n_in + 31 * n_out)
    info = np.iinfo(dtype)
    low = max(int(info.min), -high)
    x = rng.integers(low, min(int(info.max), high) + 1, (samples, n_in)) * (rng.random(n_in) < active)
    return x.astype(dtype), rng.integers(-128, 128, (n_in, n_out)).astype(np.int8)


def run(x: Array, w: Array, out: Array, rule: Any, **more: Any) -> tuple[Array, int]:
    """Return `out`, filled, and how many inputs were active."""
    padded = torch.zeros((len(w), -(-w.shape[1] // COLUMNS) * COLUMNS), dtype=torch.int8)
    padded[:, : w.shape[1]] = torch.from_numpy(w)
    active, filled = torch.full((1,), -1, dtype=torch.int32), torch.from_numpy(out)
    seen = torch.tensor([3, 2, 100])
    event_linear(HOST, torch.from_numpy(x), padded, filled, rule, active=active, seen=seen, **more)
    assert seen.tolist() == [4, 2 + (int(active) <= more.get("cut", ALL)), 100 + int(active)]
    return filled.numpy(), int(active)


def values(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.int32)


@pytest.mark.parametrize("active", [0.0, 0.2, 1.0])
@pytest.mark.parametrize(
    ("n_in", "n_out", "samples", "dtype"),
    [(1, 1, 1, "uint8"), (33, 31, 3, "int8"), (257, 101, 16, "uint8"), (0, 7, 2, "uint8")],
)
def test_sums_of_words(n_in: int, n_out: int, samples: int, dtype: str, active: float) -> None:
    x, w = given(n_in, n_out, samples, active, 255, dtype)
    if not fits(HOST, n_in, samples, 0):
        assert n_in == 0
        return
    out, seen = run(x, w, np.full((samples, n_out), -1, np.int32), Sums(values(7)))
    np.testing.assert_array_equal(out, 7 + x.astype(np.int64) @ w)
    assert seen == np.count_nonzero(x.any(axis=0))


def test_sums_of_steps_have_a_row_for_each() -> None:
    x, w = given(70, 40, 2, 0.3, 255, "uint8")
    out, _ = run(x, w, np.full((8, 2, 40), -1, np.int32), Sums(values(*range(40))), steps=8)
    for t in range(8):
        np.testing.assert_array_equal(out[t], np.arange(40) + (x.astype(np.int64) >> t & 1) @ w)


@pytest.mark.parametrize(("signed", "kept"), [(False, 5), (True, 2)])
def test_words_are_fired(signed: bool, kept: int) -> None:
    x, w = given(90, 65, 2, 0.5, 31, "uint8")
    threshold = np.arange(100, 165, dtype=np.int32)
    dtype = np.int8 if signed else np.uint8
    out, _ = run(x, w, np.full((2, 65), 99, dtype), Fire(values(3), torch.from_numpy(threshold), 5, signed, kept))
    q = np.clip((3 + x.astype(np.int64) @ w) // threshold, -16 if signed else 0, 15 if signed else 31)
    bits = q & 31
    left = np.full(q.shape, kept)
    for k in reversed(range(5)):
        bits -= np.where((left <= 0) & (bits >> k & 1 == 1), 1 << k, 0)
        left -= bits >> k & 1
    np.testing.assert_array_equal(out, np.where(signed & (bits > 15), bits - 32, bits))


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_neurons_take_all_their_steps(reset: str) -> None:
    x, w = given(64, 40, 3, 0.4, 31, "uint8")
    before = np.random.default_rng(1).integers(-(2**23), 2**23, (3, 40)).astype(np.int32)
    v, expected, word = torch.from_numpy(before.copy()), before.astype(np.int64), np.zeros((3, 40), np.int64)
    rule = If.of(values(3), values(150), values(-(2**31)), values(-(2**31)), reset)
    rule = If.of(values(3), values(150), values(-7), values(-500), reset) if reset == "zero" else rule
    bias, floor = (-7, -500) if reset == "zero" else (-(2**31), -(2**23) + 1)
    counted = torch.tensor([5, 0])
    counts = Counts(torch.arange(40, dtype=torch.int32), counted)
    out, _ = run(x, w, np.zeros((3, 40), np.uint8), rule, steps=5, v=v, counts=counts)
    for t in range(5):
        current = 3 + (x.astype(np.int64) >> t & 1) @ w
        expected = np.clip(expected + current + bias, floor, 2**23 - 1)
        fired = expected >= 150
        expected = np.where(fired, 0 if reset == "zero" else expected - 150, expected)
        word |= fired.astype(np.int64) << t
    np.testing.assert_array_equal(out, word)
    np.testing.assert_array_equal(v.numpy(), expected)
    spikes = np.array([[int(w).bit_count() for w in row] for row in word])
    assert counted.tolist() == [5 + spikes.sum(), (spikes * np.arange(40)).sum()]


def test_blocks_of_more_columns_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikerun.kernels.gpu.event.WIDE_FROM", 0)
    x, w = given(61, 133, 1, 0.5, 31, "uint8")
    out, _ = run(x, w, np.full((1, 133), -1, np.int32), Sums(values(0)))
    np.testing.assert_array_equal(out, x.astype(np.int64) @ w)


def test_more_active_inputs_than_the_cut_leave_the_work_to_others() -> None:
    x, w = given(33, 31, 3, 1.0, 127, "int8")
    active = np.count_nonzero(x.any(axis=0))
    out, seen = run(x, w, np.full((3, 31), -1, np.int32), Sums(values(0)), cut=active - 1)
    assert (out == -1).all() and seen == active
    out, _ = run(x, w, np.full((3, 31), -1, np.int32), Sums(values(0)), cut=active)
    assert (out != -1).any()


def test_what_has_too_many_rows_or_inputs_does_not_fit() -> None:
    assert fits(HOST, 4096, 4, 4) and fits(HOST, 2048, ROWS, 0)
    assert not fits(HOST, 4096, 5, 4) and not fits(HOST, 2**16, 16, 0) and not fits(HOST, 0, 1, 0)
    assert ALL >= 2**16
