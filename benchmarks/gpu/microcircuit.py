# SPDX-License-Identifier: Apache-2.0
"""The cortical microcircuit at full scale on a GPU: real-time factor, statistics, energy; and bits beside the CPU.

    python benchmarks/gpu/microcircuit.py [PART ...]

Parts, all by default:

equal       scales 0.01 and 0.1: all spikes of 10,000 steps, and the state after them, are those of the CPU.
speed       scale 1, no spike returned: the real-time factor, by CUDA events, the median of 7 runs of 4 s of the network
            after 0.5 s, with noise from outside and with its mean as a current (DC); the energy of 40 s by NVML, of a
            synaptic event. How long it takes until the network is ready, and the memory that its synapses take.
statistics  scale 1, all spikes returned: 60 s after 0.5 s: rates, CV of intervals and correlations beside those
            published; the real-time factor by the wall, spikes to the computer included; the same spikes once more.

Published: rates of INM-6/microcircuit-PD14-model (one run of NEST), CV of Romaro et al. (2021), table A.3.
"""

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))  # its module has the name of this one

import microcircuit as pd14
import numpy as np
import torch
from clock import card, record

import spikerun as sr
from spikerun.stream import Stream

NAME = "microcircuit"
STEPS = 10_000  # of a second
CV = (0.936, 0.916, 0.890, 0.875, 0.847, 0.809, 0.926, 0.822)
WARM = 5_000
RUNS, SECONDS = 7, 4.0
STATISTICS, ENERGY, REPEATED = 60.0, 40.0, 2.0


def opened(net: sr.Network, device: str) -> Stream:
    """Return a stream of steps of 0.1 ms."""
    return sr.Session(net, device=device).stream(step_us=1000 * pd14.STEP_MS)


def equal() -> None:
    """Compare with the CPU; raises SystemExit where a bit differs."""
    for scale in (0.01, 0.1):
        net = pd14.build(scale)
        here, there = opened(net, "cpu"), opened(net, "cuda")
        sent, expected = there.advance(STEPS), here.advance(STEPS)
        total = sum(len(expected.spikes[name]) for name in pd14.NAMES)
        for name in pd14.NAMES:
            if not np.array_equal(sent.spikes[name], expected.spikes[name]):
                raise SystemExit(f"scale {scale}: spikes of {name} differ from those of the CPU")
        state, truth = there.snapshot(), here.snapshot()
        if differ := [key for key in truth if not np.array_equal(state[key], truth[key])]:
            raise SystemExit(f"scale {scale}: the state differs from that of the CPU: {', '.join(differ)}")
        record(NAME, f"scale {scale}, spikes of 10,000 steps equal to the CPU", total, "spikes")


def with_mean_current(net: sr.Network) -> sr.Network:
    """Return the network with the mean of the noise instead: a bias of the synaptic current."""
    populations: dict[str, sr.Population] = {}
    for k, name in enumerate(pd14.NAMES):
        events = pd14.EXTERNAL[k] * pd14.EXTERNAL_HZ * pd14.STEP_MS / 1000
        bias = np.int32(round(events * pd14.WEIGHT * 2**pd14.FRACTION_BITS))
        old = net.populations[name]
        populations[name] = replace(old, neuron=replace(old.neuron, bias_u=bias))  # type: ignore[type-var]
    projections = [p for p in net.projections if p.source in populations]
    populations["silence"] = sr.Population((1,), sr.Poisson.of(0.0, 0))  # a network has something that sends by itself
    late: Any = {"delays": np.array([2, 3], np.uint8), "delay_thresholds": np.array([2**31], np.uint32)}
    nothing = sr.Random(1, populations["L5I"].size, 1, 0, np.zeros(1, np.int8), **late)
    projections.append(sr.Projection("silence", "L5I", nothing))
    return sr.Network(populations, projections, pd14.NAMES, window=1)


def speed() -> None:
    """Time the kernel alone."""
    net = pd14.build()
    work = timed(net, "noise")
    energy(work)
    del work
    timed(with_mean_current(net), "DC")


