# SPDX-License-Identifier: Apache-2.0
"""What the tests of the converter share: tiny models, samples, and the check that spikes equal the quantised ANN."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from spikerun.converters import Conversion, convert
from spikerun.converters.verify import evaluate
from spikerun.reference import blocked
from spikerun.session import Session


def randomise(model: nn.Module, seed: int) -> None:
    """Give a model weights and statistics as after training: nothing is left at 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.3, 0.3),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
            ):
                assert tensor is not None
                tensor.uniform_(low, high, generator=generator)


def assert_words_equal(conversion: Conversion, samples: npt.NDArray[np.uint8]) -> None:
    """Compare every word and readout of the spiking network with the quantised ANN, for each sample.

    The reference runs it sample by sample, the session in one batch.
    """
    expected = conversion.gone.left(evaluate(conversion.quantised, samples))
    samples = samples.reshape(-1, *conversion.network.populations["input"].shape)  # signals are images of height 1
    ran = Session(conversion.network, kernels="event", threads=1).run(samples, trace=True)
    for name in expected.keys() - {"output"}:
        np.testing.assert_array_equal(ran.words[name], expected[name], err_msg=f"population {name} of the session")
    np.testing.assert_array_equal(ran.outputs["output"], expected["output"])
    for index, sample in enumerate(samples):
        turns = blocked(conversion.network, {"input": sample.astype(np.int64)})
        assert turns.keys() == expected.keys()
        for name, turn in turns.items():
            got = turn.membrane if name == "output" else turn.word
            assert got is not None
            np.testing.assert_array_equal(got, expected[name][index], err_msg=f"population {name}")


@pytest.fixture
def words_equal() -> Callable[[Conversion, npt.NDArray[np.uint8]], None]:
    """Return the comparison of a network with the quantised ANN."""
    return assert_words_equal


@pytest.fixture
def samples() -> Callable[..., npt.NDArray[np.uint8]]:
    """Return a maker of random 8-bit samples (count, *shape), a third of their values zero."""

    def make(*shape: int, count: int = 24, seed: int = 0) -> npt.NDArray[np.uint8]:
        rng = np.random.default_rng(seed)
        return (rng.integers(0, 256, (count, *shape)) * (rng.random((count, *shape)) > 0.33)).astype(np.uint8)

    return make


@pytest.fixture
def check(samples: Callable[..., npt.NDArray[np.uint8]]) -> Callable[..., Conversion]:
    """Return a function that converts a random model and compares words and, with 8 bits, results."""

    def run(model: nn.Module, *shape: int, seed: int = 0, near: float | None = 0.2, **options: object) -> Conversion:
        torch.manual_seed(seed)
        randomise(model, seed)
        data = samples(*shape, seed=seed)
        conversion = convert(model, data, **{"bits": 8, **options})  # type: ignore[arg-type]
        assert_words_equal(conversion, data[:2])
        if near is not None:
            scale = np.asarray(conversion.network.populations["output"].neuron.scale)  # type: ignore[attr-defined]
            v = evaluate(conversion.quantised, data)["output"].reshape(len(data), len(np.atleast_1d(scale)), -1)
            with torch.no_grad():
                ann = model.eval()(torch.from_numpy(data).float() / 255).flatten(1).numpy()
            snn = (v * np.atleast_1d(scale)[:, None]).reshape(len(data), -1)
            assert np.abs(snn - ann).mean() < near * ann.std(), (np.abs(snn - ann).mean(), ann.std())
        return conversion

    return run
