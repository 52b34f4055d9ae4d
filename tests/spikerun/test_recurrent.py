# SPDX-License-Identifier: Apache-2.0
"""Delays of synapses, synapses of a rule, and spikes of a seed: what they are, and who refuses them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import edge
from spikerun.chip import CHIPS, check_chip
from spikerun.connections import Dense, Diagonal, Random, Sparse, drawn
from spikerun.converters.nir.write import write_nir
from spikerun.draws import normal
from spikerun.edge.loihi.mapping import to_graph
from spikerun.edge.loihi.netx_write import write_net
from spikerun.errors import DataError, NetworkError, UnsupportedError, UsageError
from spikerun.kernels import synapses
from spikerun.kernels.philox import SYNAPSE, philox
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, Poisson, Readout
from spikerun.session import Session

WEIGHT, WEIGHTS = normal(-20, 4, -128, 127)
LATE, LATES = normal(6, 3, 2, 40)


def ruled(sources: int = 30, size: int = 12, count: int = 500, **how: Any) -> Random:
    """Return random synapses."""
    tables = {"weight_thresholds": WEIGHTS, "delays": LATE.astype(np.uint8), "delay_thresholds": LATES}
    return Random(sources, size, count, 7, WEIGHT.astype(np.int8), **(tables | how))


def network(connection: Any, target: Any = None, given: Any = None, **how: Any) -> Network:
    """Return 30 neurons that lead to 12 through a connection."""
    populations = {
        "in": Population((30,), given or Input(1, "spikes")),
        "h": Population((12,), target or IF(np.int32(9))),
    }
    return Network(populations, [Projection("in", "h", connection, **how)], ["h"], 4)


def one_by_one(rule: Random) -> list[tuple[int, int, int, int]]:
    """Return source, target, weight, delay of each synapse as the page says them."""
    found = []
    for k in range(rule.synapses):
        words = [int(word) for word in philox(rule.seed, k & 0xFFFFFFFF, k >> 32, 0, SYNAPSE)[:, 0]]
        weight = rule.weight[sum(int(t) < words[2] for t in rule.weight_thresholds)]
        delay = rule.delays[sum(int(t) < words[3] for t in rule.delay_thresholds)]
        found.append((words[0] * rule.sources >> 32, words[1] * rule.size >> 32, int(weight), int(delay)))
    return found


def listed(found: synapses.Synapses) -> list[tuple[int, int, int, int]]:
    """Return the same of synapses that were expanded."""
    source = np.repeat(np.arange(len(found.indptr) - 1), np.diff(found.indptr))
    return list(zip(*(part.tolist() for part in (source, found.target, found.weight, found.delay)), strict=True))


def test_synapses_of_a_rule_are_those_that_the_page_says_in_rows() -> None:
    rule = ruled()
    expected = one_by_one(rule)
    assert listed(synapses.expanded("random", dict(rule.parameters()))) == sorted(expected, key=lambda one: one[0])
    assert rule.fan_out((5, 3, 2)).ravel().tolist() == np.bincount([one[0] for one in expected], minlength=30).tolist()


def test_how_many_are_drawn_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = synapses.expanded("random", dict(ruled().parameters()))
    monkeypatch.setattr(synapses, "CHUNK", 37)
    parts = synapses.expanded("random", dict(ruled().parameters()))
    assert listed(whole) == listed(parts)


def test_more_sources_than_16_bits_are_sorted_as_well() -> None:
    rule = ruled(sources=70_000, count=300)
    assert listed(synapses.expanded("random", dict(rule.parameters()))) == sorted(one_by_one(rule), key=lambda s: s[0])


def test_ends_weights_and_delays_have_the_shares_that_were_asked_for() -> None:
    rule = ruled(count=200_000)
    found = synapses.expanded("random", dict(rule.parameters()))
    for values, drawn_ones, table in ((found.weight, WEIGHT, WEIGHTS), (found.delay, LATE, LATES)):
        shares = np.diff(np.concatenate([[-1], table.astype(np.int64), [2**32 - 1]])) / 2**32
        often = shares > 1e-4
        counts = np.array([(values == one).sum() for one in drawn_ones])[often]
        expected = 200_000 * shares[often]
        assert ((counts - expected) ** 2 / expected).sum() / often.sum() < 2
    for counts in (np.diff(found.indptr), np.bincount(found.target, minlength=12)):
        expected_count = 200_000 / len(counts)
        assert ((counts - expected_count) ** 2 / expected_count).sum() / len(counts) < 2
    assert abs(np.corrcoef(found.target, found.weight)[0, 1]) < 0.01


MATRIX = Dense(np.full((30, 12), -3, np.int8), np.arange(360).reshape(30, 12).astype(np.uint8))


@pytest.mark.parametrize("connection", [ruled(), MATRIX], ids=["random", "dense"])
def test_currents_arrive_after_the_delays_of_the_synapses(connection: Any) -> None:
    x = np.random.default_rng(1).integers(0, 3, 30)
    expected = np.zeros((connection.delay_range[1] + 1, 12), np.int64)
    for source, target, weight, delay in listed(synapses.expanded(connection.kind, dict(connection.parameters()))):
        expected[delay, target] += weight * x[source]
    assert (connection.late(x) == expected).all()
    assert (connection.apply(x) == expected.sum(axis=0)).all()


def test_bounds_are_counted_or_hold_for_nearly_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = ruled(count=1000)
    total = np.zeros(12)
    for _, target, weight, _ in one_by_one(rule):
        total[target] += abs(weight)
    assert rule.largest_sum((30,), 12).tolist() == total.tolist()
    assert rule.largest_sum((30,), 3).tolist() == total.reshape(3, 4).max(axis=1).tolist()
    monkeypatch.setattr(drawn, "COUNTED", 0)
    most = float(rule.largest_sum((30,), 12)) / abs(int(rule.weight.min()))
    assert np.bincount([one[1] for one in one_by_one(rule)]).max() < most < 3 * 1000 / 12


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"count": 0}, "synapses must be an integer in 1"),
        ({"weight_thresholds": WEIGHTS[:-1]}, "weight must have one entry more"),
        ({"delay_thresholds": LATES[::-1]}, "delay_thresholds must not decrease"),
        ({"delays": LATE}, "delays must have dtype uint8"),
    ],
)
def test_rules_that_say_nothing_are_refused(how: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        ruled(**how)


def test_delays_are_one_for_each_weight() -> None:
    with pytest.raises(NetworkError, match=r"delays must have a number of steps for each weight, shape \(3, 2\)"):
        Dense(np.zeros((3, 2), np.int8), np.zeros((2, 3), np.uint8))
    with pytest.raises(NetworkError, match="delays must have dtype uint8"):
        Sparse(np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.int8), 1, np.ones(1, np.int64))  # type: ignore[arg-type]


def test_words_arrive_as_a_whole() -> None:
    with pytest.raises(NetworkError, match="'in' sends words, which arrive as a whole"):
        network(ruled(), FewSpikes(4, np.int32(9)), Input(4))
    network(ruled(delays=np.full(len(LATE), 4, np.uint8)), FewSpikes(4, np.int32(9)), Input(4))


def test_the_least_delay_of_a_cycle_counts() -> None:
    def cycle(least: int) -> Network:
        late = np.full((12, 12), 3, np.uint8)
        late[5, 5] = least
        populations = {"noise": Population((12,), Poisson.of(0.1, 3)), "h": Population((12,), IF(np.int32(9)))}
        ends = [Projection("noise", "h", Diagonal(np.int32(3)))]
        return Network(populations, [*ends, Projection("h", "h", Dense(np.eye(12, dtype=np.int8), late))], ["h"], 1)

    assert cycle(1).links[1].lag == 1
    assert cycle(1).links[1].latest == 3
    with pytest.raises(NetworkError, match="cycle without delay"):
        cycle(0)


def test_what_sends_by_itself_takes_no_projection() -> None:
    with pytest.raises(NetworkError, match="what sends by itself takes no projection, it has one from 'in'"):
        network(Dense(np.ones((30, 12), np.int8)), Poisson.of(0.1, 3))


def test_a_network_needs_an_input_or_what_sends_by_itself() -> None:
    with pytest.raises(NetworkError, match="has no input population, and none that sends by itself"):
        Network({"h": Population((1,), Readout())}, [], ["h"], 1)


def noise() -> Network:
    populations = {"noise": Population((2, 3, 3), Poisson.of([0.1, 2.0], 3)), "out": Population((4,), Readout())}
    return Network(populations, [Projection("noise", "out", Dense(np.ones((18, 4), np.int8)))], ["noise", "out"], 8)


def test_without_an_input_there_is_a_stream_and_no_run() -> None:
    session = Session(noise())
    with pytest.raises(UsageError, match="has no input, and so no samples"):
        session.run({})
    stream = session.stream()
    assert stream.why_no_camera == "it has no input"
    with pytest.raises(DataError, match="has no input, and so no samples"):
        stream.step(np.zeros(18))
    sent = stream.advance(16)
    assert len(sent.spikes["noise"]) > 20
    assert (sent.readings["out"][0] == [7, 15]).all()


def test_all_samples_of_a_batch_get_the_same_events() -> None:
    noisy = noise()
    populations = {**noisy.populations, "in": Population((1,), Input(1, "spikes"))}
    links = [*noisy.projections, Projection("in", "out", Dense(np.ones((1, 4), np.int8)))]
    net = Network(populations, links, ["out"], 8)
    found = Session(net).run(np.zeros((3, 8, 1), np.uint8)).outputs["out"]
    assert found[0].any()
    assert (found == found[0]).all()


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 9 kB of free memory."""
    monkeypatch.setattr(synapses, "MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 10 kB\nMemAvailable: 9 kB\n")


