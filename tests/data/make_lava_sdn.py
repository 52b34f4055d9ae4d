# SPDX-License-Identifier: Apache-2.0
"""Record lava_sdn.npz from lava-nc 0.10.0, in an environment that has it (README.md): python make_lava_sdn.py FILE."""

import sys
from typing import Any

import numpy as np

from make_lava_lif import NEURONS, STEPS, Sink, Source  # type: ignore[import-not-found]  # isort: skip  # first: the hook

from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.monitor.process import Monitor
from lava.proc.sdn.process import ActivationMode, Sigma, SigmaDelta

# vth, largest bias, activation, spike_exp, state_exp, largest current, how many of the steps bring some
CASES = [
    (0, 0, "RELU", 0, 5, 400, 1.0),
    (0, 0, "RELU", 0, 9, 60000, 0.6),
    (1, 9, "RELU", 0, 3, 40, 0.6),
    (3, 20, "UNIT", 0, 2, 60, 0.6),
    (2, 3, "RELU", 2, 4, 900, 0.3),
    (0, 30000, "UNIT", 0, 0, 0, 0.0),
]
STATES = ("sigma", "act", "residue")


def record(process: Any, current: Any, states: tuple[str, ...]) -> dict[str, Any]:
    """Return what is sent, and the states, after every step."""
    source, sink = Source(data=current.T.astype(np.int32).copy()), Sink(shape=(NEURONS,), buffer=STEPS)
    probes = {name: Monitor() for name in states}
    for name, probe in probes.items():
        probe.probe(getattr(process, name), STEPS)
    source.s_out.connect(process.a_in)
    process.s_out.connect(sink.a_in)
    process.run(condition=RunSteps(num_steps=STEPS), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    found = {name: next(iter(next(iter(p.get_data().values())).values())) for name, p in probes.items()}
    found["sent"] = sink.data.get().T
    process.stop()
    return found


def main(path: str) -> None:
    """Record all cases."""
    rng, arrays, names = np.random.default_rng(2026), {}, []
    for k, (vth, largest, mode, spike_exp, state_exp, most, share) in enumerate(CASES):
        bias, act = rng.integers(-largest, largest + 1, NEURONS), ActivationMode[mode]
        current = rng.integers(-most, most + 1, (STEPS, NEURONS)) * (rng.random((STEPS, NEURONS)) < share)
        exponents = {"spike_exp": spike_exp, "state_exp": state_exp}
        process = SigmaDelta(shape=(NEURONS,), vth=vth, bias=bias, act_mode=act, **exponents)
        found = record(process, current, STATES)
        parameters = (vth, int(act), spike_exp, state_exp)
        names.append(f"SigmaDelta vth={vth} {mode} spike_exp={spike_exp} state_exp={state_exp}")
        for key, value in {"parameters": parameters, "bias": bias, "current": current, **found}.items():
            arrays[f"{k}_{key}"] = np.asarray(value).astype(np.int32)
    current = rng.integers(-900, 901, (STEPS, NEURONS))
    arrays |= {"sigma_current": current.astype(np.int32)}
    arrays["sigma_sent"] = record(Sigma(shape=(NEURONS,)), current, ())["sent"].astype(np.int32)
    np.savez_compressed(path, names=np.array(names), **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
