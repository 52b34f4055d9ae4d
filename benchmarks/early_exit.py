# SPDX-License-Identifier: Apache-2.0
"""How many steps early exit saves on rates of integrate-and-fire neurons, Fashion-MNIST test images, by duration.

    python benchmarks/early_exit.py [--images 1000] [--durations 16 32 64]

The network is that of fashion_rate.py, converted once for each duration. `exact` gives the classes of whole runs, which
is checked here; a lead is one of the largest logit, here a share of the median at the end of whole runs, and may be
wrong. Time is that of single images, one thread, in turn with whole runs: medians of the ratios.

What bounds exact: as long as a neuron may send a spike in each step that is left, an output may gain by all the weights
that favour it, which is far more than a trained network ever sends. Outputs whose spikes are counted gain one a step.
"""

import argparse
import time
from typing import Any

import numpy as np
from record import ROOT, record

from spikerun import Session, datasets
from spikerun.converters import Encoding, convert_spiking
from spikerun.converters.torch.user_model import load_model
from spikerun.plan import EarlyExit

NAME = "early_exit"
EXAMPLE = ROOT / "examples" / "fashion_average.py"
SHARES = (0.25, 0.5, 1.0)
SINGLE = 100  # images that are timed one at a time

Array = np.ndarray[Any, Any]


def seconds(sessions: list[Session], images: Array) -> Array:
    """Return the times (sessions, images) of single images; sessions take turns."""
    times = np.zeros((len(sessions), SINGLE))
    rng = np.random.default_rng(0)
    for k in range(SINGLE):
        for number in rng.permutation(len(sessions)):
            begin = time.thread_time_ns()
            sessions[number].run(images[k : k + 1])
            times[number, k] = time.thread_time_ns() - begin
    return times


def main() -> None:
    """Convert for each duration, and print what early exit saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--durations", type=int, nargs="*", default=[16, 32, 64])
    given = parser.parse_args()
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    images, labels = test.samples[: given.images], test.labels[: given.images]
    model = load_model(f"{EXAMPLE}:build", EXAMPLE.with_suffix(".safetensors"))
    for steps in given.durations:
        net = convert_spiking(
            model, train.samples[:512], duration=steps, neuron="if", reset="subtract",
            encoding=Encoding(train.scale, code="current"),
        ).network  # fmt: skip
        whole = Session(net, threads=1)
        full = whole.run(images)
        values = np.sort(full.logits, axis=1)
        lead = float(np.median(values[:, -1] - values[:, -2]))
        row = f"T={steps}"
        record(NAME, f"{row}: accuracy of whole runs", 100 * float((full.classes == labels).mean()), "%")
        record(NAME, f"{row}: lead at the end, median", lead, "logits")
        exits: tuple[EarlyExit, ...] = ("exact", *(share * lead for share in SHARES))
        for exit_ in exits:
            session = Session(net, threads=1, early_exit=exit_)
            result = session.run(images)
            assert result.steps is not None
            same = result.classes == full.classes
            assert exit_ != "exact" or same.all()
            what = f"{row}: {exit_ if isinstance(exit_, str) else f'lead of {exit_:.3g}'}"
            saved = 1 - result.steps.mean() / whole.steps
            taken = seconds([session, whole], images)
            record(NAME, f"{what}: steps saved", 100 * float(saved), "%")
            record(NAME, f"{what}: samples that stop early", 100 * float((result.steps < whole.steps).mean()), "%")
            record(NAME, f"{what}: time over whole runs", float(np.median(taken[0] / taken[1])), "x")
            if exit_ != "exact":
                record(NAME, f"{what}: accuracy", 100 * float((result.classes == labels).mean()), "%")
                record(NAME, f"{what}: other classes than whole runs", 100 * float((~same).mean()), "%")


if __name__ == "__main__":
    main()
