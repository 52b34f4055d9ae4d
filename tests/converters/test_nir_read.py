# SPDX-License-Identifier: Apache-2.0
"""NIR files as steps: what each node computes, whose word is believed, and what is asked for."""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from nirfiles import answer, chain, lif, node, played, write
from torch import nn

from spikerun.converters.graph import Array
from spikerun.converters.nir.read import read_nir
from spikerun.converters.spiking.cell import Cell, Previous
from spikerun.converters.spiking.step import Step
from spikerun.errors import FileFormatError, UsageError

DATA = Path(__file__).parents[1] / "data" / "nir"
SPIKES = np.array([[1.0], [0], [1], [1], [0], [0], [1], [0]])
RELAY = node("Threshold", threshold=[0.5])  # sends on the spikes that come


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "network.nir"


def cells(step: Step) -> dict[str, Cell]:
    return {n.name: n.op for n in step.graph.nodes.values() if isinstance(n.op, Cell)}


def only(path: Path, **how: Any) -> Cell:
    (cell,) = cells(read_nir(path, **how)).values()
    return cell


def past(step: Step) -> dict[str, int]:
    return {n.op.cell: n.op.steps for n in step.graph.nodes.values() if isinstance(n.op, Previous)}


# --- nodes without a state -------------------------------------------------------------------------------------------


