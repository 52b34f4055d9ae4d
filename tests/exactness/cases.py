# SPDX-License-Identifier: Apache-2.0
"""Every neuron of snnTorch, Norse and SpikingJelly that is read: its class, its reset, its delay, as a module alone.

A module has parameters for each neuron where its class takes them: any, or such that a step keeps multiples of 1/8 and
thresholds are multiples of 1/64, which are the same number in integers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

__all__ = ["CASES", "NEURONS", "STEPS", "Case", "Numbers", "samples"]

STEPS, NEURONS = 200, 64
SCALE = 1 / 64  # of the samples
DRIVE, LOUD = (0.12, 0.5), (0.5, 0.9)
Array = npt.NDArray[Any]


def t(values: Any, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return a tensor."""
    return torch.as_tensor(values, dtype=dtype)


class Numbers:
    """The parameters: those that integers hold, or any."""

    def __init__(self, dyadic: bool) -> None:
        rng = np.random.default_rng(7)
        self.dyadic = dyadic
        self.keep = self._share(rng.uniform(0.5, 0.97, NEURONS))
        self.keep_u = self._share(rng.uniform(0.3, 0.9, NEURONS))
        self.threshold = self._whole(rng.uniform(0.6, 1.4, NEURONS))
        self.low = self._whole(rng.uniform(-0.3, 0.1, NEURONS))
        # Rows have the largest weight 127/512, so that one unit of each is 1/512, or their int8 would be others.
        weight = rng.integers(-60, 61, (NEURONS, NEURONS)) * (rng.random((NEURONS, NEURONS)) < 0.2)
        weight[np.arange(NEURONS), rng.permutation(NEURONS)] = 127
        self.weight, self.bias = weight / 512, rng.integers(-60, 61, NEURONS) / 512

    def _share(self, values: Array) -> Array:
        return np.clip(np.round(values * 8), 1, 7) / 8 if self.dyadic else values

    def _whole(self, values: Array) -> Array:
        return np.round(values * 64) / 64 if self.dyadic else values


