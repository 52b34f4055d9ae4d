# SPDX-License-Identifier: Apache-2.0
"""Networks as NIR files: read back they spike as before; what NIR cannot say is refused with the reason."""

import re
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest
from nirfiles import played

from spikerun import IF, LIF, Conv, Dense, Diagonal, FewSpikes, Input, Network, Population, Projection, Readout
from spikerun.connections import Sparse, SumPool
from spikerun.converters.nir.read import read_nir
from spikerun.converters.nir.write import write_nir
from spikerun.errors import UnsupportedError, UsageError
from spikerun.neurons import Levels, Neuron
from spikerun.reference import stepped

DT = 1e-3
STEPS = 40
SPIKES = Input(bits=1, code="spikes")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "network.nir"


def dense(rows: int, columns: int, seed: int = 0) -> Dense:
    return Dense(np.random.default_rng(seed).integers(-60, 100, (rows, columns)).astype(np.int8))


def network(neuron: Neuron, *more: Projection, weight: Dense | None = None) -> Network:
    populations = {"in": Population((6,), SPIKES), "a": Population((5,), neuron)}
    return Network(populations, [Projection("in", "a", weight or dense(6, 5)), *more], ["a"], STEPS)


def images(neuron: Neuron, *after: Projection, **more: Population) -> Network:
    """Return a convolution, and what comes behind it; the last population is the output."""
    weight = np.random.default_rng(5).integers(-60, 100, (4, 2, 3, 3)).astype(np.int8)
    populations = {"in": Population((2, 6, 6), SPIKES), "c": Population((4, 6, 6), neuron), **more}
    first = Projection("in", "c", Conv(weight, padding=1))
    return Network(populations, [first, *after], [list(populations)[-1]], STEPS)


def assert_same(net: Network, file: Path, share: float = 1.0) -> None:
    """Compare what a network sends with what its file does, read without being told its time step."""
    write_nir(net, file, DT)
    nir.read(str(file))
    (output,), shape = net.outputs, net.populations["in"].shape
    given = (np.random.default_rng(3).random((STEPS, *shape)) < 0.4).astype(np.int64)
    expected, found = stepped(net, {"in": given})[output].events, played(read_nir(file), given)
    assert 0.02 < (expected != 0).mean() < 0.98
    assert (found == expected).mean() >= share


def test_if_is_the_same(file: Path) -> None:
    assert_same(network(IF(300, reset="zero", bias=np.arange(-10, 40, 10, dtype=np.int32))), file)


@pytest.mark.parametrize("reset", ["value", "none"])
@pytest.mark.parametrize("keep_u", [0, 2**15])
def test_lif_is_the_same_but_for_rounding(reset: str, keep_u: int, file: Path) -> None:
    neuron = LIF(300 << 12, 58_000, keep_u, bias=20_000, bias_u=-30_000, v_reset=-9999, fraction_bits=12, reset=reset)
    assert_same(network(neuron), file, share=0.99)


def test_a_lif_without_leak_is_the_same(file: Path) -> None:
    assert_same(network(LIF(500, v_reset=-20, bias=7)), file)
    assert read_nir(file).graph.nodes["a"].origin.operator == "IF"


def test_exact_decays_are_the_same_bit_for_bit(file: Path) -> None:
    """With weights that are multiples of 2^k and halves, nothing is rounded for so many steps after a reset."""
    weight = Dense((np.arange(30).reshape(6, 5) % 5).astype(np.int8))
    assert_same(network(LIF(4 << 12, 2**15, fraction_bits=12), weight=weight), file)


@pytest.mark.parametrize("delay", [1, 3])
def test_recurrent_projections_keep_their_delay(delay: int, file: Path) -> None:
    assert_same(network(IF(300, reset="zero"), Projection("a", "a", dense(5, 5, 1), delay)), file)


def test_delays_between_populations_are_kept_both_ways(file: Path) -> None:
    neuron = IF(200, reset="zero")
    populations = {"in": Population((6,), SPIKES), "b": Population((5,), neuron), "a": Population((5,), neuron)}
    projections = [Projection("in", "b", dense(6, 5)), Projection("b", "a", dense(5, 5, 1), 2)]
    projections += [Projection("a", "b", dense(5, 5, 2), 1), Projection("in", "a", dense(6, 5, 4))]
    assert_same(Network(populations, projections, ["a"], STEPS), file)


def test_a_convolution_with_a_bias_is_the_same(file: Path) -> None:
    assert_same(images(IF(300, bias=[5, -5, 0, 9], reset="zero")), file)


def test_pools_matrices_and_gains_are_the_same(file: Path) -> None:
    relay, sums = IF(5, reset="zero"), IF(900, reset="zero")
    weights = np.random.default_rng(2).integers(-9, 20, (36, 3)).astype(np.int8)
    ptr = np.arange(37, dtype=np.int64)
    sparse = Sparse(ptr, np.arange(36, dtype=np.int32) % 3, np.full(36, 8, np.int8), 3)
    after = [
        Projection("c", "p", SumPool(2, 2, gain=np.array([1, 2, 1, 3], np.int32))),
        Projection("p", "q", Diagonal(np.int32(2))),
        Projection("q", "o", Dense(weights)),
        Projection("q", "o", sparse),
    ]
    populations = {"p": Population((4, 3, 3), relay), "q": Population((4, 3, 3), relay), "o": Population((3,), sums)}
    assert_same(images(IF(200, reset="zero"), *after, **populations), file)


