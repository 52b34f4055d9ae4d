# SPDX-License-Identifier: Apache-2.0
"""What a network refuses, and how: by the name of the population or projection, with advice."""

import copy
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_inputs, random_network, seeds

from spikerun.connections import Conv, Dense, Diagonal, PooledConv, Sparse, SumPool, Window
from spikerun.errors import NetworkError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, MaxPool, Neuron, Readout
from spikerun.reference import stepped
from spikerun.session import Session

ONE = np.int32(1)
POOLED = PooledConv(np.ones((1, 1, 1, 1), np.int8), 2, 2)


def dense(n: int, m: int, value: int = 1) -> Dense:
    return Dense(np.full((n, m), value, np.int8))


def words(bits: int = 4, **how: Any) -> FewSpikes:
    return FewSpikes(bits, np.int32(3), **how)


def chain(*neurons: Neuron, steps: int = 8, **how: Any) -> Network:
    """Return an input of 8 bits, then a population of 4 neurons for each given kind, fully connected one by one."""
    names = ["in", *(f"p{k}" for k in range(len(neurons)))]
    kinds = [how.pop("given", Input()), *neurons]
    populations = {name: Population((4,), neuron) for name, neuron in zip(names, kinds, strict=True)}
    projections = [Projection(a, b, dense(4, 4)) for a, b in pairwise(names)]
    return Network(populations, [*projections, *how.pop("more", [])], how.pop("outputs", [names[-1]]), steps, **how)


def test_a_chain_is_a_network() -> None:
    net = chain(words(), words(), Readout())
    assert net.order == ("in", "p0", "p1", "p2")
    assert net.inputs == ("in",)
    assert net.feedforward
    assert [p.source for p in net.into("p1")] == ["p0"]
    assert [p.target for p in net.out_of("p1")] == ["p2"]