class Alone(nn.Module):
    """A neuron in a loop over its input (steps, batch, neurons); `call` does one step: (module, x, out) to out."""

    def __init__(self, neuron: Any, call: Callable[[Any, torch.Tensor, Any], Any]) -> None:
        super().__init__()
        self.neuron, self.call = neuron, call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the spikes of all steps, time first."""
        sent, out = [], None
        for current in x:
            out = self.call(self.neuron, current, out)
            sent.append(out[0] if isinstance(out, tuple) else out)
        return torch.stack(sent)


def in_sequence(neuron: Any) -> nn.Module:
    """Return a module whose neuron takes all steps at once."""

    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neuron = neuron

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = self.neuron(x)
            result: torch.Tensor = out[0] if isinstance(out, tuple) else out
            return result

    return Sequence()


@dataclass(frozen=True)
class Case:
    """A neuron. drive: mean and deviation of its currents. shows: whether its membrane is all it sends.

    dyadic: whether there are parameters that integers hold.
    """

    framework: str
    neuron: str
    reset: str
    delay: str
    make: Callable[[Numbers], nn.Module]
    drive: tuple[float, float] = DRIVE
    shows: bool = False
    dyadic: bool = True

    @property
    def name(self) -> str:
        """Return what tells it from the others."""
        return " ".join(filter(None, (self.framework, self.neuron, self.reset, self.delay)))


def samples(case: Case) -> Array:
    """Return integers (1, steps, neurons) of 8 bits with a sign."""
    drawn = np.random.default_rng(3).normal(*case.drive, (1, STEPS, NEURONS))
    return np.clip(np.round(drawn / SCALE), -128, 127).astype(np.int64)


# --- snnTorch --------------------------------------------------------------------------------------------------------


def passed(module: Any, x: torch.Tensor, out: Any) -> Any:
    """Pass states on, which are results behind the spikes."""
    return module(x, *(out[1:] if out else ()))


def passed_back(module: Any, x: torch.Tensor, out: Any) -> Any:
    """Pass spikes and states on, which begin at 0: RSynaptic without delay needs them."""
    return module(x, *(out or [torch.zeros_like(x)] * (3 if hasattr(module, "alpha") else 2)))


def snntorch_module(kind: str, reset: str, delay: bool, n: Numbers) -> nn.Module:
    """Return a neuron of one step of snnTorch."""
    import snntorch as snn

    given: dict[str, Any] = {"threshold": t(n.threshold), "reset_mechanism": reset}
    if kind.startswith("Lapicque"):
        share = 0.125 if n.dyadic else 0.1  # that a step loses; with beta it is -ln(beta), which is never dyadic
        of = {"beta": t(np.exp(-share))} if kind.endswith("of beta") else {"R": t(1 / share), "C": t(1.0)}
        of["time_step"] = t(1.0)
        return Alone(snn.Lapicque(**of, **given), passed)
    given |= {"beta": t(n.keep), "reset_delay": delay}
    if "Synaptic" in kind:
        given["alpha"] = t(n.keep_u)
    if not kind.startswith("R"):
        return Alone(getattr(snn, kind)(**given), passed)
    one_to_one = kind.endswith("one to one")
    weights = {"all_to_all": False, "V": t(n.weight.max(axis=1))} if one_to_one else {"linear_features": NEURONS}
    # Its spikes are float32 otherwise, which recurrent weights of float64 do not take.
    module = getattr(snn, kind.split()[0])(**given, **weights, spike_grad=lambda x: (x > 0).to(x.dtype))
    if not one_to_one:
        module.recurrent.weight.data, module.recurrent.bias.data = t(n.weight), t(n.bias)
    return Alone(module, passed_back)


def state_leaky(n: Numbers) -> nn.Module:
    """Return a StateLeaky."""
    import snntorch as snn

    beta = t(1 + np.log(n.keep))  # it keeps exp(beta - 1)
    return in_sequence(snn.StateLeaky(beta=beta, channels=NEURONS, threshold=t(n.threshold)))


def linear_leaky(n: Numbers) -> nn.Module:
    """Return a LinearLeaky, whose linear layer gives each neuron one sample."""
    import snntorch as snn

    beta = t(1 + np.log(n.keep))
    module = snn.LinearLeaky(beta, NEURONS, NEURONS, threshold=t(n.threshold), bias=False, dtype=torch.float64)
    module.linear.weight.data = t(np.eye(NEURONS))
    return in_sequence(module)


def leaky_parallel(n: Numbers) -> nn.Module:
    """Return a LeakyParallel whose input weights are 1."""
    import snntorch as snn

    module = snn.LeakyParallel(NEURONS, NEURONS, beta=0.5, threshold=t(n.threshold), bias=False, dtype=torch.float64)
    module.rnn.weight_ih_l0.data = t(np.eye(NEURONS))
    module.rnn.weight_hh_l0.data = t(np.diag(n.keep))
    return in_sequence(module)


QUIET = {"Synaptic": (0.03, 0.03), "RLeaky": (0.1, 0.1)}


def snntorch_cases() -> Iterator[Case]:
    """Yield the neurons of snnTorch 1.0."""
    for reset in ("subtract", "zero", "none"):
        kinds = ("Leaky", "Synaptic", "RLeaky", "RLeaky one to one", "RSynaptic")
        for kind in kinds:
            for delay in (True, False) if reset != "none" else (True,):
                quiet = reset == "subtract" and not delay and kind != "RSynaptic"  # no membrane passes twice then
                drive = (QUIET.get(kind, (0.15, 0.15))) if quiet else (0.06, 0.25) if "Synaptic" in kind else DRIVE
                make = partial(snntorch_module, kind, reset, delay)
                yield Case("snnTorch", kind, reset, "delayed" if delay else "at once", make, drive)
        for kind, drive in (("Lapicque", DRIVE), ("Lapicque of beta", (1.0, 0.9))):
            yield Case(
                "snnTorch",
                kind,
                reset,
                "delayed",
                partial(snntorch_module, kind, reset, True),
                drive,
                dyadic=drive == DRIVE,
            )
    yield Case("snnTorch", "StateLeaky", "none", "", state_leaky)
    yield Case("snnTorch", "LinearLeaky", "none", "", linear_leaky)
    yield Case("snnTorch", "LeakyParallel", "none", "", leaky_parallel)


# --- Norse -----------------------------------------------------------------------------------------------------------


def with_state(module: Any, x: torch.Tensor, out: Any) -> Any:
    """Pass the state on."""
    return module(x, out[1] if out else None)


PARAMETERS = {
    "LIFBoxCell": "LIFBox", "IAFCell": "IAF", "IAF": "IAF", "LICell": "LI", "LI": "LI", "LILinearCell": "LI",
    "LIBoxCell": "LIBox",
}  # fmt: skip


def norse_module(kind: str, n: Numbers, reset: str = "value", rho: float = 0) -> nn.Module:
    """Return a neuron of Norse: cells in a loop, others over time."""
    import norse.torch as norse
    from norse.torch.functional.reset import reset_subtract

    dt = 2.0**-10 if n.dyadic else 1e-3
    leak = 0.125 if n.dyadic else 0.1
    given = {
        "tau_mem_inv": (1 - n.keep) / dt, "tau_syn_inv": (1 - n.keep_u) / dt, "v_th": n.threshold, "v_reset": n.low,
        "v_leak": 0.0 if reset == "subtract" else leak,
    }  # fmt: skip
    parameters = getattr(norse, PARAMETERS.get(kind, "LIF") + "Parameters")
    more = {"reset_method": reset_subtract} if reset == "subtract" else {}
    p = parameters(**{k: t(v) for k, v in given.items() if k in parameters._fields}, **more)
    if "Refrac" in kind:
        p = norse.LIFRefracParameters(p, t(rho))
    sizes = (NEURONS, NEURONS) if "Recurrent" in kind or "Linear" in kind else ()
    module = getattr(norse, kind)(*sizes, p, **({"autapses": True} if "Recurrent" in kind else {}), dt=dt)
    if sizes:
        module.input_weights.data = t(np.eye(NEURONS))
    if "Recurrent" in kind:
        module.recurrent_weights.data = t(n.weight)
    return Alone(module, with_state) if kind.endswith("Cell") else in_sequence(module)


def norse_cases() -> Iterator[Case]:
    """Yield the neurons of Norse 1.1, which reset at once."""
    for kind in ("LIFCell", "LIF", "LIFRecurrentCell", "LIFRecurrent", "LIFBoxCell"):
        yield Case("Norse", kind, "value", "at once", partial(norse_module, kind), LOUD)
    for kind in ("IAFCell", "IAF"):
        yield Case("Norse", kind, "value", "at once", partial(norse_module, kind))
    boxes = partial(norse_module, "LIFBoxCell", reset="subtract")
    yield Case("Norse", "LIFBoxCell", "subtract", "at once", boxes, LOUD)
    for kind in ("LIFRefracCell", "LIFRefracRecurrentCell", "LIFRefracRecurrent"):
        yield Case("Norse", kind, "value", "at once", partial(norse_module, kind, rho=3.0), LOUD)
    for kind in ("LICell", "LI", "LIBoxCell", "LILinearCell"):
        yield Case("Norse", kind, "none", "", partial(norse_module, kind), shows=True)


# --- SpikingJelly ----------------------------------------------------------------------------------------------------


def kept(module: Any, x: torch.Tensor, out: Any) -> Any:
    """Leave the state in the module."""
    return module(x)


def jelly_module(kind: str, hard: float | None, decays: bool, n: Numbers) -> nn.Module:
    """Return a node of SpikingJelly."""
    from spikingjelly.activation_based import neuron

    given: dict[str, Any] = {"v_reset": hard, "v_threshold": float(n.threshold[0])}
    if kind == "IFNode":
        return Alone(neuron.IFNode(**given), kept)
    tau = 2.0 if n.dyadic else 3.3
    name = "tau" if kind == "LIFNode" else "init_tau"
    return Alone(getattr(neuron, kind)(**{name: tau}, decay_input=decays, **given).double(), kept)


def jelly_cases() -> Iterator[Case]:
    """Yield the nodes of SpikingJelly 2, which reset at once."""
    for hard, reset in ((0.0, "to 0"), (0.125, "to 1/8"), (None, "subtract")):
        yield Case("SpikingJelly", "IFNode", reset, "at once", partial(jelly_module, "IFNode", hard, False))
        for kind in ("LIFNode", "ParametricLIFNode"):
            for decays, said, drive in ((True, "decay_input", LOUD), (False, "no decay_input", DRIVE)):
                make = partial(jelly_module, kind, hard, decays)
                yield Case("SpikingJelly", kind, f"{reset}, {said}", "at once", make, drive)


CASES = {case.name: case for cases in (snntorch_cases, norse_cases, jelly_cases) for case in cases()}
