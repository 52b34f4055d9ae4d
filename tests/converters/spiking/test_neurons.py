# SPDX-License-Identifier: Apache-2.0
"""Every neuron of the frameworks beside the cell that it becomes: the package itself, with parameters per neuron."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from spikerun.converters.spiking.cell import Cell
from spikerun.converters.torch.spiking.neurons import find
from spikerun.converters.torch.spiking.neurons.row import fitted

Array = npt.NDArray[Any]
STEPS, NEURONS = 200, 64
RNG = np.random.default_rng(0)
X = RNG.normal(0.12, 0.5, (STEPS, NEURONS))
BETA, ALPHA = RNG.uniform(0.5, 0.97, (2, NEURONS))
THRESHOLD = RNG.uniform(0.6, 1.4, NEURONS)
# What goes through float32 in the packages: multiples of 1/256 are exact there.
WEIGHT = np.round(RNG.normal(0, 0.2, (NEURONS, NEURONS)) * 256) / 256
BIAS = np.round(RNG.normal(0, 0.1, NEURONS) * 256) / 256


def t(values: Any) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def cell_of(module: nn.Module) -> Cell:
    return fitted(find(module)["neuron"].row.cell(module, "neuron"), (NEURONS,))


def ran(cell: Cell, x: Array, weight: Array | None = None, bias: Array | float = 0.0) -> tuple[Array, Array]:
    """Return the spikes (times the factor) and the membranes of a cell, fed back by a matrix where one is given."""
    state = cell.initial(1, (NEURONS,))
    spikes, membranes, s = [], [], np.zeros((1, NEURONS))
    for current in x[:, None]:
        s = cell.step(state, current + (0 if weight is None else s @ weight.T + bias)) * cell.factor
        spikes.append(s)
        membranes.append(state["v"] + cell.offset)
    return np.concatenate(spikes), np.concatenate(membranes)


def same(found: tuple[Array, Array], expected: tuple[Array, Array], membranes: bool = True) -> None:
    assert expected[0].any()
    np.testing.assert_array_equal(found[0], expected[0])
    if membranes:
        np.testing.assert_allclose(found[1], expected[1], atol=1e-8)


def stepped(module: nn.Module, x: Array, states: tuple[torch.Tensor, ...]) -> tuple[Array, Array]:
    """Return what a module of snnTorch sends and records: it is given its states, and returns them last."""
    spikes, membranes = [], []
    with torch.no_grad():
        for current in t(x)[:, None]:
            out = module(current, *states)
            states = out if len(out) == len(states) else out[1:]
            spikes.append(out[0].numpy().copy())
            membranes.append(out[-1].numpy().copy())
    return np.concatenate(spikes).astype(np.float64), np.concatenate(membranes)


ZERO = torch.zeros(1, NEURONS, dtype=torch.float64)


def snntorch_cases() -> Iterator[Any]:
    import snntorch as snn

    for reset in ("subtract", "zero", "none"):
        common: dict[str, Any] = {"threshold": t(THRESHOLD), "reset_mechanism": reset}
        for delay in (True, False):
            late = {**common, "reset_delay": delay}
            yield f"Leaky {reset} {delay}", lambda late=late: snn.Leaky(beta=t(BETA), **late), 1
            yield f"Synaptic {reset} {delay}", lambda k=late: snn.Synaptic(alpha=t(ALPHA), beta=t(BETA), **k), 2
            yield f"RLeaky {reset} {delay}", lambda k=late: snn.RLeaky(beta=t(BETA), linear_features=NEURONS, **k), 2
            yield (
                f"RSynaptic {reset} {delay}",
                lambda k=late: snn.RSynaptic(alpha=t(ALPHA), beta=t(BETA), linear_features=NEURONS, **k),
                3,
            )
        yield f"Lapicque beta {reset}", lambda k=common: snn.Lapicque(beta=t(0.9), **k), 1
        yield f"Lapicque R C {reset}", lambda k=common: snn.Lapicque(R=t(5.1), C=t(2e-3), time_step=t(1e-3), **k), 1


@pytest.mark.parametrize("name, make, states", [pytest.param(*case, id=case[0]) for case in snntorch_cases()])
def test_neurons_of_snntorch(name: str, make: Callable[[], Any], states: int) -> None:
    module = make()
    recurrent = hasattr(module, "recurrent")
    if recurrent:
        module.recurrent.weight.data, module.recurrent.bias.data = t(WEIGHT).float(), t(BIAS).float()
    x = X * (8 if "Lapicque beta" in name else 1)
    given = tuple(ZERO.float() if recurrent and k == 0 else ZERO for k in range(states))
    expected = stepped(module, x, given)
    found = ran(cell_of(module), x, *((WEIGHT, BIAS) if recurrent else ()))
    after = "zero" not in name or name in ("Leaky zero False", "RLeaky zero False", "Synaptic zero False")
    same(found, expected, membranes=after)


def test_graded_spikes_are_a_factor() -> None:
    import snntorch as snn

    module = snn.Leaky(beta=t(BETA), threshold=t(THRESHOLD), graded_spikes_factor=t(np.linspace(0.5, 2, NEURONS)))
    same(ran(cell_of(module), X), stepped(module, X, (ZERO,)))


def test_shares_above_one_are_clamped() -> None:
    import snntorch as snn

    module = snn.Leaky(beta=t(BETA + 0.2), threshold=t(THRESHOLD))
    same(ran(cell_of(module), X), stepped(module, X, (ZERO,)))


def test_recurrence_of_one_to_one() -> None:
    import snntorch as snn

    v = np.round(RNG.normal(0, 0.3, NEURONS) * 256) / 256
    module = snn.RLeaky(beta=t(BETA), all_to_all=False, V=t(v).float(), threshold=t(THRESHOLD))
    same(ran(cell_of(module), X, np.diag(v)), stepped(module, X, (ZERO.float(), ZERO)))


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_state_leaky(factor: float) -> None:
    import snntorch as snn

    module = snn.StateLeaky(beta=t(BETA), channels=NEURONS, threshold=t(THRESHOLD), graded_spikes_factor=factor)
    with torch.no_grad():
        spikes, membranes = module(t(X)[:, None])
    same(ran(cell_of(module), X), (spikes[:, 0].numpy().astype(np.float64), membranes[:, 0].numpy()))


def test_linear_leaky_without_spikes() -> None:
    import snntorch as snn

    module = snn.LinearLeaky(beta=t(BETA), in_features=NEURONS, out_features=NEURONS, output=False, dtype=torch.float64)
    with torch.no_grad():
        membranes = module(t(X)[:, None])[:, 0].numpy()
        weight, bias = module.linear.weight.numpy(), module.linear.bias.numpy()
    found = ran(cell_of(module), X @ weight.T + bias)
    np.testing.assert_allclose(found[1], membranes, atol=1e-8)
    assert not found[0].any()


def test_leaky_parallel() -> None:
    import snntorch as snn

    module = snn.LeakyParallel(NEURONS, NEURONS, beta=0.9, threshold=t(THRESHOLD), dtype=torch.float64)
    rnn = module.rnn
    with torch.no_grad():
        spikes = module(t(X)[:, None])[:, 0].numpy().astype(np.float64)
        currents = X @ rnn.weight_ih_l0.numpy().T + rnn.bias_ih_l0.numpy() + rnn.bias_hh_l0.numpy()
    same(ran(cell_of(module), currents), (spikes, spikes), membranes=False)


def norse_parameters(kind: str, **more: Any) -> Any:
    import norse.torch as norse

    rng = np.random.default_rng(1)
    given = {
        "tau_mem_inv": rng.uniform(50, 300, NEURONS),
        "v_leak": rng.uniform(-0.1, 0.2, NEURONS),
        "v_th": THRESHOLD,
        "v_reset": rng.uniform(-0.3, 0.1, NEURONS),
        "tau_syn_inv": rng.uniform(50, 400, NEURONS),
        **more,
    }
    fields = getattr(norse, kind)._fields
    return getattr(norse, kind)(**{k: v if callable(v) else t(v) for k, v in given.items() if k in fields})


def with_state(module: Any, x: Array, state: Any = None) -> tuple[Array, Array]:
    """Return what a cell of Norse sends, and its membranes."""
    spikes, membranes = [], []
    with torch.no_grad():
        for current in t(x)[:, None]:
            out, state = module(current, state)
            inner = getattr(state, "lif", state)
            spikes.append(out.numpy().copy())
            membranes.append(inner.v.numpy() + 0 * spikes[-1])
    return np.concatenate(spikes), np.concatenate(membranes)


def norse_cases() -> Iterator[Any]:
    import norse.torch as norse
    from norse.torch.functional.reset import reset_subtract

    yield "LIFCell", lambda: norse.LIFCell(norse_parameters("LIFParameters"))
    yield "LIFCell dt", lambda: norse.LIFCell(norse_parameters("LIFParameters"), dt=0.002)
    yield "LIFBoxCell", lambda: norse.LIFBoxCell(norse_parameters("LIFBoxParameters"))
    yield (
        "LIFBoxCell subtract",
        lambda: norse.LIFBoxCell(norse_parameters("LIFBoxParameters", v_leak=0.0, reset_method=reset_subtract)),
    )
    yield "IAFCell", lambda: norse.IAFCell(norse_parameters("IAFParameters"))
    for rho in (3.0, 2.5):
        # Norse fills the initial membrane with one number.
        p = norse_parameters("LIFParameters", v_leak=0.1)
        yield f"LIFRefracCell {rho}", lambda p=p, rho=rho: norse.LIFRefracCell(norse.LIFRefracParameters(p, t(rho)))


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in norse_cases()])
def test_neurons_of_norse(make: Callable[[], Any]) -> None:
    module = make()
    same(ran(cell_of(module), X * 4), with_state(module, X * 4))


@pytest.mark.parametrize("refractory", [False, True])
def test_recurrent_neurons_of_norse(refractory: bool) -> None:
    import norse.torch as norse

    p = norse_parameters("LIFParameters", v_leak=0.1)
    make = norse.LIFRefracRecurrentCell if refractory else norse.LIFRecurrentCell
    module = make(NEURONS, NEURONS, norse.LIFRefracParameters(p, t(4.0)) if refractory else p, autapses=True)
    module.input_weights.data, module.recurrent_weights.data = t(np.eye(NEURONS)), t(WEIGHT)
    module.dt = 0.001
    state = module.state_fallback(t(X[0])[None])
    inner = state.lif if refractory else state
    inner = inner._replace(v=t(np.full((1, NEURONS), 0.1)), i=ZERO)  # Norse makes them float32
    state = state._replace(lif=inner) if refractory else inner
    same(ran(cell_of(module), X * 4, WEIGHT), with_state(module, X * 4, state))


@pytest.mark.parametrize("kind", ["LICell", "LIBoxCell", "LILinearCell"])
def test_leaky_integrators_of_norse_show_their_membrane(kind: str) -> None:
    import norse.torch as norse

    p = norse_parameters("LIBoxParameters" if "Box" in kind else "LIParameters")
    size = (NEURONS, NEURONS) if "Linear" in kind else ()
    module = getattr(norse, kind)(*size, p)
    if size:
        module.input_weights.data = t(np.eye(NEURONS))
    spikes, membranes = ran(cell_of(module), X)
    assert not spikes.any()
    np.testing.assert_allclose(membranes, with_state(module, X)[0], atol=1e-8)


def spikingjelly_cases() -> Iterator[Any]:
    from spikingjelly.activation_based import neuron

    for reset in (0.0, 0.2, None):
        yield f"IFNode {reset}", lambda r=reset: neuron.IFNode(v_reset=r)
        for decays in (True, False):
            common: dict[str, Any] = {"decay_input": decays, "v_reset": reset, "v_threshold": 0.5}
            yield f"LIFNode {reset} {decays}", lambda k=common: neuron.LIFNode(tau=2.5, **k)
            yield f"ParametricLIFNode {reset} {decays}", lambda k=common: neuron.ParametricLIFNode(3.0, **k).double()


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in spikingjelly_cases()])
def test_neurons_of_spikingjelly(make: Callable[[], Any]) -> None:
    module, cell = make(), cell_of(make())
    spikes, membranes = [], []
    with torch.no_grad():
        for current in t(X)[:, None]:
            spikes.append(module(current).numpy().copy())
            membranes.append(module.v.numpy().copy())
    same(ran(cell, X), (np.concatenate(spikes), np.concatenate(membranes)))


def test_a_spike_at_the_threshold_is_one_of_spikingjelly_alone() -> None:
    import snntorch as snn
    from spikingjelly.activation_based import neuron

    x = np.ones((1, NEURONS))
    assert ran(cell_of(neuron.IFNode()), x)[0].all()
    assert not ran(cell_of(snn.Leaky(beta=0.9)), x)[0].any()
