# SPDX-License-Identifier: Apache-2.0
"""The neurons of NIR, which are differential equations, as cells that are updated once a step.

`tau v' = v_leak - v + r I`, `tau_syn I' = -I + w_in x`, `v' = r I` (IF); a spike where v > v_threshold, then
v = v_reset. A file tells neither the step nor how it is taken, and some writers leave out or add a factor; `Reading`
says who is believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikerun.converters.graph import Array, Shape
from spikerun.converters.nir.file import Item, Raw
from spikerun.converters.spiking.cell import RESETS, Cell
from spikerun.errors import UsageError, printable, unknown_name

__all__ = ["NEURONS", "WRITERS", "Reading", "cell", "fit", "lifted", "reading", "told"]

WRITERS = ("euler", "snntorch", "norse", "spikingjelly", "sinabs")
NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")
TAUS = ("tau", "tau_mem", "tau_syn")
HIDDEN_DT = 1e-4  # the step that snnTorch and SpikingJelly write their files for
ZERO, ONE = np.zeros(()), np.ones(())
NEAR = 1e-4  # by how much numbers of a file may be off


@dataclass(frozen=True)
class Reading:
    """How the neurons of a file are read: the step in seconds (0: none is needed), who wrote it, and their reset.

    floor: whether they have the floor of their writer's simulator.
    """

    dt: float
    writer: str
    reset: str
    assumed: tuple[str, ...] = ()
    floor: bool = True


def reading(raw: Raw, dt: float | None, writer: str | None, reset: str | None) -> Reading:
    """Return how a file is read, from what is asked for and what its numbers give away.

    Raises UsageError that names the option to give, where that is not clear.
    """
    if writer is not None and writer not in WRITERS:
        raise unknown_name("writer of NIR files", writer, WRITERS)
    if reset is not None and reset not in RESETS:
        raise unknown_name("reset", reset, RESETS)
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise UsageError(f"the time step must be positive and finite, got {dt}: --dt 1ms")
    timed = [item for item in raw.items.values() if item.type in (*NEURONS, "Delay")]
    if not timed:
        return Reading(0, writer or "euler", reset or "value")
    if writer == "sinabs":
        said = "sinabs counts time in steps: taus and delays are numbers of steps, --dt means nothing"
        return Reading(1, writer, reset or "subtract", (said,))
    if writer is None:
        _refuse_two_readings(raw, timed, dt)
    step, assumed = _step(raw, timed, dt, writer)
    return Reading(step, writer or "euler", reset or "value", (f"a time step is {step:g} s", *assumed))


def _refuse_two_readings(raw: Raw, timed: list[Item], dt: float | None) -> None:
    """Refuse numbers that mean another thing by the equations of NIR than to the one who likely wrote them."""
    for item in timed:
        if item.type == "IF" and (item.array("r") == 1).all() and dt != 1:
            raise _unclear(
                raw,
                f"node '{item.name}': r = 1 makes an input add one dt to the membrane by the equations of NIR "
                "(--nir-writer euler), and 1 where sinabs (--nir-writer sinabs) or Norse (--nir-writer norse) wrote it",
            )
        taus = [key for key in TAUS if key in item.values and (item.array(key) >= 1).any()]
        if taus and dt != 1 and not all(np.isinf(item.array(key)).any() for key in taus):
            raise _unclear(
                raw,
                f"node '{item.name}': {taus[0]} is {item.array(taus[0]).max():g}, which are seconds in NIR "
                "(--nir-writer euler), and steps where sinabs wrote it (--nir-writer sinabs)",
            )


def _step(raw: Raw, timed: list[Item], dt: float | None, writer: str | None) -> tuple[float, tuple[str, ...]]:
    """Return the time step, and what is said of it."""
    hidden = None if writer in ("euler", "norse") else _hidden(timed)
    if dt is None and hidden is None:
        raise _unclear(raw, f"node '{timed[0].name}': a NIR file does not say how long a time step is: --dt 1ms")
    if hidden is None or (dt is not None and writer is None and hidden != HIDDEN_DT):
        assert dt is not None
        return dt, ()
    said = f"r is tau / {hidden:g} s throughout, as snnTorch and SpikingJelly write for that time step"
    if dt is not None and abs(dt - hidden) > NEAR * hidden:
        raise _unclear(
            raw,
            f"{said}, and {dt:g} s is asked for: leave --dt out, or take the equations at their word with "
            "--nir-writer euler",
        )
    return hidden, (said,)


def _hidden(timed: list[Item]) -> float | None:
    """Return the time step for which every neuron has r = tau / dt (IF: 1 / dt) and w_in = tau_syn / dt, if any."""
    shares = []
    for item in timed:
        if item.type in ("Delay", "I"):
            continue
        given = item.values
        pairs = [("tau", "r"), ("tau_mem", "r"), ("tau_syn", "w_in")] if item.type != "IF" else [("", "r")]
        for tau, gain in pairs:
            if (tau in given or not tau) and gain in given:
                times = np.asarray(item.array(tau) if tau else 1, np.float64)
                if times.shape not in ((), item.array(gain).shape):
                    return None
                with np.errstate(invalid="ignore", divide="ignore"):
                    share = np.ravel(times / item.array(gain))
                shares.append(share[~np.isnan(share)])  # a neuron without leak has both infinite
                if (item.array(gain) <= 0).any():
                    return None
    found = np.concatenate(shares) if shares else np.zeros(0)
    gains = [item.array("r") for item in timed if "r" in item.values]
    if not found.size or not found[0] > 0 or all((gain == 1).all() for gain in gains):
        return None
    step = float(f"{found[0]:.2g}")
    return step if (np.abs(found - step) <= NEAR * step).all() else None


def _unclear(raw: Raw, message: str) -> UsageError:
    return UsageError(printable(f"'{raw.source}': {message}"))


# --- cells -----------------------------------------------------------------------------------------------------------


def lifted(shape: Shape) -> Shape:
    """Return a shape of NIR as the graph has it: (C, L) is (C, 1, L)."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def fit(key: str, value: Array, shape: Shape) -> Array:
    """Return a parameter as float64 of shape (), (C,) or the (lifted) population's, for neurons of a shape in NIR."""
    value = np.asarray(value, np.float64)
    if (value == value.flat[0]).all() and value.shape in ((), (1,), shape, (shape[0],) + (1,) * (len(shape) - 1)):
        return np.asarray(value.flat[0], np.float64)
    if value.shape == shape:
        return value.reshape(lifted(shape))
    if len(shape) > 1 and value.shape == (shape[0],) + (1,) * (len(shape) - 1):
        return value.reshape(-1)
    raise ValueError(f"{key} has shape {value.shape}, and the neurons have {shape}")


