# SPDX-License-Identifier: Apache-2.0
"""Record lava_lif.npz from lava-nc 0.10.0, in an environment that has it (README.md): python make_lava_lif.py FILE."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STEPS, NEURONS = 60, 12
UNALIGNED = ("fixed_pt", 1)  # tag of the models, and what one unit of their u and v is of ours
FLOAT = ("floating_pt", 64)


sys.path.insert(0, str(Path(__file__).parents[2] / "edge/loihi/runner"))

import lavacompat  # type: ignore[import-not-found]  # noqa: E402

lavacompat.install()

from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402
from lava.proc.lif.process import LIF, LIFRefractory, LIFReset  # noqa: E402
from lava.proc.monitor.process import Monitor  # noqa: E402

# threshold, du, dv, largest bias mantissa, bias exponent, largest current
PLAIN = [
    (30, 4095, 0, 60, 6, 40),
    (30, 0, 0, 60, 0, 9),
    (100, 400, 128, 4095, 0, 60),
    (1000, 2048, 4095, 4095, 3, 2000),
    (3, -1, 4000, 200, -2, 6),
    (131071, 0, 0, 4095, 7, 16384),
    (131071, 100, 10, 4095, 7, 32767),
    (0, 1, 1, 3, 0, 2),
    (0, 4095, 0, 1, 0, 2),
]


def record(lif: Any, current: Any, tag: str) -> tuple[Any, Any, Any]:
    """Return spikes, u and v after every step."""
    source, sink = Source(data=current.T.copy()), Sink(shape=(NEURONS,), buffer=STEPS)
    probes = Monitor(), Monitor()
    for probe, variable in zip(probes, (lif.u, lif.v), strict=True):
        probe.probe(variable, STEPS)
    source.s_out.connect(lif.a_in)
    lif.s_out.connect(sink.a_in)
    lif.run(condition=RunSteps(num_steps=STEPS), run_cfg=Loihi2SimCfg(select_tag=tag))
    spikes = sink.data.get().T.astype(np.uint8)
    u, v = (next(iter(next(iter(probe.get_data().values())).values())) for probe in probes)
    lif.stop()
    return spikes, np.asarray(u), np.asarray(v)


def cases(rng: Any) -> Any:
    """Yield name, a function that makes the process, current, bias, our parameters, and the kind of model."""
    for threshold, du, dv, largest, exponent, c in PLAIN:
        current = rng.integers(-c, c + 1, (STEPS, NEURONS)) * (rng.random((STEPS, NEURONS)) < 0.6)
        if threshold == 131071:  # drive the registers to their ends
            current = np.abs(current) * np.where(np.arange(NEURONS) % 2, 1, -1)
        bias = rng.integers(-largest, largest + 1, NEURONS)
        process = {"du": du, "dv": dv, "vth": threshold, "bias_mant": bias, "bias_exp": exponent}
        shifted = bias << exponent if exponent >= 0 else bias >> -exponent
        name = f"LIF vth={threshold} du={du} dv={dv} bias_exp={exponent}"
        yield name, maker(LIF, process), current, shifted, (threshold, du + 1, dv, 0, 0, 0), UNALIGNED
    for interval, offset in ((5, 2), (7, 0), (4, 9)):
        current, bias = rng.integers(-20, 40, (STEPS, NEURONS)), rng.integers(-50, 50, NEURONS)
        process = {"du": 300, "dv": 200, "vth": 60, "bias_mant": bias, "bias_exp": 3}
        process |= {"reset_interval": interval, "reset_offset": offset}
        name = f"LIFReset interval={interval} offset={offset}"
        yield name, maker(LIFReset, process), current, bias << 3, (60, 301, 200, 0, interval, offset), UNALIGNED
    for du, period in ((1, 1), (1, 3), (0, 2)):
        current, bias = rng.integers(-6, 12 if du else 7, (STEPS, NEURONS)), rng.integers(-3, 4, NEURONS)
        process = {"du": float(du), "dv": 0.0, "vth": 20.0, "bias_mant": bias.astype(float)}
        process |= {"bias_exp": np.zeros(NEURONS), "refractory_period": period}
        name = f"LIFRefractory du={du} period={period}"
        yield name, maker(LIFRefractory, process), current, bias * 64, (20, du * 4096, 0, period, 0, 0), FLOAT


def maker(kind: Any, parameters: dict[str, Any]) -> Callable[[], Any]:
    """Return a function that makes the process; Lava wants it made where it is run."""
    return lambda: kind(shape=(NEURONS,), **parameters)


def main(path: str) -> None:
    """Record all cases."""
    arrays: dict[str, Any] = {}
    names = []
    for k, (name, make, current, bias, parameters, (tag, unit)) in enumerate(cases(np.random.default_rng(2026))):
        spikes, u, v = record(make(), current.astype(np.int32 if unit == 1 else float), tag)
        names.append(name)
        values = {"parameters": parameters, "bias": bias, "current": current, "u": u * unit, "v": v * unit}
        arrays |= {f"{k}_{key}": np.asarray(value).astype(np.int32) for key, value in values.items()}
        arrays[f"{k}_spikes"] = spikes
    np.savez_compressed(path, names=np.array(names), **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
