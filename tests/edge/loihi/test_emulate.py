# SPDX-License-Identifier: Apache-2.0
"""The emulator beside what Lava made of a graph of each family, without Lava."""

import importlib.util
import json
from pathlib import Path

import pytest
from chip_graphs import FAMILIES, random_graph, random_samples

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
