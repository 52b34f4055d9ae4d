# SPDX-License-Identifier: Apache-2.0
"""Bundles for Loihi: what is in them, what is said of a network, and what is refused by name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chip_networks import chip_network, chip_samples

from spikerun import edge
from spikerun.cli import main
from spikerun.connections import Dense, SumPool, Window
from spikerun.edge.golden import make
from spikerun.edge.loihi.answers import answers
from spikerun.edge.loihi.emulate import run
from spikerun.edge.loihi.store import load_graph
from spikerun.errors import TargetError, UnsupportedError
from spikerun.file import load, save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, Levels, MaxPool, Neuron, Readout

FIRING = LIF.loihi(100, 64)


def network(*neurons: Neuron, weight: int = 60, exponent: int = 1, code: str = "spikes", bits: int = 1) -> Network:
    """Return a chain of populations of four neurons, all to all."""
    names = [f"l{k}" for k in range(len(neurons))]
    populations = {"in": Population((4,), Input(bits, code))}
    populations |= {name: Population((4,), neuron) for name, neuron in zip(names, neurons, strict=True)}
    dense = Dense(np.full((4, 4), weight, np.int8))
    projections = [Projection(a, b, dense, exponent=exponent) for a, b in zip(["in", *names], names, strict=False)]
    return Network(populations, projections, [names[-1]], 6)


def inclusive(threshold: int, reset: str = "value") -> LIF:
    """Return a neuron of the chip that fires at its threshold, in units of its membrane."""
    return LIF(threshold, fraction_bits=6, limits="chip", inclusive=True, reset=reset)


def test_a_bundle_holds_what_runs_without_spikerun(tmp_path: Path) -> None:
    net = network(FIRING, FIRING)
    bundle = edge.load("loihi2").deploy(net, tmp_path / "out", 3)
    report = json.loads((bundle.path / "report.json").read_text())
    wanted = {"graph.h5", "samples.npz", "network.snn", "README.md", "report.md", "report.json", "cores.svg", "LICENSE",
              "requirements-python3.10.txt", "requirements-modern.txt", "runner/__main__.py"}  # fmt: skip
    assert wanted <= set(report["files"])
    assert report["target"] == "loihi2" and report["fits"] and report["measures"]["cores"] == 2


def test_samples_of_a_bundle_are_what_its_graph_does(tmp_path: Path) -> None:
    net = chip_network(5, feedforward=True)
    frames = chip_samples(net, 5)
    path = edge.load("loihi2").deploy(net, tmp_path / "out", frames).path
    graph, held = load_graph(path / "graph.h5"), np.load(path / "samples.npz", allow_pickle=False)
    trace = run(graph, {"in": held["input/in"]}, states=True)
    for neurons in graph.neurons:
        np.testing.assert_array_equal(held[f"events/{neurons.name}"], trace.events[neurons.name])
    found = answers(net, graph, trace.events, {name: trace.states[name]["v"] for name in net.outputs})
    for name, values in make(net, frames).outputs.items():
        np.testing.assert_array_equal(found[name], values)
    assert load(path / "network.snn").window == net.window


@pytest.mark.parametrize("answer", ["count", "first_spike", "last", "max", "mean"])
@pytest.mark.parametrize("kind", [IF, LIF.loihi])
def test_results_are_made_outside_of_the_chip(kind: Any, answer: str, tmp_path: Path) -> None:
    net = network(FIRING, replace(kind(90), answer=answer))
    edge.load("loihi2").deploy(net, tmp_path / "out", 4)  # refuses what is not the reference's


def test_the_bias_of_a_readout_is_added_outside(tmp_path: Path) -> None:
    edge.load("loihi2").deploy(network(FIRING, Readout(bias=np.array([5, -7, 0, 1000]))), tmp_path / "out", 4)


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (network(LIF(100)), r"'l0' has limits 'wide' instead of 'chip', 0 fractional bits instead of 6.*--limits"),
        (network(LIF.loihi(np.array([1, 2, 3, 4]))), r"'l0': its threshold is 64..256, .* has one.*equalises"),
        (network(LIF.loihi(5, 2**23 - 1)), r"'l0': a bias of 8388607 is not 13 bits times 2\^0..2\^7"),
        (network(LIF.loihi(5, refractory=2)), r"'l0' has a refractory period"),
        (network(LIF.loihi(5, dv=4096)), r"'l0' has membranes that keep nothing"),
        (network(inclusive(100, "subtract")), "'l0' has spikes at the threshold itself, with membranes"),
        (network(inclusive(6400), exponent=8), "'l0' has spikes at the threshold itself, with membranes"),
        (network(replace(LIF.loihi(5), bias_u=np.int32(3))), "'l0' has a bias of its current"),
        (network(replace(LIF.loihi(5), v_reset=np.int32(64))), "'l0' has a reset to v_reset"),
        (network(replace(LIF.loihi(5), v_init=np.int32(64))), "'l0' has an initial membrane"),
        (network(replace(LIF.loihi(5), v_min=np.int32(-64))), "'l0' has a floor v_min"),
        (network(replace(LIF.loihi(5), keep_v=np.int32(65530))), "'l0' has decays finer than 12 bits"),
        (network(replace(LIF.loihi(5), reset="none")), "'l0' has a threshold of 5 and reset 'none'"),
        (network(LIF.loihi(5, reset_interval=3)), "'l0' has a reset_interval of its own"),
        (network(LIF.loihi(5, 4097)), r"'l0': a bias of 4097 is not 13 bits times 2\^0..2\^7"),
        (network(IF(90, v_min=-5)), r"'l0' has a floor v_min above"),
        (network(IF(90, v_init=5)), r"'l0' has an initial membrane"),
        (network(IF(90), weight=127, exponent=8), r"'l0' has membranes that may reach 780288.*131071"),
    ],
)  # fmt: skip
def test_neurons_that_no_chip_has_are_refused_by_name(net: Network, says: str) -> None:
    with pytest.raises(UnsupportedError, match=says):
        edge.load("loihi2").check(net)


def test_neurons_that_look_words_up_are_refused_with_what_to_do() -> None:
    with pytest.raises(UnsupportedError, match=r"'l0': Loihi has no levels neurons\. .* train with ReLU instead"):
        edge.load("loihi2").check(network(Levels(1, [5])))


def test_max_pools_are_refused_with_what_to_do() -> None:
    populations = {"in": Population((1, 4, 4), Input(1, "spikes")), "pool": Population((1, 2, 2), MaxPool())}
    net = Network(populations, [Projection("in", "pool", Window((2, 2), (2, 2)))], ["pool"], 3)
    with pytest.raises(UnsupportedError, match=r"'pool': Loihi has no max_pool neurons. Train with average pools"):
        edge.load("loihi2").check(net)


def test_odd_weights_of_a_convolution_are_refused_with_what_to_do() -> None:
    populations = {"in": Population((1, 4, 4), Input(1, "spikes")), "l0": Population((1, 2, 2), FIRING)}
    net = Network(populations, [Projection("in", "l0", SumPool((2, 2), (2, 2)))], ["l0"], 3)
    with pytest.raises(UnsupportedError, match=r"in -> l0: weights of convolutions and pools are even.*--limits"):
        edge.load("loihi2").check(net)


def test_a_cycle_with_fewer_steps_than_synapses_is_refused() -> None:
    net = network(FIRING, FIRING)
    back = Projection("l1", "l0", Dense(np.ones((4, 4), np.int8)), delay=1)
    net = Network(net.populations, [*net.projections, back], ["l1"], 6)
    with pytest.raises(
        UnsupportedError, match=r"the cycle (l0 -> l1 -> l0|l1 -> l0 -> l1) has 2 synapses and 1 step of delay"
    ):
        edge.load("loihi2").check(net)


def test_loihi_1_has_no_graded_spikes() -> None:
    net = network(FIRING, code="current", bits=8)
    assert edge.load("loihi2").check(net).fits
    assert any("payloads of 8 bits" in text for text in edge.load("loihi1").check(net).complaints)


def test_what_leaves_the_24_bits_is_refused(tmp_path: Path) -> None:
    net = network(FIRING, Readout(), weight=127, exponent=7)  # 6 steps of up to 4 * 127 * 128 for each neuron
    frames = {"in": np.ones((1, 6, 4), np.int64)}
    with pytest.raises(TargetError, match=r"sample 0, population 'l1': .* leaves the chip's 24 bits"):
        edge.load("loihi2").deploy(net, tmp_path / "out", frames)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("neuron", [inclusive(120 * 64), inclusive(180 * 64, "subtract")])
def test_neurons_that_fire_at_their_threshold_do_so_on_the_chip(neuron: LIF, tmp_path: Path) -> None:
    edge.load("loihi2").deploy(network(neuron, LIF.loihi(100)), tmp_path / "out", 8)  # currents are multiples of 120


def test_sums_that_could_pass_the_end_of_a_membrane_are_remarked() -> None:
    small, large = (edge.load("loihi2").check(network(FIRING, Readout(), exponent=e)).notes for e in (1, 8))
    assert not any("they end at 131,071" in note for note in small)
    assert any("l1: its sums could reach 368,640 by its weights" in note for note in large)


def test_biases_that_words_would_hear_before_the_first_sample_are_refused() -> None:
    populations = {
        "in": Population((2,), Input(1, "spikes")),
        "a": Population((2,), LIF.loihi(100)),
        "b": Population((2,), LIF.loihi(100, 4095 << 7, dv=4095)),
        "c": Population((2,), FewSpikes(3, np.int32(1))),
    }
    dense = Dense(np.ones((2, 2), np.int8))
    links = [Projection("in", "a", dense, exponent=1), Projection("a", "b", dense, exponent=1)]
    net = Network(populations, [*links, Projection("b", "c", dense, delay=1)], ["c"], 4)
    with pytest.raises(UnsupportedError, match="'b' fires of biases alone before the first sample"):
        edge.load("loihi2").check(net)


def test_a_current_that_wraps_more_than_once_is_refused() -> None:
    net = network(FIRING, weight=127, exponent=8, code="current", bits=8)  # 4 * 127 * 255 * 256 * 64
    assert any(
        "more than three times what a current holds" in text for text in edge.load("loihi2").check(net).complaints
    )


def test_results_are_described_for_those_who_have_no_spikerun(tmp_path: Path) -> None:
    net = network(FIRING, Readout(np.float32(0.5), np.array([5, -7, 0, 1000])))
    path = edge.load("loihi2").deploy(net, tmp_path / "out", 4).path
    how = json.loads((path / "results.json").read_text())["l1"]
    with np.load(path / "samples.npz") as held:
        v = held["states/l1/v"][:, -1] >> how["bits"]
    frames = {"in": np.load(path / "samples.npz")["input/in"]}
    found = np.array(how["scale"]) * (v + how["bias"])
    np.testing.assert_array_equal(found, 0.5 * make(net, frames).outputs["l1"])
    assert (how["read"], how["rule"]) == ("membrane", "last")


def test_models_of_our_own_are_remarked() -> None:
    verdict = edge.load("loihi2").check(network(LIF.loihi(100, reset="subtract")))
    notes = verdict.notes
    assert verdict.measures["runs_on"] == "simulation only"
    assert any("'l0': no chip has the model 'lif_subtract'" in note for note in notes)


def test_a_figure_of_energy_stands_only_where_one_is_published(tmp_path: Path) -> None:
    net = network(FIRING, FIRING)
    said = {name: edge.load(name).deploy(net, tmp_path / name, 2).path / "report.md" for name in ("loihi1", "loihi2")}
    assert "energy of loihi1, an estimate" in said["loihi1"].read_text()
    assert "Davies et al. 2018" in said["loihi1"].read_text()
    assert "energy: no figure" in said["loihi2"].read_text()


def test_check_says_what_was_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(network(FIRING, FIRING), tmp_path / "net.snn")
    assert main(["deploy", str(tmp_path / "net.snn"), "--target", "loihi2", "--check"]) == 0
    out = capsys.readouterr().out
    assert "note: l0, l1: neurons of the chip, which reset to zero" in out
    assert "note: samples follow one another in one run" in out
