# SPDX-License-Identifier: Apache-2.0
"""The cortical microcircuit of the examples: its numbers, and the same spikes in the reference and on the CPU."""

import runpy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun.connections import Random
from spikerun.file import load, save
from spikerun.network import Network
from spikerun.reference import Stepper
from spikerun.session import Session

PATH = Path(__file__).resolve().parents[1] / "examples" / "microcircuit.py"


@cache
def microcircuit() -> dict[str, Any]:
    return runpy.run_path(str(PATH))


def build(scale: float, seed: int = 1) -> Network:
    """Return the microcircuit of the example."""
    net: Network = microcircuit()["build"](scale, seed)
    return net


def test_the_whole_model_has_the_numbers_of_its_authors() -> None:
    net = build(1.0)
    inner = {name: net.populations[name] for name in microcircuit()["NAMES"]}
    assert sum(p.size for p in inner.values()) == 77_169
    assert sum(p.connection.synapses for p in net.projections if isinstance(p.connection, Random)) == 298_880_968
    neuron: Any = inner["L4E"].neuron
    assert (int(neuron.threshold), int(neuron.keep_v), int(neuron.keep_u)) == (606_251, 64_884, 53_656)
    mean = np.mean(neuron.v_init) / 606_251 * 15 - 65
    assert abs(mean + 63.33) < 0.1
    assert max(map(net.under_way, net.populations)) == 63


@pytest.mark.parametrize("seed", [1, 2])
def test_reference_and_cpu_send_the_same_spikes(seed: int) -> None:
    net, steps = build(0.002, seed), 120
    sent = Session(net, threads=1).stream(step_us=100).advance(steps)
    stepper, count = Stepper(net), 0
    spikes = [stepper.step({}) for _ in range(steps)]
    for name in net.outputs:
        found = np.argwhere(np.stack([step[name] for step in spikes]))
        assert found.tolist() == np.stack([sent.spikes[name]["step"], sent.spikes[name]["index"]], axis=1).tolist()
        count += len(found)
    assert count > 20


def test_its_file_holds_rules_and_gives_the_same_network(tmp_path: Path) -> None:
    net = build(0.002)
    path = save(net, tmp_path / "net.snn")
    assert path.stat().st_size < 2**18
    first, second = (Session(one, threads=1).stream().advance(60) for one in (net, load(path)))
    assert all((first.spikes[name] == second.spikes[name]).all() for name in net.outputs)


def test_statistics_are_those_of_a_train_of_known_spikes() -> None:
    steps = np.arange(0, 10_000, 100)
    spikes = np.array([(t, n) for n in range(2) for t in steps], dtype=[("step", "i8"), ("index", "i4")])
    rate, cv, correlation = microcircuit()["statistics"](spikes, 2, 1.0)
    assert (rate, cv) == (100.0, 0.0)
    assert correlation == pytest.approx(1)