def test_exponents_are_multiplied_into_what_nir_has(file: Path) -> None:
    neuron, image = IF(2500, reset="zero"), Population((4, 3, 3), IF(2500, reset="zero"))
    more = {"p": image, "d": image, "e": Population((5,), IF(1200, reset="zero"))}
    after = [
        Projection("c", "p", SumPool(2, 2, gain=np.int32(400)), exponent=2),
        Projection("p", "d", Diagonal(np.int32(1400)), exponent=1),
        Projection("d", "e", dense(36, 5), exponent=3),
    ]
    net = images(neuron, *after, **more)
    assert_same(Network(net.populations, [replace(net.projections[0], exponent=4), *after], ["e"], STEPS), file)


def test_a_readout_integrates_in_units_of_its_scale(file: Path) -> None:
    scale = np.array([0.5, 0.25, 2], np.float32)
    populations = {"in": Population((6,), SPIKES), "o": Population((3,), Readout(scale))}
    net = Network(populations, [Projection("in", "o", dense(6, 3))], ["o"], STEPS)
    write_nir(net, file, DT)
    given = (np.random.default_rng(3).random((STEPS, 6)) < 0.4).astype(np.int64)
    membrane = stepped(net, {"in": given})["o"].membrane
    assert membrane is not None
    np.testing.assert_allclose(played(read_nir(file, dt=DT), given)[-1], membrane.reshape(-1, 3)[-1] * scale, rtol=1e-6)


@pytest.mark.parametrize("answer", ["last", "max", "mean"])
@pytest.mark.parametrize("leak", [{"keep_v": 60_000}, {"keep_v": 60_000, "keep_u": 2**15, "bias": 900}, {}])
def test_a_membrane_output_shows_membranes_in_units_of_its_scale(answer: str, leak: dict[str, int], file: Path) -> None:
    """Whether or not they reach the threshold, at which nothing happens to them."""
    scale = np.array([0.5, 0.25, 2, 1, 3], np.float32) / 2**8
    net = network(LIF(9 << 8, **leak, bias_u=-300, fraction_bits=8, reset="none", answer=answer, scale=scale))
    write_nir(net, file, DT)
    nir.read(str(file))
    given = (np.random.default_rng(3).random((STEPS, 6)) < 0.4).astype(np.int64)
    made = {"last": lambda shown: shown[-1], "max": lambda shown: shown.max(0), "mean": lambda shown: shown.mean(0)}
    expected = net.populations["a"].real(stepped(net, {"in": given})["a"].answer)
    found = made[answer](played(read_nir(file, DT, "euler"), given))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=0.2)


def test_membranes_and_spikes_of_one_output_are_not_written(file: Path) -> None:
    net = network(LIF(300, reset="none", answer="last"), Projection("a", "a", dense(5, 5, 1), 1))
    with pytest.raises(UnsupportedError, match=r"population 'a' .* shows its membranes .* its spikes are taken too"):
        write_nir(net, file, DT)


def test_a_population_that_is_no_output_sends_spikes_whatever_it_answers(file: Path) -> None:
    populations = {"in": Population((6,), SPIKES), "b": Population((5,), LIF(200, reset="none", answer="max"))}
    projections = [Projection("in", "b", dense(6, 5)), Projection("b", "a", dense(5, 5, 1))]
    assert_same(Network({**populations, "a": Population((5,), LIF(200))}, projections, ["a"], STEPS), file)


FIRING = [IF(100, reset="zero"), LIF(100), LIF(100, inclusive=True)]


@pytest.mark.parametrize(("neuron", "spikes"), list(zip(FIRING, [5, 4, 5], strict=True)))
def test_a_membrane_at_the_threshold_fires_as_before(neuron: Neuron, spikes: int, file: Path) -> None:
    populations = {"in": Population((1,), SPIKES), "a": Population((1,), neuron)}
    net = Network(populations, [Projection("in", "a", Dense(np.full((1, 1), 25, np.int8)))], ["a"], 20)
    write_nir(net, file, DT)
    given = np.ones((20, 1), np.int64)
    expected = stepped(net, {"in": given})["a"].events
    assert expected.sum() == spikes
    np.testing.assert_array_equal(played(read_nir(file), given), expected)


@pytest.mark.parametrize(("neuron", "threshold"), list(zip(FIRING, [99.5, 100.5, 99.5], strict=True)))
def test_thresholds_lie_half_a_unit_between_the_integers_that_decide(
    neuron: Neuron, threshold: float, file: Path
) -> None:
    write_nir(network(neuron), file, DT)
    np.testing.assert_array_equal(nir.read(str(file)).nodes["a"].v_threshold, threshold)


