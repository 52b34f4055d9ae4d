# SPDX-License-Identifier: Apache-2.0
"""Sigma-delta networks: the words of every population are those of the reference, where the models allow that."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from networks import seeds
from sigma_delta_networks import frames, sigma_delta_network

from spikerun.connections import Dense, Window
from spikerun.edge.loihi.deployment import targets
from spikerun.edge.loihi.emulate import run
from spikerun.edge.loihi.layout import lava_order
from spikerun.edge.loihi.mapping import to_graph
from spikerun.edge.loihi.sigma_delta import sequence, sigma_delta_graph
from spikerun.errors import TargetError, UnsupportedError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, FewSpikes, Input, MaxPool, Neuron, Readout
from spikerun.reference import blocked

SEQUENCE = 6


def ordered(net: Network, name: str, values: Any) -> Any:
    return lava_order(values, len(net.populations[name].shape))


def expected(net: Network, samples: Any) -> dict[str, Any]:
    """Return the words (N, *shape) of populations that fire and the sums of readouts, without their bias."""
    found: dict[str, list[Any]] = {name: [] for name in net.populations}
    for sample in samples:
        for name, turn in blocked(net, {"in": sample}).items():
            neuron = net.populations[name].neuron
            found[name].append(turn.word if neuron.fires else turn.membrane - neuron.offset)  # type: ignore[operator]
    return {name: np.stack(values) for name, values in found.items()}


def uncut(net: Network, words: dict[str, Any]) -> bool:
    """Return whether no word of a neuron may have been cut: chips have no largest word."""
    return all(values.max() < 255 for name, values in words.items() if name not in ("in", "out"))


def assert_words(net: Network, got: dict[str, Any], words: dict[str, Any]) -> None:
    for name, values in words.items():
        np.testing.assert_array_equal(got[name], ordered(net, name, values), err_msg=name)


@pytest.mark.parametrize("exact", [False, True])
@given(seed=seeds)
@settings(max_examples=60)
def test_words_of_single_samples_are_those_of_the_reference(exact: bool, seed: int) -> None:
    net = sigma_delta_network(seed)
    samples = frames(net, seed, 2)
    words = expected(net, samples)
    assume(uncut(net, words))
    trace = run(sigma_delta_graph(net, exact), {"in": ordered(net, "in", samples)[:, None]})
    assert_words(net, {name: values[:, 0] for name, values in trace.events.items()}, words)


@given(seed=seeds)
@settings(max_examples=60)
def test_with_our_model_every_sample_of_a_sequence_is_exact_one_a_step(seed: int) -> None:
    net = sigma_delta_network(seed)
    samples = frames(net, seed, SEQUENCE)
    words = expected(net, samples)
    assume(uncut(net, words))
    assert_words(net, sequence(sigma_delta_graph(net, exact=True), {"in": ordered(net, "in", samples)}), words)


def test_stock_processes_drift_in_a_sequence() -> None:
    net = sigma_delta_network(3)
    samples = frames(net, 3, 40)
    words = expected(net, samples)
    got = sequence(sigma_delta_graph(net), {"in": ordered(net, "in", samples)})
    assert (got["l0"][0] == ordered(net, "l0", words["l0"])[0]).all()
    assert (got["l0"][-1] < ordered(net, "l0", words["l0"])[-1] - 5).any()


def network(neuron: Neuron, sample: Input | None = None, window: int = 1) -> Network:
    """Return two neurons behind an input, and a readout behind them."""
    populations = {"in": Population((4,), sample or Input(8, "graded")), "hidden": Population((2,), neuron)}
    populations["out"] = Population((2,), Readout())
    first = Projection("in", "hidden", Dense(np.full((4, 2), 3, np.int8)), exponent=1)
    projections = [first, Projection("hidden", "out", Dense(np.ones((2, 2), np.int8)))]
    return Network(populations, projections, ["out"], window, {"coding": "sdnn"})


def plain(threshold: Any = 64, bias: Any = 0, **options: Any) -> FewSpikes:
    return FewSpikes(**{"bits": 8, "threshold": threshold, "bias": bias, "code": "graded", **options})


def changed(net: Network, extra: Projection | None = None, **populations: Population) -> Network:
    projections = [*net.projections, *([extra] if extra else [])]
    return Network({**net.populations, **populations}, projections, ["out", *populations], 1, net.meta)


def test_a_converted_network_is_deployed_and_one_whose_words_are_cut_is_not(tmp_path: Path) -> None:
    net = network(plain(threshold=2**6, bias=5))
    target = targets()["loihi2"]
    bundle = target.deploy(net, tmp_path / "bundle", np.full((1, 4), 200))
    assert bundle.verdict.fits
    with pytest.raises(TargetError, match=r"'hidden': .* because a word is cut at 255"):
        target.deploy(network(plain(threshold=1)), tmp_path / "cut", np.full((1, 4), 200))


def test_loihi_1_has_no_graded_spikes() -> None:
    verdict = targets()["loihi1"].check(network(plain()))
    assert not verdict.fits
    assert any("'in'" in why and "graded spikes are not" in why for why in verdict.complaints)


SMALL = [1, -7, 2**15 - 1, -(2**15)]
LARGE = [2**15, -(2**15) - 1, 255 * 2**15, -255 * 2**15, 2**22 + 13, -(2**22) - 1, 2**23 - 600, -(2**23) + 600]


@pytest.mark.parametrize(
    ("bias", "parts"),
    [*((b, 1) for b in SMALL), *((b, 2) for b in LARGE), (2**23 - 1, 3), (-(2**23) + 1, 2)],
)
def test_a_bias_reaches_its_population_whole_in_its_first_step_in_payloads_of_16_bits(bias: int, parts: int) -> None:
    net = network(plain(threshold=2**15, bias=np.array([bias, 300])))
    graph = to_graph(replace(net, projections=[silent(net.projections[0]), *net.projections[1:]]))
    payloads = np.asarray(next(n for n in graph.neurons if n.name == "hidden:bias").parameters["bias"])
    assert payloads.size == 2 * parts
    assert payloads.min() >= -(2**15) and payloads.max() < 2**15
    trace = run(graph, {"in": np.zeros((1, 1, 4), np.int32)}, states=True)
    assert trace.states["hidden"]["sigma"].ravel().tolist() == [bias, 300]


def silent(projection: Projection) -> Projection:
    """Return a projection without weights: the largest biases leave no room for any."""
    return replace(projection, connection=Dense(np.zeros((4, 2), np.int8)))


def deep(layers: int) -> Network:
    """Return layers in a row, beside the last of which the input comes in again."""
    populations = {"in": Population((2,), Input(8, "graded"))}
    one = Dense(np.eye(2, dtype=np.int8))
    projections = [Projection("in", f"l{layers - 1}", one)]
    for k in range(layers):
        populations[f"l{k}"] = Population((2,), plain())
        projections.append(Projection(f"l{k - 1}" if k else "in", f"l{k}", one))
    return Network(populations, projections, [f"l{layers - 1}"], 1, {"coding": "sdnn"})


def test_a_shortcut_is_as_long_as_the_longest_delay() -> None:
    assert max(s.delay for s in to_graph(deep(63)).synapses) == 62
    with pytest.raises(UnsupportedError, match="population 'l63' needs a delay of 63 steps, and Loihi has 62"):
        to_graph(deep(64))


def test_a_window_of_more_than_a_step_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="a window of one step"):
        to_graph(network(plain(), window=2))


def test_a_population_without_bias_has_no_source_of_it() -> None:
    assert [n.name for n in to_graph(network(plain())).neurons] == ["hidden", "out"]


def test_words_beyond_255_are_not_cut_on_the_chip() -> None:
    net = network(plain(threshold=1))
    sample = np.full(4, 200)
    assert blocked(net, {"in": sample})["hidden"].word.tolist() == [255, 255]
    assert run(to_graph(net), {"in": sample[None, None]}).events["hidden"].ravel().tolist() == [4800, 4800]


@pytest.mark.parametrize(
    ("neuron", "words"),
    [
        (plain(signed=True), "'hidden' sends other words than whole, unsigned ones of 8 bits"),
        (plain(bits=7), "'hidden' sends other words than whole"),
        (plain(max_spikes=2), "'hidden' sends other words than whole"),
        (plain(threshold=65), "'hidden' has thresholds of 65..65, not one power of two"),
        (plain(threshold=np.array([64, 128])), "'hidden' has thresholds of 64..128, not one power of two"),
        (plain(threshold=2**20, bias=2**23), "'hidden' has sums of up to 8394728, more than 24 bits"),
    ],
)
def test_words_that_no_sigma_delta_neuron_sends_are_refused_by_name(neuron: FewSpikes, words: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{words}.*--coding sdnn"):
        to_graph(network(neuron))


def test_a_max_pool_is_refused_by_name() -> None:
    populations = {"in": Population((1, 4, 4), Input(8, "graded")), "pool": Population((1, 2, 2), MaxPool())}
    populations["hidden"] = Population((2,), plain())
    pool, dense = Projection("in", "pool", Window(2, 2)), Dense(np.ones((4, 2), np.int8))
    net = Network(populations, [pool, Projection("pool", "hidden", dense)], ["hidden"], 1)
    with pytest.raises(UnsupportedError, match="'pool' is of kind max_pool"):
        sigma_delta_graph(net)


def test_neurons_of_another_kind_beside_words_are_refused_by_name() -> None:
    extra = Projection("hidden", "beside", Dense(np.ones((2, 2), np.int8)))
    net = changed(network(plain()), extra, beside=Population((2,), IF(3)))
    with pytest.raises(UnsupportedError, match="'beside' is of kind if"):
        to_graph(net)


def test_recurrent_networks_are_refused() -> None:
    loop = Projection("hidden", "hidden", Dense(np.ones((2, 2), np.int8)), delay=2)
    with pytest.raises(UnsupportedError, match="no delays, no cycles"):
        to_graph(changed(network(plain()), loop))


@pytest.mark.parametrize("sample", [Input(8, "graded", True), Input(1, "bits")])
def test_samples_that_are_no_unsigned_payloads_are_refused(sample: Input) -> None:
    with pytest.raises(UnsupportedError, match="'in' sends no unsigned payloads"):
        to_graph(network(plain(), sample))