REFUSED: dict[str, tuple[Any, str]] = {
    "steps_zero": (lambda: chain(Readout(), steps=0), r"window must be an integer in 1\.\.32767, got 0"),
    "steps_real": (lambda: chain(Readout(), steps=2.5), "window must be an integer"),  # type: ignore[arg-type]
    "bad_name": (
        lambda: Network({"2nd": Population((1,), Input())}, [], ["2nd"], 8),
        "population name '2nd' must be 1..100 letters",
    ),
    "path_as_name": (
        lambda: Network({"a/b": Population((1,), Input())}, [], ["a/b"], 8),
        "population name 'a/b' must be",
    ),
    "dangling": (
        lambda: chain(Readout(), more=[Projection("in", "ghost", dense(4, 4))]),
        "projection in -> ghost: there is no population 'ghost'. Populations: in, p0",
    ),
    "no_outputs": (lambda: chain(Readout(), outputs=[]), "outputs must name at least one population"),
    "unknown_output": (lambda: chain(Readout(), outputs=["x"]), "outputs: there is no population 'x'"),
    "output_twice": (lambda: chain(Readout(), outputs=["p0", "p0"]), "outputs names a population twice: p0, p0"),
    "no_input": (
        lambda: Network({"a": Population((1,), Readout())}, [], ["a"], 8),
        "the network has no input population",
    ),
    "two_axes": (
        lambda: Network({"a": Population((2, 2), Input())}, [], ["a"], 8),
        r"population 'a' \(input, shape \(2, 2\)\): shape must be \(N,\) or \(C, H, W\)",
    ),
    "too_many_neurons": (
        lambda: Network({"a": Population((2**12, 2**12, 2**12), Input())}, [], ["a"], 8),
        "the network has 68719476736 neurons, the limit is",
    ),
    "array_of_other_shape": (
        lambda: chain(FewSpikes(4, np.ones(3, np.int32)), Readout()),
        r"population 'p0' .*: threshold has shape \(3,\); it must be \(\) or \(4,\)$",
    ),
    "unreached": (
        lambda: Network({"a": Population((1,), Input()), "b": Population((1,), Readout())}, [], ["b"], 8),
        "population '[ab]' .*: (is not reached by any input|leads to no output)",
    ),
    "leads_nowhere": (
        lambda: chain(words(), words(), outputs=["p0"]),
        "population 'p1' .*: leads to no output: remove it, or name it in outputs",
    ),
    "readout_fires": (lambda: chain(Readout(), Readout()), "projection p0 -> p1: a readout never fires"),
    "input_fed": (
        lambda: chain(words(), more=[Projection("p0", "in", dense(4, 4), 8)]),
        "population 'in' .*: an input takes no projection, it has one from 'p0'",
    ),
    "size": (
        lambda: chain(words(), more=[Projection("in", "p0", dense(4, 5))]),
        r"projection in -> p0: its currents have shape \(5,\), the target takes \(4,\)",
    ),
    "negative_delay": (
        lambda: chain(words(), more=[Projection("in", "p0", dense(4, 4), -1)]),
        "projection in -> p0: delay must be an integer in 0",
    ),
    "delay_no_multiple": (
        lambda: chain(words(), more=[Projection("in", "p0", dense(4, 4), 3)]),
        r"projection in -> p0: 'in' sends words, so delay must be a multiple of the window \(8 steps\), got 3",
    ),
    "cycle": (
        lambda: chain(words(), words(), more=[Projection("p1", "p0", dense(4, 4))]),
        "cycle without delay: (p0 -> p1 -> p0|p1 -> p0 -> p1). Give one of its projections a delay >= 1",
    ),
    "delay_too_short": (
        lambda: chain(words(), words(), words(), more=[Projection("p2", "p0", dense(4, 4), 8)]),
        "projection p2 -> p0: delay 8 is too short, the source answers later than that: it must be >= 32",
    ),
    "significance_to_if": (
        lambda: chain(words(), IF(ONE)),
        "projection p0 -> p1: a spike of 'p0' has a significance, .*: use code 'graded'",
    ),
    "significance_to_lif": (lambda: chain(LIF(ONE)), "projection in -> p0: a spike of 'in' has a significance"),
    "bits_beyond_window": (
        lambda: chain(words(bits=5), given=Input(4), steps=4),
        "population 'p0' .*: a word of 5 bits in code 'bits' takes 5 steps, the window has 4",
    ),
    "ttfs_beyond_window": (
        lambda: chain(words(code="ttfs"), steps=8),
        "population 'p0' .*: a word of 4 bits in code 'ttfs' takes 15 steps, the window has 8",
    ),
    "window_to_neuron": (
        lambda: image(Window(2, 2), words(), (1, 2, 2)),
        "projection in -> p: a Window leads to a max_pool population, and nothing else does",
    ),
    "conv_to_pool": (lambda: image(SumPool(2, 2), MaxPool(), (1, 2, 2)), "projection in -> p: a Window leads to"),
    "conv_of_other_shape": (
        lambda: image(SumPool(2, 2), words(), (2, 2, 1)),
        r"projection in -> p: its currents have shape \(1, 2, 2\), the target takes \(2, 2, 1\)",
    ),
    "pooled_with_another": (
        lambda: image(POOLED, IF(ONE), (1, 2, 2), more=[Projection("p", "p", dense(4, 4), 1)]),
        "population 'p' .*: the pooled_conv from 'in' must be its only projection: .* it has 2",
    ),
    "pooled_to_readout": (
        lambda: image(POOLED, Readout(), (1, 2, 2)),
        "projection in -> p: the currents of a pooled_conv are the largest of each step.*must integrate step by step",
    ),
    "pooled_slice": (
        lambda: image(POOLED, IF(ONE), (2, 2, 2), channels=(0, 1)),
        "projection in -> p: a PooledConv fills its whole target",
    ),
    "slice_outside": (
        lambda: chain(words(), more=[Projection("in", "p0", dense(4, 2), 0, (3, 5))]),
        r"projection in -> p0: target_channels \(3, 5\) must lie within the 4 of the target",
    ),
    "accumulator": (
        lambda: chain(Readout(bias=np.int32(2**31 - 1))),
        r"population 'p0' .*: its accumulator can reach 2.14\d+e\+09 in the worst case, beyond 2147483647: use fewer",
    ),
}


def image(
    connection: Any,
    neuron: Neuron,
    shape: tuple[int, ...],
    more: tuple[Projection, ...] | list[Projection] = (),
    channels: tuple[int, int] | None = None,
) -> Network:
    populations = {"in": Population((1, 4, 4), Input(1)), "p": Population(shape, neuron)}
    return Network(populations, [Projection("in", "p", connection, 0, channels), *more], ["p"], 8)


