# SPDX-License-Identifier: Apache-2.0
"""One sample, one thread: spiking networks in integers beside the package itself, in one process, in turns.

    python benchmarks/spiking_latency.py

Networks of `spiking_networks.py` in 25 steps: snnTorch's tutorial 5 (784-1000-10, pixels as current), the recurrent one
(784-100-10, RLeaky), and the same two of Norse's cells, trained for one pass over 6,000 images of Fashion-MNIST; test
images are timed.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from record import record
from spiking_networks import NETWORKS, Norse, Trained
from spiking_training import images, trained

from spikerun import convert_spiking
from spikerun.session import Session

NAME = "spiking_latency"
STEPS, ROUNDS, RUN, TRAINED = 25, 6, 20, 6000


def networks() -> dict[str, Trained]:
    """Return what is timed, by name."""
    found = {
        "tutorial 5": NETWORKS["tutorial_5"],
        "recurrent": NETWORKS["recurrent"],
        "Norse": replace(NETWORKS["norse_lif"], build=lambda: Norse(False, 1000, STEPS)),
        "Norse, recurrent": replace(NETWORKS["norse_recurrent"], build=lambda: Norse(True, 100, STEPS)),
    }
    return {name: replace(network, batch=100) for name, network in found.items()}


def milliseconds(run: Callable[[Any], Any], samples: list[Any]) -> list[float]:
    """Return the time of each sample: that of this thread, which stands still while others have the processor."""
    found = []
    for sample in samples:
        begin = time.thread_time()
        run(sample)
        found.append(1e3 * (time.thread_time() - begin))
    return found


def main() -> None:
    """Train, convert, time in turns, record medians and their ratio."""
    torch.set_num_threads(1)
    data = images(None, held_out=False)
    data = replace(data, train=data.train.first(TRAINED))
    for name, network in networks().items():
        net = trained(network, data, seed=0, epochs=1).cpu()
        conversion = convert_spiking(net, data.train.samples[:64].reshape(64, -1))
        session = Session(conversion.network, threads=1)
        samples = [data.test.samples[k : k + 1].reshape(1, -1) for k in range(RUN)]
        reals = [torch.tensor(sample.astype(np.float32) / 255) for sample in samples]
        ours: list[float] = []
        theirs: list[float] = []
        with torch.inference_mode():
            for _ in range(
                ROUNDS
            ):  # in turns, each several samples long: neither begins with what the other left behind
                ours += milliseconds(session.run, samples)
                theirs += milliseconds(net, reals)
        record(NAME, f"{name}: integers, p50", round(statistics.median(ours), 3), "ms")
        record(NAME, f"{name}: the package itself, p50", round(statistics.median(theirs), 3), "ms")
        record(
            NAME, f"{name}: package over integers", round(statistics.median(theirs) / statistics.median(ours), 1), "x"
        )


if __name__ == "__main__":
    main()
