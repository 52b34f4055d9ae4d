# SPDX-License-Identifier: Apache-2.0
"""Networks without the channels that make no difference: the same outputs, and the same words of what is left."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_inputs, random_network, seeds

from spikerun.connections import Conv, Dense, Diagonal, SumPool, Window
from spikerun.gone import Gone, without_gone
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Levels, MaxPool, Readout
from spikerun.reference import blocked

RNG = np.random.default_rng(0)


def weights(*shape: int) -> Any:
    return RNG.integers(1, 20, shape).astype(np.int8)


def assert_same(net: Network, less: Network, gone: Gone, samples: dict[str, Any]) -> None:
    """Compare outputs, and words and membranes of all that is left."""
    ours, theirs = blocked(less, samples), blocked(net, samples)
    for name, turn in ours.items():
        kept = gone.kept[name]
        np.testing.assert_array_equal(turn.word, theirs[name].word[kept], err_msg=name)
        membrane = theirs[name].membrane
        if membrane is not None and less.populations[name].neuron.integrates == "window":
            np.testing.assert_array_equal(turn.membrane, membrane[kept], err_msg=name)
    for name in net.outputs:
        np.testing.assert_array_equal(ours[name].answer, theirs[name].answer)


def thinned(net: Network, seed: int) -> Network:
    """Return a network in which some channels have no synapses into them, some none out, and some never fire."""
    rng = np.random.default_rng(seed)
    projections = []
    for p in net.projections:
        values: dict[str, Any] = {}
        for name, value in p.connection.parameters():
            if not (isinstance(value, np.ndarray) and name in ("weight", "gain", "data")) or rng.random() < 0.3:
                continue
            value = value.copy()
            if name == "data":
                value[rng.random(value.shape) < 0.8] = 0
            for axis in range(min(value.ndim, 2)) if name != "data" else ():
                value[(slice(None),) * axis + (rng.random(value.shape[axis]) < rng.choice([0.3, 0.7]),)] = 0
            values[name] = value
        projections.append(replace(p, connection=replace(p.connection, **values)))  # type: ignore[type-var]
    populations = {}
    for name, population in net.populations.items():
        neuron = population.neuron
        if neuron.integrates == "window" and neuron.fires and rng.integers(2):
            low = rng.random(population.shape[0]) < 0.4
            bias = np.where(low, -(2**24), np.broadcast_to(neuron.offset.reshape(-1)[0], low.shape))
            neuron = neuron.shifted(bias.astype(np.int32))
        populations[name] = replace(population, neuron=neuron)
    return Network(populations, projections, net.outputs, net.window, net.meta)


@given(seeds, st.sampled_from(["words", "words", "mixed", "spikes"]))
@settings(max_examples=150, deadline=None)
def test_outputs_and_words_are_the_same_without_what_is_gone(seed: int, kind: str) -> None:
    net = thinned(random_network(seed, kind), seed)
    less, gone = without_gone(net)
    for batch in (0.0, 0.5, 1.0) if net.feedforward else ():
        samples = random_inputs(net, seed, 1, batch)
        assert_same(net, less, gone, {name: values[0] for name, values in samples.items()})


# --- by hand ---------------------------------------------------------------------------------------------------------


def few(count: int, bias: Any = 0, bits: int = 4, threshold: int = 100) -> FewSpikes:
    return FewSpikes(bits, np.full(count, threshold), np.broadcast_to(bias, count).astype(np.int32))


def chain(*links: Any, shapes: tuple[Any, ...], neurons: tuple[Any, ...]) -> Network:
    """Return a network of populations p0, p1, ... one after the other; `links` are their connections."""
    names = [f"p{k}" for k in range(len(shapes))]
    populations = {n: Population(s, neuron) for n, s, neuron in zip(names, shapes, neurons, strict=True)}
    projections = [Projection(a, b, c) for a, b, c in zip(names, names[1:], links, strict=False)]
    return Network(populations, projections, names[-1], 8)


def images(conv: Conv, after: Any, last: int, bias: Any = 0) -> Network:
    """Return an input (2, 5, 5), a convolution with biases, and a readout behind `after`, which reads its result."""
    shape = conv.target_shape((2, 5, 5))
    ends = (last,) if after.target_shape(shape) is None else after.target_shape(shape)
    return chain(
        conv, after, shapes=((2, 5, 5), shape, ends), neurons=(Input(8), few(shape[0], bias, threshold=900), Readout())
    )


def checked(net: Network) -> tuple[Network, Gone]:
    """Return the network without what is gone, after all its words were compared on random samples."""
    less, gone = without_gone(net)
    for seed in range(5):
        assert_same(net, less, gone, {n: x[0] for n, x in random_inputs(net, seed, 1, 0.6).items()})
    return less, gone


def test_a_channel_to_which_no_weight_leads_is_pruned() -> None:
    weight = weights(4, 2, 3, 3)
    weight[2] = 0
    less, gone = checked(images(Conv(weight), Dense(weights(36, 3)), 3))
    assert less.populations["p1"].shape == (3, 3, 3) and less.projections[1].connection.weights == 27 * 3
    assert gone.why == {"p1": {"pruned": 1, "silent": 0, "unread": 0}}


def test_a_channel_whose_largest_sum_is_below_its_threshold_is_silent() -> None:
    weight = weights(4, 2, 3, 3)
    weight[1] = -weight[1]
    gone = checked(images(Conv(weight), Dense(weights(36, 3)), 3))[1]
    assert gone.why == {"p1": {"pruned": 0, "silent": 1, "unread": 0}}


def test_a_channel_that_could_fire_stays_though_no_sample_makes_it() -> None:
    weight = np.zeros((2, 2, 1, 1), np.int8)
    weight[0, 0] = weight[1, 1] = 1
    bias = np.array([0, 900 - 255])  # the largest pixel alone reaches the threshold
    assert not checked(images(Conv(weight), Dense(weights(50, 3)), 3, bias))[1].kept["p1"][0]
    less, _ = without_gone(images(Conv(weight), Dense(weights(50, 3)), 3, bias))
    assert less.populations["p1"].shape == (1, 5, 5)


def test_a_channel_that_nothing_reads_goes_and_what_only_it_reads() -> None:
    first, second = weights(6, 5), weights(5, 4)
    second[3] = 0
    first[2, [0, 1, 2, 4]] = 0  # the third input neuron of p1 feeds the unread one alone
    net = chain(
        Dense(weights(3, 6)), Dense(first), Dense(second),
        shapes=((3,), (6,), (5,), (4,)), neurons=(Input(8), few(6), few(5), Readout()),
    )  # fmt: skip
    less, gone = checked(net)
    assert [gone.why[name]["unread"] for name in ("p1", "p2")] == [1, 1]
    assert [less.populations[name].shape for name in ("p1", "p2")] == [(5,), (4,)]


def test_a_constant_word_becomes_a_bias_of_its_readers() -> None:
    first = weights(3, 4)
    first[:, 1] = 0
    net = chain(
        Dense(first), Dense(weights(4, 2)), shapes=((3,), (4,), (2,)), neurons=(Input(8), few(4, 750), Readout())
    )
    less, gone = checked(net)
    moved = 7 * net.projections[1].connection.weight[1].astype(int)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(less.populations["p2"].neuron.offset, moved)
    assert not gone.kept["p1"][1]


def test_a_constant_word_that_padding_makes_uneven_stays_where_biases_are_those_of_channels() -> None:
    weight = weights(3, 2, 3, 3)
    weight[0] = 0
    bias = np.array([1800, 0, 0])
    padded, plain = Conv(weights(2, 3, 3, 3), padding=1), Conv(weights(2, 3, 3, 3))
    assert checked(images(Conv(weight), padded, 0, bias))[1].kept["p1"].all()
    assert not checked(images(Conv(weight), plain, 0, bias))[1].kept["p1"][0]


def test_a_constant_word_that_padding_makes_uneven_goes_where_biases_are_those_of_places() -> None:
    weight = weights(3, 2, 3, 3)
    weight[0] = 0
    net = images(Conv(weight), Conv(weights(2, 3, 3, 3), padding=1), 0, np.array([1800, 0, 0]))
    readout = Readout(bias=RNG.integers(-9, 9, (2, 3, 3)).astype(np.int32))
    net = replace(net, populations={**net.populations, "p2": Population((2, 3, 3), readout)})
    assert not checked(net)[1].kept["p1"][0]


def test_a_depthwise_convolution_loses_whole_groups() -> None:
    depthwise = weights(4, 1, 3, 3)
    depthwise[[0, 2]] = 0
    shapes: Any = ((1, 5, 5), (4, 5, 5), (4, 3, 3), (2,))
    net = chain(
        Conv(weights(4, 1, 1, 1)), Conv(depthwise, groups=4), Dense(weights(36, 2)),
        shapes=shapes, neurons=(Input(8), few(4, 0), few(4, 0), Readout()),
    )  # fmt: skip
    less, gone = checked(net)
    found = less.projections[1].connection
    assert isinstance(found, Conv) and (found.groups, found.weight.shape) == (2, (2, 1, 3, 3))
    assert gone.why["p1"]["unread"] == 2 and gone.why["p2"]["pruned"] == 2


@pytest.mark.parametrize(("dead", "left"), [([0], 4), ([0, 3], 2), ([0, 1], 2), ([0, 1, 3], 1)])
def test_groups_of_several_channels_lose_as_many_each(dead: list[int], left: int) -> None:
    """Two groups of two channels: one of each can go, or a group as a whole."""
    first = weights(4, 1, 1, 1)
    first[dead] = 0
    net = chain(
        Conv(first), Conv(weights(4, 2, 3, 3), groups=2), Dense(weights(36, 2)),
        shapes=((1, 5, 5), (4, 5, 5), (4, 3, 3), (2,)), neurons=(Input(8), few(4), few(4, -1), Readout()),
    )  # fmt: skip
    less, _ = checked(net)
    assert less.populations["p1"].shape[0] == left


def residual(first: Any, second: Any) -> Network:
    """Return an input, neurons, and others that read them through weights and at their own places."""
    shape = (3, 4, 4)
    return Network(
        {
            "in": Population((2, 4, 4), Input(8)),
            "a": Population(shape, few(3)),
            "b": Population(shape, few(3)),
            "out": Population((2,), Readout()),
        },
        [
            Projection("in", "a", Conv(first)),
            Projection("a", "b", Conv(second, padding=1)),
            Projection("a", "b", Diagonal(np.array([90, 80, 70]))),
            Projection("b", "out", Dense(weights(48, 2))),
        ],
        ["out"],
        8,
    )


def test_a_residual_keeps_channels_at_their_places() -> None:
    first, second = weights(3, 2, 1, 1), weights(3, 3, 3, 3)
    first[1] = 0
    assert checked(residual(first, second))[1].kept["a"].all()
    second[1] = 0
    less, gone = checked(residual(first, second))
    assert not gone.kept["a"][1] and not gone.kept["b"][1]
    np.testing.assert_array_equal(less.projections[2].connection.gain, [90, 70])  # type: ignore[attr-defined]


def test_slices_of_a_concatenation_move_together() -> None:
    weight = weights(3, 2, 1, 1)
    weight[:2] = 0
    net = Network(
        {
            "in": Population((2, 4, 4), Input(8)),
            "cat": Population((5, 4, 4), few(5)),
            "pool": Population((5, 2, 2), MaxPool()),
            "out": Population((2,), Readout()),
        },
        [
            Projection("in", "cat", Conv(weight), target_channels=(0, 3)),
            Projection("in", "cat", Conv(weights(2, 2, 1, 1)), target_channels=(3, 5)),
            Projection("cat", "pool", Window(2, 2)),
            Projection("pool", "out", Dense(weights(20, 2))),
        ],
        ["out"],
        8,
    )
    less, gone = checked(net)
    assert [p.target_channels for p in less.projections[:2]] == [(0, 1), (1, 3)]
    assert gone.why == {name: {"pruned": 2, "silent": 0, "unread": 0} for name in ("cat", "pool")}


def test_levels_that_fall_are_constant_only_where_all_between_is() -> None:
    table = np.array([[3, 9, 3], [3, 3, 3]])
    neuron = Levels(4, np.array([-5000, 5000]), table)
    weight = np.array([[100, 100], [-100, -100]], np.int8)
    net = chain(Dense(weight), Dense(weights(2, 2)), shapes=((2,), (2,), (2,)), neurons=(Input(8), neuron, Readout()))
    less, gone = checked(net)
    assert gone.kept["p1"].tolist() == [True, False]
    assert isinstance(left := less.populations["p1"].neuron, Levels) and left.table is not None
    assert left.table.tolist() == [[3, 9, 3]]


def test_a_population_of_which_nothing_is_left_is_not_there() -> None:
    net = Network(
        {
            "in": Population((2, 4, 4), Input(8)),
            "side": Population((2, 4, 4), few(2, -1)),
            "main": Population((2, 2, 2), few(2)),
            "out": Population((2,), Readout()),
        },
        [
            Projection("in", "side", Conv(np.zeros((2, 2, 1, 1), np.int8))),
            Projection("in", "main", SumPool(2, 2)),
            Projection("side", "main", Conv(weights(2, 2, 2, 2), 2)),
            Projection("main", "out", Dense(weights(8, 2))),
        ],
        ["out"],
        8,
    )
    less, gone = checked(net)
    assert set(less.populations) == {"in", "main", "out"} and not gone.kept["side"].any()
    assert (gone.free, gone.unused) == ((), ())


def test_a_network_whose_result_depends_on_nothing_keeps_a_channel_of_each_layer() -> None:
    net = chain(
        Conv(np.zeros((4, 2, 3, 3), np.int8)), Dense(weights(36, 3)),
        shapes=((2, 5, 5), (4, 3, 3), (3,)), neurons=(Input(8), few(4, 200), Readout()),
    )  # fmt: skip
    less, gone = checked(net)
    assert less.populations["p1"].shape == (1, 3, 3)
    assert (gone.free, gone.unused) == (("p2",), ("p0",))


def test_a_synapse_of_weight_0_beside_others_is_not_there() -> None:
    net = residual(weights(3, 2, 1, 1), np.zeros((3, 3, 3, 3), np.int8))
    less, _ = checked(net)
    assert [p.connection.kind for p in less.projections] == ["conv", "diagonal", "dense"]


def test_a_network_with_delays_stays_as_it_is() -> None:
    weight = weights(3, 4)
    weight[:, 0] = 0
    net = chain(Dense(weight), Dense(weights(4, 2)), shapes=((3,), (4,), (2,)), neurons=(Input(8), few(4), Readout()))
    held = replace(net, projections=[net.projections[0], replace(net.projections[1], delay=16)])
    assert without_gone(held)[0] is held