ONE_INPUT = {"a": Population((1,), Input())}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Network([1], [], ["a"], 8), "populations must be a dict of Population by name"),  # type: ignore[arg-type]
        (lambda: Network({"a": 1}, [], ["a"], 8), "population 'a' must be a Population, got 1"),  # type: ignore[dict-item]
        (lambda: Network(ONE_INPUT, 5, ["a"], 8), "projections must be a list of Projection, got 5"),  # type: ignore[arg-type]
        (lambda: Network(ONE_INPUT, [("a", "a")], ["a"], 8), "projections must be of type Projection"),  # type: ignore[list-item]
        (lambda: Network(ONE_INPUT, [], None, 8), "outputs must be a list of names, got None"),  # type: ignore[arg-type]
        (lambda: Network(ONE_INPUT, [], [[]], 8), "outputs must be names of populations"),  # type: ignore[list-item]
        (lambda: Network(ONE_INPUT, [], ["a"], 8, [1]), "meta must be a dict"),  # type: ignore[arg-type]
        (lambda: Network(ONE_INPUT, [], ["a"], 8, {1: 2}), "meta holds texts and numbers by name, got 1: 2"),  # type: ignore[dict-item]
        (lambda: Network(ONE_INPUT, [], ["a"], 8, {"a": [1]}), "meta holds texts and numbers"),  # type: ignore[dict-item]
        (lambda: Population((1,), None), "needs a neuron such as IF"),  # type: ignore[arg-type]
        (lambda: Projection("a", "b", None), "projection a -> b: needs a connection such as Dense"),  # type: ignore[arg-type]
        (lambda: Projection("a", "b", dense(1, 1), 0, (0, 4, 1)), "target_channels must be two integers"),  # type: ignore[arg-type]
        (lambda: Projection("a", "b", dense(1, 1), 0, (0.0, 4.0)), "target_channels must be an integer"),  # type: ignore[arg-type]
        (lambda: Projection("a", "b", dense(1, 1), 1.5), "delay must be an integer"),  # type: ignore[arg-type]
        (lambda: FewSpikes(4, ONE, signed=1), "signed must be True or False, got 1"),  # type: ignore[arg-type]
        (lambda: FewSpikes(4, ONE, signed="yes"), "signed must be True or False, got 'yes'"),  # type: ignore[arg-type]
        (lambda: Conv(np.zeros((4, 1, 1, 1), np.int8), groups=4.0), "groups must be an integer"),  # type: ignore[arg-type]
    ],
)
def test_parts_of_other_types_are_refused(make: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        make()


def test_numbers_of_numpy_become_plain_ones() -> None:
    assert type(Conv(np.zeros((4, 1, 1, 1), np.int8), groups=np.int64(4)).groups) is int  # type: ignore[arg-type]
    assert FewSpikes(4, ONE, signed=np.bool_(True)).signed is True  # type: ignore[arg-type]


def test_projections_may_come_one_by_one() -> None:
    net = chain(words())
    assert len(Network(net.populations, (p for p in net.projections), ["p0"], 8).projections) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("copied", [lambda net: pickle.loads(pickle.dumps(net)), copy.deepcopy])
def test_nothing_of_a_network_can_be_changed_nor_of_its_copies(copied: Any) -> None:
    original = chain(words(), Readout())
    net: Any
    for net in (original, copied(original)):
        with pytest.raises(TypeError):
            net.populations["x"] = net.populations["in"]
        for array in (
            net.populations["p0"].neuron.threshold,
            net.projections[0].connection.weight,
            net.links[0].significance,
        ):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name_with_advice(name: str) -> None:
    make, said = REFUSED[name]
    with pytest.raises(NetworkError, match=said):
        make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FewSpikes(4, np.float32(1.5)), "threshold must hold integers, got dtype float32"),  # type: ignore[arg-type]
        (lambda: FewSpikes(4, np.int64(2**31)), "threshold must fit int32"),  # type: ignore[arg-type]
        (lambda: FewSpikes(4, np.zeros(0, np.int32)), "threshold must not be empty"),
        (lambda: FewSpikes(4, np.int32(0)), "threshold must be >= 1, got 0"),
        (lambda: FewSpikes(8, np.int32(2**23)), r"threshold must be <= 8388607 so that th \* 2\^8 fits int32"),
        (lambda: FewSpikes(9, ONE), r"bits must be an integer in 1\.\.8, got 9"),
        (lambda: FewSpikes(4, ONE, code="rate"), "code must be one of bits, ttfs, graded, got 'rate'"),
        (lambda: FewSpikes(4, ONE, signed=True, code="ttfs"), "cannot be signed: use 'bits' or 'graded'"),
        (lambda: FewSpikes(1, ONE, signed=True), "a signed word needs at least 2 bits"),
        (lambda: FewSpikes(4, ONE, max_spikes=5), r"max_spikes must be an integer in 1\.\.4, got 5"),
        (lambda: FewSpikes(4, ONE, max_spikes=1, code="ttfs"), "leave max_spikes out"),
        (lambda: Input(2, "spikes"), "an input of code 'spikes' has bits=1"),
        (lambda: IF(ONE, v_min=ONE), "v_min must be <= 0, got 1"),
        (lambda: IF(np.int32(2**23)), "threshold must be in 1"),
        (lambda: IF(ONE, v_init=np.int32(2**23)), "v_init must be within"),
        (lambda: IF(ONE, reset="soft"), "reset must be one of subtract, zero, got 'soft'"),
        (lambda: LIF.loihi(np.int32(2**17)), r"threshold must be in 0\.\.131071"),
        (lambda: LIF(ONE, bias=np.int32(2**29)), r"bias must be in -536870911\.\.536870911"),
        (lambda: LIF(ONE, bias=np.int32(2**23), limits="chip"), r"bias must be in -8388607\.\.8388607"),
        (lambda: LIF(ONE, keep_v=np.int32(65537)), r"keep_v must be in 0\.\.65536"),
        (lambda: LIF(ONE, v_init=np.int32(1), reset_interval=3), "it needs v_init = 0"),
        (lambda: LIF(ONE, fraction_bits=13), r"fraction_bits must be an integer in 0\.\.12"),
        (lambda: LIF(ONE, limits="narrow"), "limits must be one of wide, chip"),
        (lambda: LIF.loihi(ONE, du=np.int32(4097)), r"du must be in 0\.\.4096, got 4097"),
        (lambda: LIF(ONE, refractory=-1), "refractory must be an integer in 0"),
        (lambda: Readout(np.float32("nan")), "scale must be finite"),
        (lambda: Readout(np.float32(0)), "scale must be positive, got 0"),
    ],
)
def test_wrong_neuron_is_refused(make: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        make()


def test_a_skip_connection_waits_for_the_longer_way() -> None:
    net = chain(words(), words(), Readout(), more=[Projection("in", "p2", dense(4, 4))])
    assert net.latency == {"in": 0, "p0": 1, "p1": 2, "p2": 2}
    assert [link.lag for link in net.links] == [0, 0, 0, 16]


def test_pools_and_readouts_answer_in_the_same_step() -> None:
    populations = {
        "in": Population((1, 4, 4), Input()),
        "pool": Population((1, 2, 2), MaxPool()),
        "fs": Population((4,), words()),
        "out": Population((4,), Readout()),
    }
    projections = [
        Projection("in", "pool", Window(2, 2)),
        Projection("pool", "fs", dense(4, 4)),
        Projection("fs", "out", dense(4, 4)),
    ]
    net = Network(populations, projections, ["out"], 8)
    assert net.latency == {"in": 0, "pool": 0, "fs": 1, "out": 1}
    assert [net.turn(name) for name in populations] == [0, 0, 0, 1]
    word = net.sender_of("pool")
    assert word is not None and word.bits == 8


def test_two_windows_close_a_cycle_of_words_through_one_population() -> None:
    net = chain(words(), more=[Projection("p0", "p0", dense(4, 4), 16)])
    assert [link.lag for link in net.links] == [0, 8]
    assert not net.feedforward


def test_the_delay_that_a_refusal_asks_for_is_accepted() -> None:
    net = chain(words(), words(), words(), more=[Projection("p2", "p0", dense(4, 4), 32)])
    assert net.links[-1].lag == 8


def test_mixed_depths_meet_whatever_the_order_of_the_populations() -> None:
    """Two ways of different depth into one sum: the result is that of the frame on both."""
    sums = []
    for names in (["in", "a", "b", "out"], ["out", "b", "a", "in"]):
        kinds = {"in": Input(2), "a": words(2), "b": words(2), "out": Readout()}
        populations = {name: Population((1,), kinds[name]) for name in names}
        projections = [
            Projection("in", "a", dense(1, 1, 3)),
            Projection("a", "b", dense(1, 1, 3)),
            Projection("b", "out", dense(1, 1, 100)),
            Projection("in", "out", dense(1, 1, 7)),
        ]
        turn = stepped(Network(populations, projections, ["out"], 3), {"in": [2]})["out"]
        assert turn.membrane is not None
        sums.append(int(turn.membrane[0]))
    assert sums == [2 * 100 + 2 * 7] * 2


def test_concatenation_fills_slices() -> None:
    populations = {"in": Population((2, 2, 2), Input()), "both": Population((3, 2, 2), words())}
    one = Conv(np.ones((1, 2, 1, 1), np.int8))
    projections = [
        Projection("in", "both", one, target_channels=(0, 1)),
        Projection("in", "both", Diagonal(ONE), target_channels=(1, 3)),
    ]
    net = Network(populations, projections, ["both"], 8)
    assert net.bounds["both"] == 2 * 255


def test_bounds_count_words_not_steps() -> None:
    weight = np.array([[100, -3], [-100, 4]], np.int8)
    populations = {"in": Population((2,), Input(4, "bits", True)), "out": Population((2,), Readout(bias=np.int32(-5)))}
    net = Network(populations, [Projection("in", "out", Dense(weight))], ["out"], 4)
    assert net.bounds["out"] == 8 * 200 + 5


def test_bounds_of_sparse_weights_follow_their_targets() -> None:
    sparse = Sparse(np.array([0, 2, 3]), np.array([1, 1, 0], np.int32), np.array([5, 6, -9], np.int8), 2)
    populations = {"in": Population((2,), Input(1, "spikes")), "out": Population((2,), IF(ONE))}
    net = Network(populations, [Projection("in", "out", sparse)], ["out"], 4)
    assert net.bounds["out"] == 11


@settings(max_examples=150)
@given(seeds, st.sampled_from(["words", "mixed"]))
def test_no_membrane_exceeds_its_bound(seed: int, kind: str) -> None:
    net = random_network(seed, kind)
    for density in (0.3, 1.0):
        samples = random_inputs(net, seed, 1, density)
        turns = stepped(net, {name: values[0] for name, values in samples.items()})
        for name, turn in turns.items():
            if turn.membrane is not None and isinstance(net.populations[name].neuron, (FewSpikes, Readout)):
                assert np.abs(turn.membrane).max() <= net.bounds[name], name


def test_a_network_does_not_change_with_what_it_was_made_from() -> None:
    populations = {"in": Population((1,), Input()), "out": Population((1,), Readout())}
    projections = [Projection("in", "out", dense(1, 1))]
    net = Network(populations, projections, ["out"], 8)
    populations.clear()
    projections.clear()
    assert list(net.populations) == ["in", "out"] and len(net.projections) == 1


def test_the_first_spike_answers_with_the_steps_that_are_left() -> None:
    """The law: 0 without a spike; the step of the spike counts, and later spikes do not."""
    neuron = IF(np.int32(1), reset="zero", answer="first_spike")
    populations = {"in": Population((4,), Input(1, "spikes")), "out": Population((4,), neuron)}
    net = Network(populations, [Projection("in", "out", Diagonal(1))], ["out"], 5)
    spikes = np.zeros((5, 4), np.int64)
    spikes[0, 0] = spikes[2, 1] = spikes[3, 1] = spikes[4, 2] = 1
    assert stepped(net, {"in": spikes})["out"].answer.tolist() == [5, 3, 1, 0]
    assert Session(net).run(spikes[None]).outputs["out"].tolist() == [[5, 3, 1, 0]]