def cell(item: Item, shape: Shape, how: Reading) -> Cell:
    """Return a neuron of NIR, or a Threshold, for inputs of a shape."""
    values = {key: fit(key, item.array(key), shape) for key in item.values}
    for key, value in values.items():
        if np.isinf(value).any() and key not in (*TAUS, "r", "w_in"):
            raise ValueError(f"{key} is infinite")
    if item.type == "Threshold":
        return Cell.of(item.name, reset="none", keep_v=0.0, threshold=values["threshold"])
    keep, gain = _decay(values, how)
    given: dict[str, Any] = {"keep_v": keep, "gain": gain}
    if "tau_syn" in values:
        keep_u, gain_u = _synapse(values, how)
        given |= {"keep_u": keep_u, "gain": gain * gain_u}
    leak = values.get("v_leak", ZERO)
    # Norse begins at the potential to which the membrane leaks, all others at 0
    given |= {"offset": leak, "v_init": 0.0 * leak if how.writer == "norse" else -leak}
    if "v_threshold" not in values:
        return Cell.of(item.name, reset="none", **given)
    if how.reset in ("subtract", "subtract_after_leak") and np.any(leak != 0):
        raise ValueError("v_leak is not 0, and a reset by subtraction is asked for, which is not defined then")
    given |= {"threshold": values["v_threshold"] - leak, "v_reset": values.get("v_reset", ZERO) - leak}
    if how.writer == "sinabs" and item.type == "IF" and how.floor:
        given["v_min"] = -values["v_threshold"]
    return Cell.of(item.name, reset=how.reset, inclusive=how.writer in ("spikingjelly", "sinabs"), **given)


