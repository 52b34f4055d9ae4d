# SPDX-License-Identifier: Apache-2.0
"""Neurons of all steps in one pass against their definitions, extremes included; temporal bytes and back."""

from typing import Any

import numpy as np
import pytest
import torch
from gpu_law import LIMIT, Array, bytes_of, fire_law, if_law

from spikerun.kernels.gpu.neurons import fire, if_steps, lif_steps, pack, unpack
from spikerun.kernels.gpu.rules import Fire, If, Lif

STEPS = 5
WIDE = 2**29 - 1


def tensor(x: Any, device: str) -> torch.Tensor:
    return torch.from_numpy(np.array(x)).to(device)


def extreme(rng: np.random.Generator, shape: tuple[int, ...], low: int, high: int) -> Array:
    drawn, kind = rng.integers(low, high + 1, shape), rng.random(shape)
    return np.where(kind < 0.1, low, np.where(kind > 0.9, high, drawn)).astype(np.int32)


def of(values: Array, n: int) -> Array:
    """Return what each of n neurons has of a parameter of 1, C or n values."""
    return values[np.arange(n) % len(values)].astype(np.int64)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("most_bias", [2**24, 2**31 - 1])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize(("n", "channels"), [(0, 1), (1, 1), (33, 3), (1031, 1031)])
def test_if_neurons_step_by_step(n: int, channels: int, reset: str, most_bias: int, packed: bool, device: str) -> None:
    rng = np.random.default_rng(n)
    i, v = extreme(rng, (STEPS, 2, n), -(2**31), 2**31 - 1), extreme(rng, (2, n), -LIMIT, LIMIT)
    threshold = extreme(rng, (channels,), 1, 2**31 - 1) >> 9
    bias, v_min = extreme(rng, (1,), -most_bias, most_bias), extreme(rng, (channels,), -(2**31), 0)
    spikes, after = if_law(i, v, of(threshold, n), of(bias, n), of(v_min, n), reset)
    kept, out = tensor(v, device), torch.zeros((2, n) if packed else (STEPS, 2, n), dtype=torch.uint8, device=device)
    one = [tensor(x, device) for x in (threshold, bias, v_min)]
    if_steps(tensor(i, device), kept, out, If.of(one[0], one[0], one[1], one[2], reset))
    np.testing.assert_array_equal(out.cpu().numpy(), bytes_of(spikes) if packed else spikes)
    np.testing.assert_array_equal(kept.cpu().numpy(), after)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_currents_may_be_narrow_and_membranes_begin_at_zero(dtype: str, device: str) -> None:
    rng, info = np.random.default_rng(3), np.iinfo(dtype)
    i = rng.integers(info.min, info.max, (8, 1, 100)).astype(dtype)
    one = [tensor(np.array([x], np.int32), device) for x in (info.max, 3, -info.max)]
    spikes, _ = if_law(i, np.zeros((1, 100)), np.array(info.max), np.array(3), np.array(-info.max), "subtract")
    out = torch.zeros((1, 100), dtype=torch.uint8, device=device)
    if_steps(tensor(i, device), None, out, If.of(one[0], one[0], one[1], one[2]))
    np.testing.assert_array_equal(out.cpu().numpy(), bytes_of(spikes))


def kept(x: Array, keep: Array) -> Array:
    product: Array = np.sign(x) * (np.abs(x) * keep >> 16)
    return product


def lif_law(i: Array, state: list[Array], p: dict[str, Array], rules: dict[str, Any], first: int) -> Array:
    """Update u, v, wait, pending, int64, over the steps of i; return the spikes."""
    u, v, wait, pending = state
    most, spikes = LIMIT if rules["limits"] == "chip" else WIDE, []
    for t, current in enumerate(i.astype(np.int64)):
        if rules["reset_interval"] and (first + t) % rules["reset_interval"] == rules["reset_offset"]:
            for x in state:
                x[:] = 0
        u[:] = kept(u, p["keep_u"]) + (current << rules["fraction_bits"]) + p["bias_u"]
        u[:] = 2**23 - (2**23 - u) % 2**24 if rules["limits"] == "chip" else np.clip(u, -WIDE, WIDE)
        x = kept(v, p["keep_v"]) + u + p["bias"] - p["threshold"] * pending
        x = np.maximum(np.clip(x, -most, most), p["v_min"])
        awake = wait <= 0
        s = awake & ((x >= p["threshold"]) if rules["inclusive"] else (x > p["threshold"]))
        if rules["reset"] == "subtract_after_leak":
            pending[:] = np.where(awake, s, pending)
        elif rules["reset"] != "none":
            x = np.where(s, p["v_reset"] if rules["reset"] == "value" else x - p["threshold"], x)
        v[:] = np.where(awake, x, v)
        wait[:] = np.where(s, rules["refractory"], np.where(awake, wait, wait - 1))
        spikes.append(s)
    return np.array(spikes)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("limits", ["wide", "chip"])
