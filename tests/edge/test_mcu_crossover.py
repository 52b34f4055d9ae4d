# SPDX-License-Identifier: Apache-2.0
"""On cores with DSP a map is computed densely where enough of its neurons are active; the bits are the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikerun.connections import Conv, Dense
from spikerun.edge.mcu import deploy
from spikerun.edge.mcu.model import compose
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Readout

DSP, HELIUM = frozenset({"dsp"}), frozenset({"dsp", "mve"})


@pytest.fixture(scope="module")
def net() -> Network:
    """A convolution with padding and strides, nine channels of it, and a linear map."""
    rng = np.random.default_rng(2)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-128, 128, shape).astype(np.int8)

    populations = {
        "in": Population((5, 9, 8), Input()),
        "conv": Population((9, 5, 4), FewSpikes(5, rng.integers(900, 4000, 9), np.int32(90))),
        "out": Population((64,), Readout(np.float32(0.5))),
    }
    projections = [
        Projection("in", "conv", Conv(weights(9, 5, 3, 4), (2, 2), (1, 1))),
        Projection("conv", "out", Dense(weights(180, 64))),
    ]
    return Network(populations, projections, ["out"], 8)


def kinds(net: Network, features: frozenset[str], **activity: float) -> list[str]:
    calls = compose(net, features=features, activity=activity).run.calls
    return [call.kernel.kind for call in calls if call.operation.name == "apply"]


def test_measured_activity_chooses_the_kernel(net: Network) -> None:
    assert kinds(net, HELIUM, **{"in": 1.0, "conv": 0.01}) == ["dot", "dense"]
    assert kinds(net, HELIUM, **{"in": 0.01, "conv": 1.0}) == ["conv", "dot"]


def test_with_dsp_alone_convolutions_have_a_dense_kernel(net: Network) -> None:
    assert kinds(net, DSP, **{"in": 1.0, "conv": 1.0}) == ["pairs", "dense"]
    assert kinds(net, DSP, **{"in": 0.01, "conv": 1.0}) == ["conv", "dense"]


def test_other_cores_add_rows_of_active_neurons_whatever_the_activity(net: Network) -> None:
    assert kinds(net, frozenset(), **{"in": 1.0, "conv": 1.0}) == ["conv", "dense"]


@pytest.mark.parametrize(("core", "kind"), [("cortex-m4", "pairs"), ("cortex-m55", "dot")])
def test_dense_kernels_are_identical_on_the_emulated_board(
    net: Network, tmp_path: Path, needs: Callable[..., None], core: str, kind: str
) -> None:
    needs("arm-none-eabi-gcc", "qemu-system-arm")
    frames = np.random.default_rng(3).integers(1, 256, (3, 5, 9, 8))
    bundle = deploy(net, tmp_path / "fw", f"generic-{core}", frames, run=True, toolchain="gcc", emulator="qemu")
    assert bundle.run is not None
    assert bundle.run.identical
    assert any(f"kernel '{kind}': 100% of 'in' measured active" in note for note in bundle.verdict.notes)