def _decay(values: Mapping[str, Array], how: Reading) -> tuple[Array, Array]:
    """Return the share of the membrane that a step keeps, and by what it takes the current."""
    tau = values.get("tau", values.get("tau_mem"))
    if tau is None:
        return ONE, values["r"] * (how.dt if how.writer not in ("norse", "sinabs") else 1)
    return _leak("tau", tau, values["r"], how)


def _synapse(values: Mapping[str, Array], how: Reading) -> tuple[Array, Array]:
    """Return the share of the synaptic current that a step keeps, and by what it takes the input."""
    w_in = values.get("w_in", ONE)
    if how.writer == "sinabs":
        raise ValueError("sinabs writes no neurons with a synaptic current: --nir-writer says that it did")
    keep, gain = _leak("tau_syn", values["tau_syn"], w_in, how)
    return keep, (w_in if how.writer == "norse" else gain)  # Norse adds the input as it is, and writes no w_in


def _leak(key: str, tau: Array, factor: Array, how: Reading) -> tuple[Array, Array]:
    """Return 1 - dt / tau and factor dt / tau, or what the writer makes of tau."""
    if (tau <= 0).any():
        raise ValueError(f"{key} must be positive, got {tau.min():g}")
    endless = np.isinf(tau)
    if (endless != np.isinf(factor)).any():
        raise ValueError(f"{key} or its factor (r or w_in) is infinite; both are, where a neuron does not leak")
    if how.writer == "sinabs":
        keep = np.exp(-1 / tau)
        return keep, np.where(endless, 1, factor * (1 - keep))
    if how.writer == "norse":
        tau = tau / how.dt  # Norse 1.1 writes dt / tau_inv, which is tau dt
    share = how.dt / tau
    if (share > 1 + NEAR).any():
        raise ValueError(
            f"{key} = {tau.min():g} s is less than the time step of {how.dt:g} s: a smaller --dt, or, where Norse 1.1 "
            "wrote the file (whose taus are too small by a factor dt), --nir-writer norse"
        )
    share = np.minimum(share, 1)
    with np.errstate(invalid="ignore"):
        return 1 - share, np.where(endless, 1, factor * share)


def told(item: Item, how: Reading) -> list[str]:
    """Return what is assumed of a neuron that its file does not say."""
    said = []
    firing = "v_threshold" in item.values
    reset = np.asarray(item.values.get("v_reset", 0.0))
    if how.writer == "sinabs":
        if firing:
            said.append("neurons of sinabs may send several spikes in a step; here they send one, where v >= threshold")
        if item.type == "IF":
            floor = "neurons of sinabs without leak have a floor of minus their threshold"
            said.append(floor if how.floor else f"{floor}, which is left out here")
        if "tau" in item.values:
            said.append("neurons of sinabs take their input times 1 - exp(-1/tau) (norm_input=True, its default)")
    elif firing and how.reset == "value" and (reset == 0).all() and how.writer in ("euler", "snntorch"):
        said.append(
            "a spike resets the membrane to 0, as the file says; snnTorch writes that whatever its neurons do: "
            "--nir-reset subtract or subtract_after_leak"
        )
    if how.writer == "spikingjelly" and firing:
        said.append("neurons of SpikingJelly fire where v >= threshold")
    leak = np.asarray(item.values.get("v_leak", 0.0))
    if (leak != 0).any():
        said.append(f"membranes start at {'v_leak' if how.writer == 'norse' else '0'}, where v_leak is not 0")
    return said