@pytest.mark.usefixtures("little")
def test_memory_that_is_not_there_is_said_and_not_taken() -> None:
    net = network(ruled(count=5000))
    with pytest.raises(
        UnsupportedError, match=r"10,000 synapses of random connections take 0\.06 MB of memory, and 0\.01"
    ):
        Session(net)
    with pytest.raises(UnsupportedError, match=r"5,000 synapses .* take 0\.03 MB"):
        net.projections[0].connection.late(np.ones(30, np.int64))


def test_unsigned_words_of_16_bits_are_sent_through_late_synapses_as_they_are() -> None:
    late = Dense(np.ones((1, 2), np.int8), np.array([[0, 1]], np.uint8))
    populations = {"in": Population((1,), Input(16, "frames")), "h": Population((2,), Readout())}
    net = Network(populations, [Projection("in", "h", late)], ["h"], 2)
    found = Session(net).run(np.array([[[40000], [0]]])).outputs["h"]
    np.testing.assert_array_equal(found, [[40000, 40000]])


def test_snapshots_of_currents_near_the_limit_are_taken_back() -> None:
    late = np.random.default_rng(0).integers(0, 5, (64, 4)).astype(np.uint8)
    populations = {"in": Population((64,), Input(8, "frames")), "h": Population((4,), Readout())}
    projection = Projection("in", "h", Dense(np.full((64, 4), 127, np.int8), late), exponent=10)
    net = Network(populations, [projection], ["h"], 1)
    stream, other = Session(net).stream(), Session(net).stream()
    stream.step(np.full(64, 255))
    other.restore(stream.snapshot())
    for _ in range(5):
        stream.step()
        other.step()
    np.testing.assert_array_equal(other.membrane("h"), stream.membrane("h"))


