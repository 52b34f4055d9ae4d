# SPDX-License-Identifier: Apache-2.0
"""Sigma-delta models against Lava: tests/data/lava_sdn.npz was recorded from lava-nc 0.10.0 (tests/data/README.md)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import seeds

from spikerun.edge.loihi.deltas import Sigma, SigmaDelta, SigmaDeltaExact
from spikerun.edge.loihi.graph import Neurons

with np.load(Path(__file__).parents[2] / "data" / "lava_sdn.npz") as file:
    DATA = {name: file[name] for name in file.files}
CASES = range(len(DATA["names"]))


def neurons(size: int, vth: int, act_mode: int, spike_exp: int, state_exp: int, bias: Any = 0) -> Neurons:
    given = {"vth": vth, "bias": bias, "act_mode": act_mode, "spike_exp": spike_exp, "state_exp": state_exp}
    return Neurons("a", (size,), "sigma_delta", given, 1)


@pytest.mark.parametrize("case", CASES, ids=DATA["names"])
def test_sigma_delta_is_bit_exact_with_lava(case: int) -> None:
    recorded = {key: DATA[f"{case}_{key}"] for key in ("current", "sent", "sigma", "act", "residue")}
    parameters = (int(value) for value in DATA[f"{case}_parameters"])
    model = SigmaDelta(neurons(recorded["current"].shape[1], *parameters, bias=DATA[f"{case}_bias"]))  # type: ignore[misc]
    for t, current in enumerate(recorded["current"].astype(np.int64)):
        np.testing.assert_array_equal(model(t + 1, current), recorded["sent"][t], err_msg=f"step {t}")
        for key, values in model.state.items():
            np.testing.assert_array_equal(values, recorded[key][t], err_msg=f"{key} in step {t}")


def test_sigma_is_bit_exact_with_lava() -> None:
    model = Sigma(Neurons("a", DATA["sigma_current"].shape[1:], "sigma", {}, 1))
    sent = [model(t + 1, current) for t, current in enumerate(DATA["sigma_current"].astype(np.int64))]
    np.testing.assert_array_equal(np.stack(sent), DATA["sigma_sent"])


@given(seed=seeds, exponent=st.integers(0, 12))
def test_all_that_our_model_has_sent_adds_up_to_its_activation(seed: int, exponent: int) -> None:
    currents = np.random.default_rng(seed).integers(-(2**14), 2**14, (20, 5))
    model = SigmaDeltaExact(neurons(5, 0, 1, 0, exponent, bias=3))
    sent = np.cumsum([model(t + 1, current) for t, current in enumerate(currents)], axis=0)
    np.testing.assert_array_equal(sent, np.maximum(currents.cumsum(axis=0) + (3 << exponent), 0) >> exponent)


@pytest.mark.parametrize("model", [SigmaDelta, SigmaDeltaExact])
def test_a_change_of_just_the_threshold_is_sent_and_one_less_is_kept(model: type[SigmaDelta]) -> None:
    three = model(neurons(4, 3, 0, 1, 2))  # in units of 2^(1 + 2)
    assert three(1, np.array([24, -24, 23, -23])).tolist() == [6, -6, 0, 0]
    assert three(2, np.array([0, 0, 1, -1])).tolist() == [0, 0, 6, -6]
