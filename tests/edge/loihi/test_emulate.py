# SPDX-License-Identifier: Apache-2.0
"""The emulator beside what Lava made of a graph of each family, and of numbers at the ends of 24 bits, without Lava."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chip_graphs import FAMILIES, random_graph, random_samples

from spikerun.edge.loihi.emulate import run
from spikerun.edge.loihi.graph import Neurons
from spikerun.edge.loihi.models import MODELS
from spikerun.edge.loihi.samples import expected

DATA = Path(__file__).parents[2] / "data"
spec = importlib.util.spec_from_file_location("make_lava_graphs", DATA / "make_lava_graphs.py")
assert spec is not None and spec.loader is not None
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_emulator_does_what_lava_did(family: str) -> None:
    graph = random_graph(family, made.SEED)
    arrays = expected(graph, random_samples(graph, made.SEED), last=True)
    found = {name: values for name, values in arrays.items() if not name.startswith("input/")}
    assert made.digest(found) == json.loads(made.FILE.read_text())[family]


# One step from rest of lava-nc 0.10.0 (LIFReset, and the runner's own process), du 4095, dv 0, vth 131071:
# (current, bias_mant, bias_exp), then the spike, u, and v after the spike of LIF; of the one that takes vth off.
AT_THE_ENDS = [
    ((131072, 0, 0), 1, 8388608, 0, 63),
    ((131073, 0, 0), 0, -8388544, -8388544, -8388544),
    ((-131072, 0, 0), 1, 8388608, 0, 63),
    ((-131073, 0, 0), 0, 8388544, 8388544, 8388544),
    ((-131071, -63, 0), 0, -8388544, -8388607, -8388607),
    ((-131071, -64, 0), 0, -8388544, -8388607, -8388607),
    ((131071, 63, 0), 1, 8388544, 0, 63),
    ((131071, 64, 0), 1, 8388544, 0, 63),
    ((131070, 64, 0), 0, 8388480, 8388544, 8388544),
    ((131070, 65, 0), 1, 8388480, 0, 1),
    ((0, 5, -1), 0, 0, 2, 2),
    ((0, -5, -1), 0, 0, -3, -3),
    ((0, -4096, -4), 0, 0, -256, -256),
    ((0, -1, -4), 0, 0, -1, -1),
]


@pytest.mark.parametrize(("model", "column"), [("lif", 3), ("lif_subtract", 4)])
def test_at_the_ends_of_24_bits_and_with_small_biases_a_step_is_that_of_lava(model: str, column: int) -> None:
    current, mant, exp = np.array([row[0] for row in AT_THE_ENDS], np.int32).T
    parameters = {"du": 4095, "dv": 0, "vth": 131071, "bias_mant": mant, "bias_exp": exp, "v_first": 0,
                  "reset_interval": 0, "reset_offset": 0, "taken": 131071 << 6}  # fmt: skip
    neurons = MODELS[model](Neurons("a", current.shape, model, parameters, 1))
    assert neurons(1, current.astype(np.int64)).tolist() == [row[1] for row in AT_THE_ENDS]
    assert neurons.state["u"].tolist() == [row[2] for row in AT_THE_ENDS]
    assert neurons.state["v"].tolist() == [row[column] for row in AT_THE_ENDS]


@pytest.mark.parametrize("phased", [True, False])
def test_each_step_of_a_run_is_told_with_how_many_there_are(phased: bool) -> None:
    graph = replace(random_graph("dense", 0), phased=phased)
    inputs = {name: x[:1].repeat(3, axis=0) for name, x in random_samples(graph, 0).items()}
    told: list[tuple[int, int]] = []
    run(graph, inputs, tell=lambda done, total: told.append((done, total)))
    steps = graph.steps(3) if phased else 3 * graph.steps(1)
    assert told == [(done, steps) for done in range(1, steps + 1)]
