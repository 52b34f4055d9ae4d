# SPDX-License-Identifier: Apache-2.0
"""Every executor of the table against the reference: awkward networks and random ones, every spike and membrane."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from conformance.awkward import NETWORKS, samples
from conformance.executors import BOARDS, EXECUTORS, FUSED, GPU, Blocked, Executor, Shown, Streamed, compare
from conformance.truth import Truth
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import densities, random_inputs, random_network, seeds

kinds = st.sampled_from(["words", "spikes", "mixed", "drawn"])
rows = [pytest.param(e, id=e.name, marks=[pytest.mark.slow] * e.slow) for e in EXECUTORS]


@cache
def truth(name: str) -> Truth:
    net = NETWORKS[name]()
    return Truth(net, samples(net))


def has(executor: Executor, name: str) -> bool:
    """Return whether an executor has an awkward network: those that take long share them out.

    Every network is on one of the boards, all of which take it, and on every second row of a GPU.
    """
    place = list(NETWORKS).index(name)
    if executor in GPU:
        return (place + GPU.index(executor)) % 2 == 0
    return executor not in BOARDS or executor is BOARDS[place % 2]


@pytest.mark.parametrize("executor", rows)
@pytest.mark.parametrize("name", NETWORKS)
def test_awkward_networks_equal_the_reference(name: str, executor: Executor) -> None:
    if executor.missing():
        pytest.skip(executor.missing())
    if has(executor, name) and executor.takes(truth(name).net):
        assert compare(executor, truth(name)).first == ""


@settings(max_examples=100)
@given(seeds, kinds, densities, st.integers(1, 3))
def test_random_networks_equal_the_reference(seed: int, kind: str, density: float, batch: int) -> None:
    net = random_network(seed, kind)
    whole = Truth(net, random_inputs(net, seed, batch, density))
    for executor in EXECUTORS:
        if executor in GPU and (seed % 4 or executor.missing()):  # they take long
            continue
        if not executor.slow and executor.takes(net):
            assert compare(executor, whole).first == ""


def test_names_of_executors_are_unique() -> None:
    names = [executor.name for executor in EXECUTORS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"silent_layers"}))
def test_every_population_of_an_awkward_network_fires(name: str) -> None:
    net, spikes = truth(name).net, truth(name).spikes()
    assert [n for n, p in net.populations.items() if p.neuron.fires and not spikes[n]] == []


class Wrong(Streamed):
    """An executor with one wrong membrane."""

    def show(self, truth: Truth) -> Iterator[Shown]:
        yield from super().show(truth)
        yield Shown("membrane of h", np.array([3, 5]), np.array([3, 4]))


def test_a_difference_is_found_and_placed() -> None:
    found = compare(Wrong("event"), truth("one_neuron"))
    assert found.mismatches == 1
    assert found.first == "cpu/stream/event: membrane of h: 1 of 2 differ, the first at (1,): got 5, expected 4"


def test_spikes_that_were_compared_are_counted() -> None:
    blocked = compare(Blocked("event", 1), truth("every_code_after_every_other"))
    assert blocked.spikes == sum(truth("every_code_after_every_other").spikes().values())


FEW = ("signed_words_of_few_spikes", "sums_that_overlap", "one_pixel", "membranes_that_saturate")  # much is fused there


@pytest.mark.parametrize("executor", FUSED, ids=lambda executor: executor.name)
@pytest.mark.parametrize("name", FEW)
def test_fused_kernels_of_a_gpu_equal_the_reference(name: str, executor: Executor) -> None:
    if executor.takes(truth(name).net):
        assert compare(executor, truth(name)).first == ""