def timed(net: sr.Network, drive: str) -> Any:
    """Record the real-time factor; return the workspace."""
    begin = time.perf_counter()
    executor: Any = sr.Session(net, device="cuda")._endless
    made = time.perf_counter()
    synapses = executor.synapses
    torch.cuda.synchronize()
    record(NAME, f"{drive}, plan and compilation on the computer", made - begin, "s")
    record(NAME, f"{drive}, {synapses.synapses:,} synapses made on the GPU", time.perf_counter() - made, "s")
    record(NAME, f"{drive}, memory of the synapses", synapses.bytes / 1e9, "GB")
    work = executor.workspace()
    work.step(WARM)
    before, factors = events_of(work), []
    for _ in range(RUNS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work.step(round(SECONDS * STEPS))
        end.record()
        end.synchronize()
        factors.append(start.elapsed_time(end) / 1e3 / SECONDS)
    events = (events_of(work) - before) / RUNS / SECONDS
    record(NAME, f"{drive}, real-time factor", statistics.median(factors), "s/s")
    record(NAME, f"{drive}, real-time factor, slowest of {RUNS}", max(factors), "s/s")
    record(NAME, f"{drive}, a step", statistics.median(factors) * 1e6 / STEPS, "us")
    record(NAME, f"{drive}, synaptic events of a second of the network", events, "")
    return work


def events_of(work: Any) -> float:
    """Return the synaptic events so far, those from outside left out."""
    counted = zip(work._executor.program.counters, work.counters[:, 1], strict=True)
    return float(sum(events for name, events in counted if name in pd14.NAMES))


def energy(work: Any) -> None:
    """Record what the card takes, where NVML tells."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        begin = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception as error:  # whatever it lacks: the module, the library, the right to ask
        print(f"no energy: NVML does not tell it ({error})", file=sys.stderr)
        return
    before = events_of(work)
    work.step(round(ENERGY * STEPS))
    torch.cuda.synchronize()
    joules = (pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) - begin) / 1e3
    record(NAME, "noise, energy of a second of the network", joules / ENERGY, "J")
    record(NAME, "noise, energy of a synaptic event", joules / (events_of(work) - before) * 1e6, "uJ")


def distributions() -> None:
    """Record what the spikes are like."""
    net = pd14.build()
    session = sr.Session(net, device="cuda")
    stream = session.stream(step_us=1000 * pd14.STEP_MS)
    stream.advance(WARM)
    begin = time.perf_counter()
    sent = stream.advance(round(STATISTICS * STEPS))
    record(
        NAME, "noise, real-time factor, all spikes to the computer", (time.perf_counter() - begin) / STATISTICS, "s/s"
    )
    for k, name in enumerate(pd14.NAMES):
        rate, cv, correlation = pd14.statistics(sent.spikes[name], net.populations[name].size, STATISTICS)
        record(NAME, f"{name}: rate (published {pd14.RATES[k]})", rate, "Hz")
        record(NAME, f"{name}: CV of intervals (published {CV[k]})", cv, "")
        record(NAME, f"{name}: correlation in bins of 2 ms, 250 neurons", correlation, "")
    first, again = (session.stream(step_us=1000 * pd14.STEP_MS).advance(round(REPEATED * STEPS)) for _ in range(2))
    if any(not np.array_equal(first.spikes[name], again.spikes[name]) for name in pd14.NAMES):
        raise SystemExit("two runs differ")
    total = sum(len(first.spikes[name]) for name in pd14.NAMES)
    record(NAME, f"noise, spikes of {REPEATED:g} s, the same in two runs", total, "spikes")


def main() -> None:
    """Run the parts."""
    parts = {"equal": equal, "speed": speed, "statistics": distributions}
    parser = argparse.ArgumentParser(description="The cortical microcircuit on a GPU.")
    parser.add_argument("part", nargs="*", help=f"of {', '.join(parts)}; all by default")
    chosen = parser.parse_args().part or list(parts)
    if unknown := [name for name in chosen if name not in parts]:
        parser.error(f"no part is called {unknown[0]}: there are {', '.join(parts)}")
    print(card())
    for name in chosen:
        parts[name]()


if __name__ == "__main__":
    main()
