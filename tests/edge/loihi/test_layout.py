# SPDX-License-Identifier: Apache-2.0
"""Connections that Loihi holds in another way than as one kernel, or not at all."""

from typing import Any

import numpy as np
import pytest

from spikerun.connections import Connection, Conv, Dense, Diagonal
from spikerun.edge.loihi import layout
from spikerun.edge.loihi.graph import Synapses
from spikerun.edge.loihi.mapping import to_graph
from spikerun.errors import UnsupportedError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import LIF, Input

IMAGE = (2, 3, 4)
KERNEL = Conv(np.full((2, 2, 1, 1), 3, np.int8))
GROUPS = Conv(np.full((2, 1, 1, 1), 3, np.int8), groups=2)


def synapses(connection: Connection, shape: Any = IMAGE, **projection: Any) -> Synapses:
    """Return the synapses of one connection between two populations; exponent 1 unless it is given."""
    first, end = projection.get("target_channels", (0, shape[0]))
    target = (max(shape[0], end + 1) if first else shape[0], *shape[1:])
    populations = {"in": Population(shape, Input(1, "spikes")), "a": Population(target, LIF.loihi(5))}
    made = Projection("in", "a", connection, **{"exponent": 1, **projection})
    return to_graph(Network(populations, [made], ["a"], 4)).synapses[0]


@pytest.mark.parametrize(("weight", "exponent", "held"), [(63, 2, 252), (-64, 2, -256), (127, 1, 254), (-128, 1, -256)])
def test_kernels_are_held_with_their_exponent_as_far_as_8_bits_go(weight: int, exponent: int, held: int) -> None:
    made = synapses(Conv(np.full((2, 2, 1, 1), weight, np.int8)), exponent=exponent)
    assert made.form == "conv" and (made.weight == held).all() and made.exponent == 0


@pytest.mark.parametrize(("weight", "exponent"), [(64, 2), (-65, 2), (127, 2), (32, 3)])
def test_kernels_that_their_exponent_makes_too_large_are_refused(weight: int, exponent: int) -> None:
    with pytest.raises(UnsupportedError, match=rf"in -> a: weights .* reach {abs(weight) << exponent}, .* holds 254"):
        synapses(Conv(np.full((2, 2, 1, 1), weight, np.int8)), exponent=exponent)


@pytest.mark.parametrize(("channels", "form"), [(127, "conv"), (128, "sparse"), (130, "sparse")])
def test_more_groups_than_lava_counts_become_lists(channels: int, form: str) -> None:
    assert synapses(Diagonal(np.int32(3)), (channels, 2, 1)).form == form


@pytest.mark.parametrize(
    ("connection", "given", "form"),
    [
        (KERNEL, {}, "conv"),
        (GROUPS, {}, "conv"),
        (KERNEL, {"target_channels": (1, 3)}, "conv"),
        (GROUPS, {"target_channels": (1, 3)}, "sparse"),
        (KERNEL, {"delay": 2}, "sparse"),
    ],
)
def test_a_kernel_is_shared_unless_delays_or_channels_of_groups_forbid_it(
    connection: Connection, given: dict[str, Any], form: str
) -> None:
    assert synapses(connection, **given).form == form


@pytest.mark.parametrize(
    ("connection", "given", "count"),
    [
        (Dense(np.full((24, 24), 3, np.int8)), {}, 576),
        (GROUPS, {"delay": 2}, 24),
        (KERNEL, {"delay": 2}, 48),
    ],
)
def test_as_many_synapses_as_there_may_be_are_taken_and_one_more_refused(
    connection: Connection, given: dict[str, Any], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAX_SYNAPSES", count)
    assert synapses(connection, **given).weight.size == count
    monkeypatch.setattr(layout, "MAX_SYNAPSES", count - 1)
    with pytest.raises(UnsupportedError, match=rf"in -> a: has {count:,} synapses .*{count - 1:,} is the most"):
        synapses(connection, **given)


@pytest.mark.parametrize("weight", [127, -128])
def test_gains_of_lists_reach_what_8_bits_hold_and_no_more(weight: int) -> None:
    assert (synapses(Diagonal(np.int32(weight)), (3,), exponent=4).weight == 2 * weight).all()
    with pytest.raises(UnsupportedError, match=r"in -> a: gains reach 1\d\d, and Loihi's weights 127"):
        synapses(Diagonal(np.int32(weight + np.sign(weight))), (3,))
