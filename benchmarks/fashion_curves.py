# SPDX-License-Identifier: Apache-2.0
"""How words stand for activations that fall below 0: three ways, on the sums of small networks trained here.

table: one population whose word z stands for 0 (what the converter does). signed: one population in two's complement.
two: a population for what rises and one for what falls. Squared error over squared values,
and spikes for each neuron of the ANN, which are in proportion to synaptic operations; training images, not the test's.
"""

import numpy as np
import numpy.typing as npt
import torch
from record import record
from torch import nn

from spikerun import datasets
from spikerun.codes import spike_count
from spikerun.converters.curved import Curved
from spikerun.converters.curves import curve

NAME = "fashion_curves"
MODULES = {"silu": nn.SiLU, "gelu": nn.GELU, "tanh": nn.Tanh, "leaky_relu": nn.LeakyReLU}
IMAGES = 10_000
Array = npt.NDArray[np.float64]


def trained(kind: type[nn.Module], x: torch.Tensor, y: torch.Tensor) -> nn.Sequential:
    """Return a network of two convolutions and two linear layers after two epochs."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, stride=2, padding=1), kind(), nn.Conv2d(12, 24, 3, stride=2, padding=1), kind(),
        nn.Flatten(), nn.Linear(24 * 49, 48), kind(), nn.Linear(48, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(2):
        for some in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[some]), y[some]).backward()
            optimiser.step()
    return model.eval()


def table(y: Array, z: Array, activation: Curved, bits: int) -> tuple[float, float]:
    """Return the squared error and the spikes of words of which one stands for 0."""
    ones = np.ones(len(z))
    grid = activation.fit(z, y, np.abs(y).max(axis=1), ones, bits, together=True)
    words = activation.words(z.T, ones, grid, bits)
    return float(np.square(grid.real(words).T - y).sum()), spikes(words, bits)


def least(y: Array, bits: int, low: int, high: int) -> tuple[float, float]:
    """Return the squared error and the spikes of words of 0 for 0, with the step of least error."""
    reach = np.abs(y).max() / high
    tried = []
    for step in reach * np.geomspace(0.15, 1.05, 32):
        words = np.clip(np.rint(y / step), low, high)
        tried.append((float(np.square(words * step - y).sum()), spikes(words, bits)))
    return min(tried)


def spikes(words: Array, bits: int) -> float:
    """Return the set bits of a word, on average."""
    return float(spike_count(words.astype(np.int64) & (2**bits - 1), "bits", bits).mean())


def two(y: Array, z: Array, bits: int) -> tuple[float, float]:
    """Return the same of the sum of two populations and a constant: what rises, and what falls before its least value.

    Of a function that only rises, what is above 0 and what is below.
    """
    rises = bool((np.diff(y.ravel()[z.ravel().argsort()]) >= 0).all())
    split, base = (0.0, 0.0) if rises else (float(z.ravel()[y.argmin()]), float(y.min()))
    parts = [least(np.where(z > split, y - base, 0), bits, 0, 2**bits - 1)]
    parts.append(least(np.where(z > split, 0, np.abs(y - base)), bits, 0, 2**bits - 1))
    return sum(error for error, _ in parts), sum(count for _, count in parts)


def main() -> None:
    """Train, and print what each way costs at T = 4 and 6."""
    train = datasets.load("fashion-mnist", split="train")
    x = torch.from_numpy(train.samples[:IMAGES].astype(np.float32)) / 255
    labels = torch.from_numpy(train.labels[:IMAGES].astype(np.int64))
    for name, kind in MODULES.items():
        model = trained(kind, x, labels)
        activation = Curved.of(curve(name), 0, 1, 1)
        sums, value = [], x[:256]
        with torch.no_grad():
            for layer in model:
                if isinstance(layer, kind):
                    sums.append(value.numpy().astype(np.float64).reshape(1, -1))
                value = layer(value)
        for bits in (4, 6):
            found = {"table": [0.0, 0.0], "signed": [0.0, 0.0], "two": [0.0, 0.0]}
            for z in sums:
                y = activation.real(z)
                half = 2 ** (bits - 1)
                ways = {
                    "table": table(y, z, activation, bits),
                    "signed": least(y, bits, -half, half - 1),
                    "two": two(y, z, bits),
                }
                for way, (error, count) in ways.items():
                    found[way][0] += error / float(np.square(y).sum()) / len(sums)
                    found[way][1] += count / len(sums)
            for way, (error, count) in found.items():
                record(NAME, f"{name}, T={bits}, {way}: relative squared error", error * 1e4, "1e-4")
                record(NAME, f"{name}, T={bits}, {way}: spikes per neuron", count, "")


if __name__ == "__main__":
    main()
