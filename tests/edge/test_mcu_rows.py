# SPDX-License-Identifier: Apache-2.0
"""Rows of weights: the sums of `runtime/spikerun_rows.c`, as this computer compiles it, are those of NumPy."""

import ctypes
import importlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.edge.mcu import kernels, maps

RUNTIME = Path(str(importlib.import_module("spikerun.edge.mcu").__file__)).parent / "runtime"


class Active(ctypes.Structure):
    """The struct spikerun_active."""

    _fields_ = (
        *(("begin", ctypes.c_void_p), ("end", ctypes.c_void_p), ("weights", ctypes.c_size_t)),
        *(("total", ctypes.c_int32), ("size", ctypes.c_int32)),
    )


@pytest.fixture(scope="module")
def library(needs: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the kernels as a shared library."""
    needs("gcc")
    made = tmp_path_factory.mktemp("rows") / "rows.so"
    flags = ("-shared", "-fPIC", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    subprocess.run(["gcc", *flags, RUNTIME / "spikerun_rows.c", "-o", made], check=True)
    return ctypes.CDLL(str(made))


def sums(library: ctypes.CDLL, function: str, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return what a kernel adds to the numbers 0, 1, ..., with two behind them that it must leave alone."""
    words = maps.rows(weights)
    events = np.zeros((len(values), 2), np.int32)
    events[:, 0], events[:, 1] = np.arange(len(values)) * (words.nbytes // len(weights)), values
    found = np.arange(weights.shape[1] + 2, dtype=np.int32)
    address = events.ctypes.data
    active = Active(address, address + events.nbytes, words.ctypes.data, int(values.sum()), int(np.abs(values).sum()))
    getattr(library, function)(ctypes.c_void_p(found.ctypes.data), weights.shape[1], ctypes.byref(active))
    assert found[-2:].tolist() == [weights.shape[1], weights.shape[1] + 1]
    return found[:-2] - np.arange(weights.shape[1])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.integers(1, 64),
    st.sampled_from([1, 4, 31, 255, 65535]),
    st.booleans(),
)
def test_the_sums_of_events_are_exact(
    library: ctypes.CDLL, seed: int, length: int, count: int, largest: int, signed: bool
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.choice([-128, -127, -1, 0, 1, 126, 127], (count, length)).astype(np.int8)
    values = rng.integers(-largest if signed else 1, largest + 1, count).astype(np.int32)
    expected = values.astype(np.int64) @ weights.astype(np.int64)
    np.testing.assert_array_equal(sums(library, "spikerun_add_events", weights, values), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 255), st.sampled_from([-128, 127, None]))
def test_the_sums_of_spikes_are_exact(
    library: ctypes.CDLL, seed: int, length: int, count: int, weight: int | None
) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(-128, 128, (count, length)) if weight is None else np.full((count, length), weight)
    found = sums(library, "spikerun_add_spikes", drawn.astype(np.int8), np.ones(count, np.int32))
    np.testing.assert_array_equal(found, drawn.sum(axis=0))


def test_lanes_hold_the_largest_sums_that_they_are_given() -> None:
    assert kernels.SMALL * 8 <= 255
    assert 255 * 128 < 2**15