@pytest.mark.parametrize("reset", ["value", "subtract", "subtract_after_leak", "none"])
def test_lif_neurons_step_by_step(reset: str, limits: str, packed: bool, device: str) -> None:
    rng, n, most = np.random.default_rng(5), 257, LIMIT if limits == "chip" else WIDE
    rules = {"fraction_bits": int(rng.integers(0, 7)), "reset": reset, "refractory": int(rng.integers(0, 3)),
             "limits": limits, "reset_interval": 4, "reset_offset": 2, "inclusive": packed}  # fmt: skip
    spans = {"threshold": (0, most), "keep_v": (0, 2**16), "keep_u": (0, 2**16), "bias": (-most, most),
             "bias_u": (-most, most), "v_reset": (-most, most), "v_min": (-WIDE, 0)}  # fmt: skip
    drawn = {name: extreme(rng, (1 if name == "bias_u" else n,), *span) for name, span in spans.items()}
    for name in ("threshold", "bias", "bias_u", "v_reset"):
        drawn[name] = drawn[name] >> rng.integers(0, 29, drawn[name].shape).astype(np.int32)
    i = extreme(rng, (STEPS, 1, n), -(WIDE >> 7), WIDE >> 7)
    rules["decays"] = packed
    if not packed:
        drawn["keep_u"][:] = 0
    state = [np.zeros((1, n), np.int64) for _ in range(4)]
    on_device = tuple(torch.zeros((1, n), dtype=torch.int32, device=device) for _ in range(3))
    pending = torch.zeros((1, n), dtype=torch.uint8, device=device)
    rule = Lif(**{name: tensor(x, device) for name, x in drawn.items()}, **rules)
    out = torch.zeros((1, n) if packed else (STEPS, 1, n), dtype=torch.uint8, device=device)
    for first in (0, STEPS):
        spikes = lif_law(i, state, {name: of(x, n) for name, x in drawn.items()}, rules, first)
        lif_steps(tensor(i, device), (*on_device, pending), out, rule, first)
        np.testing.assert_array_equal(out.cpu().numpy(), bytes_of(spikes) if packed else spikes)
        for expected, got in zip(state, (*on_device, pending), strict=True):
            np.testing.assert_array_equal(got.cpu().numpy(), expected)


def test_fresh_lif_neurons_keep_nothing(device: str) -> None:
    rng, n = np.random.default_rng(6), 100
    values = {"threshold": 900, "keep_v": 60000, "keep_u": 0, "bias": 5, "bias_u": 0, "v_reset": 0, "v_min": -999}
    rules: dict[str, Any] = {"fraction_bits": 0, "reset": "subtract", "refractory": 0, "limits": "wide",
                             "reset_interval": 0, "reset_offset": 0, "inclusive": True}  # fmt: skip
    i = rng.integers(-500, 900, (8, 1, n)).astype(np.int16)
    law = {name: np.array([x]) for name, x in values.items()}
    spikes = lif_law(i, [np.zeros((1, n), np.int64) for _ in range(4)], law, rules, 0)
    rule = Lif(**{name: tensor(np.array([x], np.int32), device) for name, x in values.items()}, **rules, decays=False)
    out = torch.zeros((1, n), dtype=torch.uint8, device=device)
    lif_steps(tensor(i, device), None, out, rule)
    np.testing.assert_array_equal(out.cpu().numpy(), bytes_of(spikes))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("bits", "most"), [(1, 1), (3, 1), (8, 8), (8, 3)])
def test_words_of_all_sums(bits: int, most: int, signed: bool, device: str) -> None:
    rng = np.random.default_rng(bits)
    v, threshold = extreme(rng, (3, 77), -(2**31), 2**31 - 1), extreme(rng, (7,), 1, 2**31 - 1)
    v[1:] >>= 20
    threshold[2:] >>= 22
    threshold = np.maximum(threshold, 1)
    out = torch.zeros((3, 77), dtype=torch.int8 if signed else torch.uint8, device=device)
    one = tensor(threshold, device)
    fire(tensor(v, device), out, Fire(one, one, bits, signed, most))
    np.testing.assert_array_equal(out.cpu().numpy(), fire_law(v, of(threshold, 77), bits, signed, most))


@pytest.mark.parametrize("steps", [1, 5, 8])
@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_spikes_are_packed_and_unpacked(steps: int, rate: float, device: str) -> None:
    spikes = (np.random.default_rng(1).random((steps, 3, 37)) < rate).astype(np.uint8)
    byte = torch.full((3, 37), 255, dtype=torch.uint8, device=device)
    pack(tensor(spikes, device), byte)
    np.testing.assert_array_equal(byte.cpu().numpy(), bytes_of(spikes))
    out = torch.full(spikes.shape, 255, dtype=torch.uint8, device=device)
    unpack(byte, out)
    np.testing.assert_array_equal(out.cpu().numpy(), spikes)


def test_what_has_the_wrong_shape_or_too_many_steps_is_named() -> None:
    i, one = torch.zeros((9, 1, 4), dtype=torch.int32), torch.ones(1, dtype=torch.int32)
    rule = If.of(one, one, one, one)
    with pytest.raises(ValueError, match="temporal bytes hold 1 to 8 steps, got 9"):
        if_steps(i, None, torch.zeros((1, 4), dtype=torch.uint8), rule)
    with pytest.raises(ValueError, match=r"out: expected the shape"):
        if_steps(i, None, torch.zeros((2, 4), dtype=torch.uint8), rule)
    with pytest.raises(ValueError, match="reset"):
        If.of(one, one, one, one, "none")
