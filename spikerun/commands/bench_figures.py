# SPDX-License-Identifier: Apache-2.0
"""What `spikerun bench` measures beside times: memory, accuracy and activity."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spikerun.commands.footprint import peak_bytes
from spikerun.datasets import Dataset
from spikerun.paired import interval, standard_error
from spikerun.result import Result, count_classes
from spikerun.session import Session

if TYPE_CHECKING:
    from spikerun.converters.rivals import Rival

__all__ = ["REFERENCE", "SNN", "activity_of", "judge", "standing"]

WATCHED = 32  # samples whose words are looked at
SNN = "spikerun"
REFERENCE = "reference"
SAID = {SNN: "this network, %s schedule", REFERENCE: "the plain reference executor"}


def standing(
    network: Path, session: Session, samples: npt.NDArray[Any], rivals: "list[Rival]", memory: bool, reference: bool
) -> dict[str, dict[str, Any]]:
    """Return what each contestant is, and the memory that it takes."""

    def row(said: str, fresh: tuple[str, str, str] | None, values: npt.NDArray[Any]) -> dict[str, Any]:
        measured = peak_bytes(fresh, values, session.threads) if memory and fresh is not None else None
        return {"said": said, "peak_bytes": measured}

    found = {SNN: row(SAID[SNN] % session.schedule, (SNN, str(network), ""), samples)}
    found |= {rival.name: row(rival.said, rival.fresh, rival.values) for rival in rivals}
    return found | ({REFERENCE: row(SAID[REFERENCE], None, samples)} if reference else {})


def judge(contestants: dict[str, dict[str, Any]], result: Result, rivals: "list[Rival]", dataset: Dataset) -> None:
    """Add the accuracy of each, and by how many points it differs from that of the ANN in float, with its interval."""
    if not dataset.labelled:
        return
    labels = dataset.labels
    scores = {SNN: result.right(labels)}
    for rival in rivals:
        answers = rival.answers()
        shape = result.net.populations[result.net.outputs[0]].shape
        classes = count_classes(labels, shape, len(answers))
        values = answers.reshape(len(answers), classes, *labels.shape[1:])
        scores[rival.name] = (values.argmax(axis=1) == labels).reshape(len(answers), -1).mean(axis=1)
    floats = next((rival.name for rival in rivals if rival.exact), None)
    for name, score in scores.items():
        contestants[name]["accuracy"] = 100 * float(score.mean())
        if floats is not None and name != floats:
            points = 100 * float((score - scores[floats]).mean())
            contestants[name]["points"] = points
            contestants[name]["points_95"] = interval(points, standard_error(score, scores[floats]))


def activity_of(session: Session, samples: npt.NDArray[Any], result: Result) -> dict[str, Any]:
    """Return spikes, and the share of words that are not 0, of each population that sends any.

    Where populations spike step by step, it is the share of steps in which a neuron does.
    """
    activity, net = result.activity, session.net
    words = session.run(samples[:WATCHED], trace=True).words if session.schedule == "blocked" else {}
    populations = {}
    for name, population in activity.populations.items():
        if not net.populations[name].neuron.fires:
            continue
        spikes = population.spikes / (population.neurons * activity.samples)
        active = float(np.mean(words[name] != 0)) if name in words else spikes / net.window
        populations[name] = {"neurons": population.neurons, "active": active, "spikes_per_neuron": spikes}
    inner = {name: row for name, row in populations.items() if not net.populations[name].neuron.is_input}
    neurons = sum(row["neurons"] for row in inner.values())
    return {
        "active": sum(row["active"] * row["neurons"] for row in inner.values()) / neurons if neurons else 0.0,
        "unit": "words" if words else "steps",
        "spikes_per_neuron": activity.spikes_per_neuron,
        "synops_per_sample": activity.synops_per_sample,
        "synops_per_mac": activity.synops_per_mac,
        "populations": populations,
    }