def test_boards_refuse_by_name() -> None:
    board = edge.load("generic-cortex-m4")
    alike = ruled(delays=np.full(len(LATE), 4, np.uint8))
    for net, what in (
        (network(ruled()), "population 'h': there is no C code for synapses with delays of their own"),
        (noise(), "population 'noise': there is no C code for neurons that send by themselves"),
        (network(alike), "population 'h': .*drawn from a rule"),
    ):
        with pytest.raises(UnsupportedError, match=what):
            board.check(net)


def test_chips_refuse_by_name() -> None:
    chip = CHIPS["loihi2"]
    dense = Dense(np.ones((30, 12), np.int8), np.tile(np.arange(12, dtype=np.uint8), (30, 1)))
    assert "its synapses have delays of their own" in " ".join(check_chip(network(dense), chip))
    assert "synapses of a random are drawn" in " ".join(check_chip(network(ruled()), chip))
    assert "has no poisson neurons" in " ".join(check_chip(noise(), chip))


def test_graphs_of_loihi_and_net_files_refuse_by_name(tmp_path: Path) -> None:
    late = Dense(np.ones((30, 12), np.int8), np.tile(np.arange(12, dtype=np.uint8), (30, 1)))
    neuron = LIF.loihi(threshold=200, dv=400)
    rule = ruled(delays=np.zeros(len(LATE), np.uint8))
    for connection, what in ((late, "its synapses have delays of their own"), (rule, "random")):
        net = network(connection, neuron)
        with pytest.raises(UnsupportedError, match=what):
            to_graph(net)
        with pytest.raises(UnsupportedError, match=what):
            write_net(net, tmp_path / "x.net")


def test_nir_files_refuse_by_name(tmp_path: Path) -> None:
    plain = IF(np.int32(9), reset="zero")
    late = Dense(np.ones((30, 12), np.int8), np.full((30, 12), 2, np.uint8))
    for net, what in (
        (network(ruled(), plain), "projection in -> h cannot be written as NIR: it is a random"),
        (network(late, plain), "its synapses have delays of their own"),
        (noise(), "population 'noise' cannot be written as NIR: it is a neuron that NIR"),
    ):
        with pytest.raises(UnsupportedError, match=what):
            write_nir(net, tmp_path / "a.nir", 0.001)


def test_a_snapshot_with_currents_that_no_network_has_is_refused() -> None:
    net = network(ruled())
    stream = Session(net, threads=1).stream()
    stream.step(np.ones(30, np.uint8))
    saved = stream.snapshot()
    assert saved["under_way/h"].any()
    most = int(net.bounds["h"])
    for wrong in (saved["under_way/h"] * 0 + most + 1, saved["under_way/h"][1:], saved["under_way/h"] * 1.0):
        with pytest.raises(DataError, match=rf"'under_way/h' of the snapshot must hold integers in -{most}\.\.{most}"):
            stream.restore({**saved, "under_way/h": wrong})
    with pytest.raises(DataError, match="lacks 'under_way/h'"):
        stream.restore({key: values for key, values in saved.items() if key != "under_way/h"})