def image(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal((3, *shape))


def test_affine_and_linear_are_matrices(file: Path) -> None:
    w, v, b = np.arange(6.0).reshape(2, 3), np.array([[1.0, -1]]), np.array([0.5, -2])
    chain(file, [3], node("Affine", weight=w, bias=b), node("Linear", weight=v))
    x = image(3)
    np.testing.assert_allclose(answer(file, x), (x @ w.T + b) @ v.T)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "kernel"),
    [((1, 2), (2, 1), (1, 2), (3, 2)), ("valid", 1, 1, (3, 3)), ("same", 1, 1, (2, 4)), ("same", 1, (2, 1), (3, 2))],
)
def test_conv2d_is_that_of_torch(file: Path, padding: Any, stride: Any, dilation: Any, kernel: Any) -> None:
    conv = nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups=2).double()
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()  # type: ignore[union-attr]
    given = {"weight": weight, "bias": bias, "stride": stride, "padding": padding, "dilation": dilation, "groups": 2}
    chain(file, [4, 9, 8], node("Conv2d", **given))
    x = image(4, 9, 8)
    np.testing.assert_allclose(answer(file, x), conv(torch.from_numpy(x)).detach().numpy(), atol=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("padding", [2, [1], "same"])
def test_conv1d_is_that_of_torch(file: Path, padding: Any) -> None:
    conv = nn.Conv1d(2, 3, 4, 1, padding if isinstance(padding, str) else int(np.ravel(padding)[0])).double()
    given = {"weight": conv.weight.detach().numpy(), "bias": conv.bias.detach().numpy()}  # type: ignore[union-attr]
    chain(file, [2, 9], node("Conv1d", **given, stride=1, padding=padding, dilation=1, groups=1))
    x = image(2, 9)
    found = answer(file, x[:, :, None, :])
    np.testing.assert_allclose(found[:, :, 0], conv(torch.from_numpy(x)).detach().numpy(), atol=1e-12)


def test_pools_sum_and_average(file: Path) -> None:
    window = {"kernel_size": [2, 3], "stride": [2, 1], "padding": [1, 0]}
    chain(file, [2, 6, 7], node("SumPool2d", **window))
    average = nn.AvgPool2d((2, 3), (2, 1), (1, 0))
    x = image(2, 6, 7)
    expected = average(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(answer(file, x), 6 * expected)
    chain(file, [2, 6, 7], node("AvgPool2d", **window))
    np.testing.assert_allclose(answer(file, x), expected)


def test_flatten_takes_all_axes(file: Path) -> None:
    chain(file, [2, 3, 4], node("Flatten", start_dim=0, end_dim=-1))
    x = image(2, 3, 4)
    np.testing.assert_array_equal(answer(file, x), x.reshape(3, -1))


@pytest.mark.parametrize("scale", [np.array(2.0), np.arange(24.0).reshape(2, 3, 4), np.arange(2.0).reshape(2, 1, 1)])
def test_scale_multiplies(file: Path, scale: Array) -> None:
    chain(file, [2, 3, 4], node("Scale", scale=scale))
    x = image(2, 3, 4)
    np.testing.assert_allclose(answer(file, x), x * scale)


def test_values_that_come_from_several_nodes_add_up(file: Path) -> None:
    ends = {"input": node("Input", shape=[1]), "output": node("Output", shape=[1])}
    nodes = {**ends, "a": node("Scale", scale=[3.0]), "b": node("Scale", scale=[4.0])}
    write(file, nodes, [("input", "a"), ("input", "b"), ("a", "output"), ("b", "output"), ("input", "output")])
    np.testing.assert_array_equal(answer(file, SPIKES), 8 * SPIKES)


def test_edges_that_are_there_twice_count_once(file: Path) -> None:
    ends = {"input": node("Input", shape=[1]), "output": node("Output", shape=[1])}
    write(file, ends, [("input", "output"), ("input", "output")])
    np.testing.assert_array_equal(answer(file, SPIKES), SPIKES)
    assert read_nir(file).assumed == ("1 edges are there more than once, and count once",)


# --- neurons ---------------------------------------------------------------------------------------------------------


def test_i_integrates(file: Path) -> None:
    chain(file, [1], node("I", r=[50.0]))
    np.testing.assert_allclose(answer(file, SPIKES, dt=0.01), 0.5 * SPIKES.cumsum(axis=0))


def test_li_shows_its_membrane_with_v_leak(file: Path) -> None:
    chain(file, [1], node("LI", tau=[0.04], r=[2.0], v_leak=[0.5]))
    v, expected = 0.0, []
    for x in SPIKES[:, 0]:
        v += 0.25 * (0.5 - v + 2 * x)
        expected.append([v])
    np.testing.assert_allclose(answer(file, SPIKES, dt=0.01), expected)


def cuba(x: Array, steps: dict[str, float], fires: bool) -> Array:
    """Return spikes, or membranes, of the equations taken by Euler's method."""
    i = v = 0.0
    out = []
    for one in x[:, 0]:
        i += steps["dt"] / steps["tau_syn"] * (-i + steps["w_in"] * one)
        v += steps["dt"] / steps["tau_mem"] * (steps["v_leak"] - v + steps["r"] * i)
        s = fires and v > steps["v_threshold"]
        v = steps["v_reset"] if s else v
        out.append([float(s) if fires else v])
    return np.array(out)


@pytest.mark.parametrize("fires", [False, True])
def test_cuba_neurons_follow_their_equations(file: Path, fires: bool) -> None:
    values = {"tau_syn": 0.02, "tau_mem": 0.05, "r": 3.0, "v_leak": 0.1, "w_in": 2.5}
    firing = {"v_threshold": 0.6, "v_reset": -0.2} if fires else {}
    chain(file, [1], node("CubaLIF" if fires else "CubaLI", **values, **firing))
    x = np.tile(SPIKES, (5, 1))
    expected = cuba(x, {**values, **firing, "dt": 0.01}, fires)
    assert len(np.unique(expected)) > 1
    np.testing.assert_allclose(answer(file, x, dt=0.01), expected, atol=1e-12)


def test_if_resets_to_v_reset(file: Path) -> None:
    chain(file, [1], node("IF", r=[100.0], v_threshold=[1.5], v_reset=[-1.0]))
    np.testing.assert_array_equal(answer(file, np.ones((8, 1)), dt=0.01)[:, 0], [0, 1, 0, 0, 1, 0, 0, 1])


def test_threshold_fires_on_more_than_it(file: Path) -> None:
    chain(file, [1], node("Threshold", threshold=[1.0]))
    np.testing.assert_array_equal(answer(file, [[1.0], [1.5], [0.0]])[:, 0], [0, 1, 0])


def test_threshold_behind_an_integrator_is_one_neuron_without_reset(file: Path) -> None:
    chain(file, [1], node("LI", tau=[0.02], r=[1.0], v_leak=[0.25]), node("Threshold", threshold=[0.6]))
    cell = only(file, dt=0.01)
    assert (cell.name, cell.reset, float(cell.threshold), float(cell.keep_v)) == ("b", "none", 0.35, 0.5)


def test_parameters_may_differ_by_channel_and_by_place(file: Path) -> None:
    tau = np.full((2, 3, 3), 0.02)
    tau[1, 2, 2] = 0.04
    threshold = np.array([1.0, 2.0]).reshape(2, 1, 1)
    chain(file, [2, 3, 3], lif(tau=tau, v_threshold=threshold, r=np.ones((2, 3, 3))))
    cell = only(file, dt=0.01)
    assert (cell.keep_v.shape, cell.threshold.shape, cell.gain.shape) == ((2, 3, 3), (2,), (2, 3, 3))


# --- cycles, delays, graphs in graphs --------------------------------------------------------------------------------


def recurrent(file: Path, *more: tuple[str, str], **nodes: Any) -> Path:
    ends = {"input": node("Input", shape=[1]), "output": node("Output", shape=[1])}
    given = {"lif": RELAY, "w": node("Affine", weight=[[2.0]], bias=[0.25]), **ends, **nodes}
    return write(file, given, [("input", "lif"), ("lif", "output"), ("lif", "w"), *more])


def test_a_cycle_takes_one_step(file: Path) -> None:
    step = read_nir(recurrent(file, ("w", "lif")))
    assert past(step) == {"lif": 1}
    assert "spikes take one step where they go round in a cycle: lif -> lif" in step.assumed
    np.testing.assert_array_equal(played(step, np.array([[0.0], [1], [0], [0]]))[:, 0], [0, 1, 1, 1])


def test_a_delay_in_a_cycle_is_the_whole_delay(file: Path) -> None:
    step = read_nir(recurrent(file, ("w", "d"), ("d", "lif"), d=node("Delay", delay=[0.03])), dt=0.01)
    assert past(step) == {"lif": 3}
    np.testing.assert_array_equal(
        played(step, np.array([[1.0], [0], [0], [0], [0], [0], [0]]))[:, 0], [1, 0, 0, 1, 0, 0, 1]
    )


def test_in_a_cycle_of_two_the_nearer_to_the_input_is_first(file: Path) -> None:
    ends = {"input": node("Input", shape=[1]), "output": node("Output", shape=[1])}
    edges = [("input", "z"), ("z", "a"), ("a", "z"), ("a", "output")]
    step = read_nir(write(file, {**ends, "z": RELAY, "a": RELAY}, edges))
    assert past(step) == {"a": 1}


def test_a_cycle_with_a_delay_takes_no_step_elsewhere(file: Path) -> None:
    """The input leads to b; a, which follows b by a Delay, is updated before it."""
    ends = {"input": node("Input", shape=[1]), "output": node("Output", shape=[1])}
    nodes = {**ends, "a": RELAY, "b": RELAY, "d": node("Delay", delay=[0.01])}
    edges = [("input", "b"), ("b", "d"), ("d", "a"), ("a", "b"), ("b", "output")]
    step = read_nir(write(file, nodes, edges), dt=0.01)
    assert past(step) == {"b": 1}
    assert played(step, np.array([[1.0], [0], [0]]))[:, 0].tolist() == [1, 1, 1]


def test_spikes_reach_a_population_of_the_same_step_and_one_of_the_next(file: Path) -> None:
    """The same Linear behind two neurons in a cycle: of each reader it is what that reader needs."""
    ends = {"input": node("Input", shape=[1]), "output": node("Output", shape=[1])}
    nodes = {**ends, "a": RELAY, "b": RELAY, "w": node("Linear", weight=[[1.0]])}
    edges = [("input", "a"), ("a", "w"), ("b", "w"), ("w", "a"), ("w", "b"), ("b", "output")]
    step = read_nir(write(file, nodes, edges))
    assert played(step, np.array([[1.0], [0], [0]]))[:, 0].tolist() == [1, 1, 1]
    assert past(step) == {"a": 1, "b": 1}


def test_delays_reach_through_maps_to_the_spikes(file: Path) -> None:
    chain(file, [1], RELAY, node("Linear", weight=[[2.0]]), node("Delay", delay=[0.02]))
    np.testing.assert_array_equal(answer(file, SPIKES, dt=0.01)[:, 0], [0, 0, *(2 * SPIKES[:-2, 0])])


def test_delays_may_differ_by_neuron(file: Path) -> None:
    chain(file, [3], node("Threshold", threshold=[0.5] * 3), node("Delay", delay=[0.0, 0.01, 0.02]))
    x = np.repeat(SPIKES, 3, axis=1)
    expected = x.copy()
    expected[:, 1], expected[:, 2] = [0, *x[:-1, 1]], [0, 0, *x[:-2, 2]]
    np.testing.assert_array_equal(answer(file, x, dt=0.01), expected)


def test_a_graph_within_a_graph_is_laid_open(file: Path) -> None:
    inner = {
        "nodes": {"input": node("Input", shape=[1]), "lif": RELAY, "w": node("Linear", weight=[[2.0]]),
                  "output": node("Output", shape=[1])},
        "edges": [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")],
    }  # fmt: skip
    chain(file, [1], inner)
    step = read_nir(file)
    assert list(cells(step)) == ["a.lif"]
    np.testing.assert_array_equal(played(step, np.array([[0.0], [1], [0]]))[:, 0], [0, 1, 1])


def test_what_leads_to_no_output_is_left_out_and_told(file: Path) -> None:
    step = read_nir(recurrent(file))
    assert "w" not in step.graph.nodes
    assert "nodes that lead to no output are left out: w" in step.assumed


# --- time steps and writers ------------------------------------------------------------------------------------------


def test_dt_is_asked_for(file: Path) -> None:
    chain(file, [1], lif())
    with pytest.raises(UsageError, match="node 'a': a NIR file does not say how long a time step is: --dt 1ms"):
        read_nir(file)


def test_without_neurons_in_time_no_dt_is_asked_for(file: Path) -> None:
    chain(file, [1], RELAY)
    assert read_nir(file).assumed == ()


@pytest.mark.parametrize("dt", [0.0, -0.001, np.nan, np.inf])
def test_dt_must_be_positive(file: Path, dt: float) -> None:
    chain(file, [1], lif())
    with pytest.raises(UsageError, match="the time step must be positive and finite"):
        read_nir(file, dt=dt)


def snntorch(file: Path, beta: Any, alpha: Any = None, dt: float = 1e-4) -> Path:
    """Write what snnTorch 1.0 writes of Leaky or Synaptic."""
    beta, zero = np.asarray(beta, np.float32), np.zeros(len(beta), np.float32)
    with np.errstate(divide="ignore"):
        tau = np.float32(dt) / (1 - beta)
        more = {"r": tau / np.float32(dt), "v_leak": zero, "v_threshold": zero + 1, "v_reset": zero}
        if alpha is None:
            return chain(file, [len(beta)], node("LIF", tau=tau, **more))
        tau_syn = np.float32(dt) / (1 - np.asarray(alpha, np.float32))
    return chain(
        file, [len(beta)], node("CubaLIF", tau_mem=tau, tau_syn=tau_syn, w_in=tau_syn / np.float32(dt), **more)
    )


def test_the_time_step_of_snntorch_is_recognised(file: Path) -> None:
    cell = only(snntorch(file, [0.9, 0.5], alpha=[0.8, 0.25]))
    for found, expected in ((cell.keep_v, [0.9, 0.5]), (cell.keep_u, [0.8, 0.25]), (cell.gain, [1, 1])):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_snntorch_says_value_whatever_the_reset_was(file: Path) -> None:
    step = read_nir(snntorch(file, [0.9]))
    assert any("--nir-reset subtract" in sentence for sentence in step.assumed)
    assert only(file).reset == "value" and only(file, reset="subtract_after_leak").reset == "subtract_after_leak"


def test_a_neuron_of_snntorch_without_leak_has_infinite_numbers(file: Path) -> None:
    cell = only(snntorch(file, [1.0, 0.5]))
    np.testing.assert_allclose(cell.keep_v, [1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(cell.gain, [1, 1], rtol=1e-6)


def test_another_dt_than_that_of_snntorch_is_refused(file: Path) -> None:
    snntorch(file, [0.9])
    with pytest.raises(UsageError, match=r"leave --dt out, or .* --nir-writer euler"):
        read_nir(file, dt=1e-3)
    assert float(only(file, dt=5e-4, writer="euler").keep_v) == pytest.approx(0.5)


def test_numbers_that_only_look_like_a_time_step_are_none(file: Path) -> None:
    chain(file, [1], lif(tau=0.0025, r=24.019737))  # Rockpool's, of the paper
    with pytest.raises(UsageError, match="--dt"):
        read_nir(file)


def test_taus_of_norse_are_too_small_by_dt(file: Path) -> None:
    chain(file, [1], lif(tau=1e-5))
    with pytest.raises(FileFormatError, match=r"node 'a': tau = 1e-05 s is less than the time step .* norse"):
        read_nir(file, dt=1e-3)
    cell = only(file, dt=1e-3, writer="norse")
    assert float(cell.keep_v) == pytest.approx(0.9) and float(cell.gain) == pytest.approx(0.1)


def test_synaptic_currents_of_norse_take_their_input_whole(file: Path) -> None:
    values = {"tau_mem": 1e-5, "tau_syn": 5e-6, "r": 1.0, "v_leak": 0.5, "v_threshold": 1.0}
    chain(file, [1], node("CubaLIF", **values))
    cell = only(file, dt=1e-3, writer="norse")
    found = [float(v) for v in (cell.keep_v, cell.keep_u, cell.gain, cell.threshold, cell.v_init)]
    assert found == pytest.approx([0.9, 0.8, 0.1, 0.5, 0])


def test_spikingjelly_fires_on_equality(file: Path) -> None:
    chain(file, [1], node("IF", r=[1e4], v_threshold=[1.0], v_reset=[0.0]))
    assert answer(file, [[1.0]], writer="spikingjelly").tolist() == [[1]]
    assert answer(file, [[1.0]]).tolist() == [[0]]


def test_an_if_with_r_1_means_two_things(file: Path) -> None:
    chain(file, [1], node("IF", r=[1.0], v_threshold=[1.0]))
    with pytest.raises(
        UsageError, match=r"node 'a': r = 1 .*--nir-writer euler.*--nir-writer sinabs.*--nir-writer norse"
    ):
        read_nir(file, dt=1e-3)
    gains = {writer: float(only(file, dt=1e-3, writer=writer).gain) for writer in ("euler", "sinabs", "norse")}
    assert gains == {"euler": 1e-3, "sinabs": 1, "norse": 1}


def test_neurons_of_sinabs_subtract_and_have_a_floor(file: Path) -> None:
    chain(file, [1], node("IF", r=[1.0], v_threshold=[2.0]))
    cell = only(file, writer="sinabs")
    assert (cell.reset, cell.inclusive, float(cell.v_min)) == ("subtract", True, -2)


def test_taus_of_a_second_or_more_may_be_steps(file: Path) -> None:
    chain(file, [1], lif(tau=20.0))
    with pytest.raises(UsageError, match=r"node 'a': tau is 20, which are seconds .*euler.*steps .*sinabs"):
        read_nir(file, dt=1e-3)
    cell = only(file, writer="sinabs")
    assert float(cell.keep_v) == np.exp(-1 / 20) and float(cell.gain) == 1 - np.exp(-1 / 20)


@pytest.mark.parametrize(("option", "value"), [("writer", "snntorhc"), ("reset", "zero")])
def test_unknown_writers_and_resets_are_refused(file: Path, option: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"unknown .* {value!r}"):
        read_nir(chain(file, [1], RELAY), **{option: value})  # type: ignore[arg-type]


# --- files of others -------------------------------------------------------------------------------------------------


def test_files_of_the_nir_package_are_read(file: Path) -> None:
    rng = np.random.default_rng(1)
    conv = nir.Conv2d((8, 8), rng.standard_normal((3, 2, 3, 3)), 1, 1, 1, 1, np.zeros(3))
    full = np.ones((3, 4, 4))
    neuron = nir.LIF(tau=0.01 * full, r=full, v_leak=0 * full, v_threshold=0.1 * full)
    pool = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    flat = nir.Flatten(np.array([3, 4, 4]), 0, -1)
    graph = nir.NIRGraph.from_list(conv, pool, neuron, flat, nir.Linear(rng.standard_normal((5, 48))))
    nir.write(str(file), graph)
    step = read_nir(file, dt=1e-3)
    assert [type(n.op).__name__ for n in step.graph.nodes.values()][:6] == [
        "Input", "Conv", "AvgPool", "Cell", "Flatten", "Linear"
    ]  # fmt: skip
    assert played(step, rng.random((4, 2, 8, 8))).shape == (4, 5)


@pytest.fixture
def traces() -> Any:
    return np.load(DATA / "lif_traces.npz")


def trace(step: Step, samples: Array) -> tuple[list[int], Array]:
    """Return when the only neuron of a network fires, and its membrane."""
    (cell,) = cells(step).values()
    state, spikes, membrane = cell.initial(1, (1,)), [], []
    for x in samples:
        spikes.append(float(cell.step(state, np.full((1, 1), float(x)))[0, 0]))
        membrane.append(float(state["v"][0, 0]))
    return np.flatnonzero(spikes).tolist(), np.array(membrane)


def test_the_neuron_of_the_nir_paper_is_that_of_norse(traces: Any) -> None:
    spikes, membrane = trace(read_nir(DATA / "lif_norse.nir", dt=1e-4), traces["input"])
    for name in ("norse", "exact", "nengo", "snntorch", "spinnaker2"):
        assert spikes == traces[f"{name}_spikes"].tolist(), name
    for name in ("lava_cpu_float", "spyx"):  # these take a step from input to spike
        assert [t + 1 for t in spikes] == traces[f"{name}_spikes"].tolist(), name
    np.testing.assert_allclose(membrane, traces["norse_membrane"], atol=1e-7)


def test_the_neuron_of_the_nir_paper_in_sinabs_subtracts_and_decays_exponentially(file: Path, traces: Any) -> None:
    tau = 25.0
    chain(file, [1], lif(tau=tau, r=0.04 / (1 - np.exp(-1 / tau)), v_threshold=0.1))
    spikes, membrane = trace(read_nir(file, writer="sinabs"), traces["input"])
    assert spikes == traces["sinabs_spikes"].tolist() == traces["rockpool_spikes"].tolist()
    np.testing.assert_allclose(membrane, traces["sinabs_membrane"], atol=1e-6)


def test_the_floor_that_sinabs_has_and_files_do_not_say_can_be_left_out(file: Path) -> None:
    chain(file, [1], node("IF", r=np.ones(1), v_threshold=np.ones(1)))
    floors = {}
    for floor in (True, False):
        step = read_nir(file, writer="sinabs", floor=floor)
        (cell,) = cells(step).values()
        floors[floor] = float(cell.v_min)
        assert any("have a floor" in said and ("left out" in said) != floor for said in step.assumed)
    assert floors == {True: -1.0, False: -np.inf}


PAPER = "data/nir-reference/paper"


def test_the_convolutional_network_of_the_nir_paper(shared: Any) -> None:
    step = read_nir(shared(f"{PAPER}/02_cnn/cnn_sinabs.nir"), writer="sinabs")
    shapes = [n.shape for n in step.graph.nodes.values() if isinstance(n.op, Cell)]
    assert shapes == [(16, 16, 16), (16, 16, 16), (8, 8, 8), (256,), (10,)]


def test_the_recurrent_network_of_the_nir_paper(shared: Any) -> None:
    step = read_nir(shared(f"{PAPER}/03_rnn/braille_noDelay_noBias_subtract.nir"), reset="subtract")
    assert past(step) == {"lif1.lif": 1}
    cell = cells(step)["lif1.lif"]
    found = [float(v) for v in (cell.keep_v, cell.keep_u, cell.gain)]
    assert found == pytest.approx([0.85, 0.75, 1], rel=1e-4) and cell.reset == "subtract"


def test_edges_of_the_nir_paper_to_a_node_that_is_not_there_are_refused(shared: Any) -> None:
    with pytest.raises(
        FileFormatError, match=r"/node/nodes/lif1/edges: .* there is no node 'lif'; there are input, lif1"
    ):
        read_nir(shared(f"{PAPER}/03_rnn/extras/braille_noDelay_bias_zero_subgraph.nir"))
