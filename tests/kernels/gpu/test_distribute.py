# SPDX-License-Identifier: Apache-2.0
"""Which operations take all their passes at once, which wait for which, and how many rows registers have."""

from itertools import pairwise
from typing import Any

import numpy as np
from networks import random_network

from spikerun import IF, LIF, Network, Population, Projection
from spikerun.connections import Dense
from spikerun.kernels.gpu.distribute import Schedule, distribute
from spikerun.neurons import Input, Readout
from spikerun.plan import lower

W = 6


def chain(*neurons: Any, delay: int = 0, back: bool = False) -> Network:
    """Return populations of two neurons one after the other; back: the last one into the first of them, too."""
    populations = {"in": Population((2,), Input(1, "spikes"))}
    populations |= {f"p{k}": Population((2,), neuron) for k, neuron in enumerate(neurons)}
    names, one = list(populations), Dense(np.eye(2, dtype=np.int8))
    projections = [Projection(a, b, one, delay) for a, b in pairwise(names)]
    if back:
        projections.append(Projection(names[-1], names[1], one, 1))
    return Network(populations, projections, [names[-1]], W)


def parts(net: Network) -> tuple[list[tuple[list[str], bool]], Schedule]:
    program = lower(net, "frame")
    made = distribute(program, [register for _, register in program.inputs])
    return [([program.operations[k].name for k in part.numbers], part.whole) for part in made.parts], made


def test_a_feed_forward_network_takes_all_its_steps_layer_by_layer() -> None:
    found, made = parts(chain(IF(1), LIF(1), IF(1)))
    assert all(whole for _, whole in found)
    assert [name for (name,), _ in found if name.endswith("_step")] == ["if_step", "lif_step", "if_step"]
    assert made.rows["p0"] == W and made.rows["p0:v"] == 1


def test_a_readout_adds_up_all_steps_in_one_row() -> None:
    found, made = parts(chain(IF(1), Readout()))
    assert all(whole for _, whole in found)
    assert made.rows["p1:v"] == 1


def test_a_cycle_goes_pass_by_pass_and_what_follows_does_not() -> None:
    found, _ = parts(chain(IF(1), IF(1), back=True))
    together = [names for names, whole in found if not whole]
    assert len(together) == 1 and together[0].count("if_step") == 2
    assert (["count"], True) in found


def test_a_delay_takes_all_steps_at_once() -> None:
    found, _ = parts(chain(IF(1), IF(1), delay=3))
    assert all(whole for _, whole in found) and (["delay"], True) in found


def test_every_operation_that_executes_is_in_one_part() -> None:
    for seed in range(12):
        program = lower(random_network(seed, "mixed"), "frame")
        made = distribute(program)
        numbers = sorted(number for part in made.parts for number in part.numbers)
        assert [k for k in range(len(program.operations)) if made.passes[k] and k not in numbers] == []
        assert len(set(numbers)) == len(numbers)