def test_an_input_can_be_an_output_too(file: Path) -> None:
    net = network(IF(300, reset="zero"))
    write_nir(Network(net.populations, net.projections, ["in", "a"], STEPS), file, DT)
    assert len(read_nir(file).graph.outputs) == 2


def test_the_nir_package_reads_what_is_written(file: Path) -> None:
    write_nir(network(LIF(5 << 4, 60_000, fraction_bits=4)), file, DT)
    graph = nir.read(str(file))
    assert sorted(type(node).__name__ for node in graph.nodes.values()) == ["Input", "LIF", "Linear", "Output"]
    np.testing.assert_allclose(graph.nodes["a"].tau, DT / (1 - 60_000 / 65_536))
    assert ("in", "in.a") in graph.edges


def test_what_the_file_says_otherwise_is_told(file: Path) -> None:
    told = write_nir(network(IF(300, reset="zero")), file, DT)
    assert "states are real numbers: they are neither rounded toward zero, nor clamped, nor wrapped" in told


@pytest.mark.parametrize(
    ("neuron", "said"),
    [
        (IF(300, reset="zero"), r"\('a' count\), nor their scales \(they are left out\)"),
        (LIF(300, answer="first_spike"), r"\('a' first-spike\), nor their scales \(they are left out\)"),
        (LIF(300, reset="none", answer="max"), r"\('a' max\), nor their scales \(those of membranes are in"),
        (Readout(), r"\('a' last\), nor their scales \(those of membranes are in"),
    ],
)
def test_answers_and_scales_are_told_because_the_file_does_not_say_them(neuron: Neuron, said: str, file: Path) -> None:
    told = write_nir(network(neuron), file, DT)
    assert any(re.search(f"NIR says neither answers, which --readout chooses {said}", one) for one in told)


@pytest.mark.parametrize(
    ("neuron", "why"),
    [
        (IF(300), "has the reset 'subtract': NIR's neurons are set to a value at once"),
        (LIF(300, reset="subtract_after_leak"), "has the reset 'subtract_after_leak'"),
        (LIF(300, refractory=2), "refractory time"),
        (LIF(300, reset_interval=8), "a reset by the clock"),
        (LIF(300, v_min=-5), "has a floor"),
        (IF(300, reset="zero", v_init=3), "starts at v_init"),
        (IF(300, reset="zero", answer="max"), "shows membranes with a reset"),
        (LIF(300, answer="last"), "only neurons that never fire do"),
        (LIF(300, keep_v=[65536, 65536, 65536, 6, 6]), "a membrane without leak beside others"),
        (LIF(300, keep_u=9), "or behind a synaptic current"),
        (LIF(300, keep_v=9, keep_u=65536), "has a synaptic current that does not decay"),
    ],
)
def test_neurons_that_nir_does_not_have_are_refused(neuron: Neuron, why: str, file: Path) -> None:
    with pytest.raises(UnsupportedError, match=f"population 'a' cannot be written as NIR: it .*{why}"):
        write_nir(network(neuron), file, DT)
    assert not file.exists()


def test_words_are_refused(file: Path) -> None:
    populations = {"in": Population((6,), Input(bits=4)), "a": Population((5,), FewSpikes(4, 100))}
    net = Network(populations, [Projection("in", "a", dense(6, 5))], ["a"], 4)
    with pytest.raises(UnsupportedError, match=r"population 'in' .* sends words in the code 'bits'"):
        write_nir(net, file, DT)


@pytest.mark.parametrize("code", ["bits", "graded"])
def test_neurons_that_look_words_up_are_refused_by_name(code: str, file: Path) -> None:
    with pytest.raises(UnsupportedError, match=f"population 'a' .* sends words in the code '{code}'"):
        write_nir(network(Levels(2, [1, 2, 3], code=code)), file, DT)


def test_parts_of_channels_are_refused(file: Path) -> None:
    populations = {"in": Population((2, 6, 6), SPIKES), "c": Population((4, 6, 6), IF(9, reset="zero"))}
    projections = [Projection("in", "c", Diagonal(np.int32(1)), target_channels=(k, k + 2)) for k in (0, 2)]
    with pytest.raises(UnsupportedError, match=r"projection in -> c cannot be written .* leads to some channels only"):
        write_nir(Network(populations, projections, ["c"], 4), file, DT)


def test_a_bias_that_no_projection_can_add_is_refused(file: Path) -> None:
    populations = {"in": Population((6,), SPIKES), "a": Population((6,), IF(9, bias=1, reset="zero"))}
    net = Network(populations, [Projection("in", "a", Diagonal(np.int32(1)))], ["a"], 4)
    with pytest.raises(UnsupportedError, match=r"population 'a' .* has a bias, and no Dense or Conv projection"):
        write_nir(net, file, DT)


def test_dt_must_be_positive(file: Path) -> None:
    with pytest.raises(UsageError, match="the time step must be positive"):
        write_nir(network(IF(300, reset="zero")), file, 0)


def test_a_file_is_replaced_only_by_force(file: Path) -> None:
    net = network(IF(300, reset="zero"))
    write_nir(net, file, DT)
    with pytest.raises(UsageError, match="exists"):
        write_nir(net, file, DT)
    write_nir(net, file, DT, force=True)
