# SPDX-License-Identifier: Apache-2.0
"""The cortical microcircuit of Potjans and Diesmann (Cerebral Cortex 24, 2014) in integers: 77,169 neurons, 299 million
synapses below a square millimetre of cortex, in steps of 0.1 ms.

python examples/microcircuit.py --scale 0.1 --seconds 10    runs a tenth of it, and prints rates beside published ones
python examples/microcircuit.py --scale 0.1 -o tenth.snn    writes it as a file, which holds the rules alone

Numbers of neurons and synapses are multiplied by the scale, so each neuron keeps its number of synapses and its mean
input; what is shared among neurons grows, and with it correlations. Rates are those published at scale 1, and roughly
so below. Membranes begin as the model's authors say (optimised), every random number follows from the seed.

Weights are in units of 87.81 pA / 20, membranes in 15 mV / 606,251 above the resting potential, decays have 16 bits.
NEST lets a current act on the membrane one step after it has arrived, LIF at once: so delays have one step more here.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import spikerun as sr
from spikerun.draws import normal
from spikerun.kernels.philox import INITIAL, looked_up, philox

# Parameters and published rates: INM-6/microcircuit-PD14-model, commit fd40046.
NAMES = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
NEURONS = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
EXTERNAL = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)  # synapses from outside, at 8 Hz each
MEAN_V = (-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43)  # mV, at the beginning
SD_V = (5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48)
RATES = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)  # Hz
CONNECTED = (  # probability that two neurons are connected: to each population (rows) from each
    (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0, 0.0076, 0),
    (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0, 0.0042, 0),
    (0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0),
    (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0, 0.1057, 0),
    (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0),
    (0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0),
    (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
    (0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443),
)
STEP_MS, TAU_M_MS, TAU_S_MS, RESISTANCE = 0.1, 10.0, 0.5, 0.04  # of the membrane, GOhm = mV / pA
REST_MV, THRESHOLD_MV, PSP_MV = -65.0, -50.0, 0.15
WEIGHT, FRACTION_BITS, REFRACTORY = 20, 6, 20  # of a synapse with that PSP; steps
EXTERNAL_HZ, EXTERNAL_DELAY = 8.0, 15
LATEST = 62  # steps: the largest delay


def build(scale: float = 1.0, seed: int = 1) -> sr.Network:
    """Return the microcircuit, its numbers of neurons and synapses multiplied by `scale`. seed: 0..2^55 - 1."""
    populations: dict[str, sr.Population] = {}
    projections: list[sr.Projection] = []
    sizes = [max(1, round(scale * n)) for n in NEURONS]
    for k, (name, size) in enumerate(zip(NAMES, sizes, strict=True)):
        rate = EXTERNAL[k] * EXTERNAL_HZ * STEP_MS / 1000
        populations[f"{name}.outside"] = sr.Population((size,), sr.Poisson.of(rate, 128 * seed + k))
        populations[name] = sr.Population((size,), _neuron(k, size, 128 * seed + k))
        outside = sr.Diagonal(np.array(WEIGHT, np.int32))
        projections.append(sr.Projection(f"{name}.outside", name, outside, EXTERNAL_DELAY + 1))
    for target, row in enumerate(CONNECTED):
        for source, probability in enumerate(row):
            if count := round(scale * synapses(NEURONS[source], NEURONS[target], probability)):
                ends, own = (sizes[source], sizes[target]), 128 * seed + 8 + 8 * target + source
                rule = sr.Random(*ends, count, own, *_weights(source, target), *_delays(source))
                projections.append(sr.Projection(NAMES[source], NAMES[target], rule))
    return sr.Network(populations, projections, NAMES, window=1)


def synapses(sources: int, targets: int, probability: float) -> int:
    """Return how many synapses, drawn with replacement, connect two neurons with this probability."""
    return round(math.log(1 - probability) / math.log(1 - 1 / (sources * targets)))


def unit_mv() -> float:
    """Return the millivolts that a membrane of 2^FRACTION_BITS stands for: a step of a current of weight 1."""
    ratio, rest = TAU_M_MS / TAU_S_MS, TAU_M_MS - TAU_S_MS
    peak = ratio ** (-TAU_M_MS / rest) - ratio ** (-TAU_S_MS / rest)
    current = PSP_MV / (-RESISTANCE * TAU_S_MS / rest * peak)  # 87.81 pA
    kept = math.exp(-STEP_MS / TAU_M_MS) - math.exp(-STEP_MS / TAU_S_MS)
    return float(kept / (1 / TAU_S_MS - 1 / TAU_M_MS) * RESISTANCE / TAU_M_MS * current / WEIGHT)


def _neuron(k: int, size: int, seed: int) -> sr.LIF:
    per_mv = 2**FRACTION_BITS / unit_mv()
    values, thresholds = normal(100 * (MEAN_V[k] - REST_MV), 100 * SD_V[k], -5000, 5000)  # hundredths of a mV
    drawn = values[looked_up(thresholds, philox(seed, np.arange(size), 0, 0, INITIAL)[0])]
    return sr.LIF(
        threshold=np.array(round((THRESHOLD_MV - REST_MV) * per_mv), np.int32),
        keep_v=np.array(round(2**16 * math.exp(-STEP_MS / TAU_M_MS)), np.int32),
        keep_u=np.array(round(2**16 * math.exp(-STEP_MS / TAU_S_MS)), np.int32),
        v_init=np.rint(drawn / 100 * per_mv).astype(np.int32),
        fraction_bits=FRACTION_BITS,
        refractory=REFRACTORY,
        inclusive=True,
    )


def _weights(source: int, target: int) -> tuple[Any, Any]:
    """Return the weights of a projection, and the thresholds that draw them: a tenth of the mean is their sd."""
    mean = 2 * WEIGHT if (NAMES[source], NAMES[target]) == ("L4E", "L23E") else WEIGHT
    values, thresholds = normal(mean, mean / 10, 0, 127)
    if NAMES[source].endswith("E"):
        return values.astype(np.int8), thresholds
    values, thresholds = normal(-4 * WEIGHT, 4 * WEIGHT / 10, -128, 0)
    return values.astype(np.int8), thresholds


def _delays(source: int) -> tuple[Any, Any]:
    mean = 15 if NAMES[source].endswith("E") else 7.5
    values, thresholds = normal(mean, mean / 2, 1, LATEST)
    return (values + 1).astype(np.uint8), thresholds


def statistics(spikes: npt.NDArray[Any], size: int, seconds: float, bin_steps: int = 20) -> tuple[float, float, float]:
    """Return rate (Hz), mean CV of intervals (neurons of 3 spikes and more), mean correlation (250 neurons, 2 ms)."""
    order = np.lexsort((spikes["step"], spikes["index"]))
    index, step = spikes["index"][order], spikes["step"][order]
    cvs = []
    for own in np.split(step, np.flatnonzero(np.diff(index)) + 1):
        if len(own) >= 3:
            intervals = np.diff(own)
            cvs.append(intervals.std() / intervals.mean())
    counts = np.zeros((min(size, 250), int(seconds * 10_000) // bin_steps + 1))
    some = index < len(counts)
    first = int(step.min()) if len(step) else 0
    np.add.at(counts, (index[some], (step[some] - first) // bin_steps), 1)
    active = counts[counts.std(axis=1) > 0]
    pairs = np.corrcoef(active)[np.triu_indices(len(active), 1)] if len(active) > 1 else np.zeros(1)
    return len(step) / size / seconds, float(np.mean(cvs)) if cvs else math.nan, float(pairs.mean())


def _between(low: float, high: float) -> Callable[[str], float]:
    """Return what reads a number low..high, for argparse."""

    def number(text: str) -> float:
        found = float(text)
        if not low <= found <= high:
            raise argparse.ArgumentTypeError(f"must be {low:g}..{high:g}, got {text}")
        return found

    return number


def main() -> None:
    """Build, run, and print."""
    parser = argparse.ArgumentParser(description="The cortical microcircuit of Potjans and Diesmann, in integers.")
    parser.add_argument(
        "--scale", type=_between(1e-5, 1), default=0.1, help="of the numbers of neurons and synapses (0.1)"
    )
    parser.add_argument(
        "--seconds", type=_between(0.001, 1e6), default=10.0, help="of biological time that are looked at (10)"
    )
    parser.add_argument("--warm", type=_between(0, 1e6), default=0.5, help="seconds before these (0.5)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path, help="write the network, and run nothing")
    given = parser.parse_args()
    try:
        run(given)
    except sr.SpikerunError as error:
        parser.error(str(error))


def run(given: argparse.Namespace) -> None:
    """Do what is asked for."""
    net = build(given.scale, given.seed)
    if given.output:
        print(sr.save(net, given.output))
        return
    total = sum(p.connection.synapses for p in net.projections if isinstance(p.connection, sr.Random))
    neurons = sum(net.populations[name].size for name in NAMES)
    print(f"{neurons:,} neurons, {total:,} synapses: about {total * 6 / 1e6:,.0f} MB, once more while they are drawn")
    begin = time.perf_counter()
    stream = sr.Session(net, device=given.device).stream(step_us=1000 * STEP_MS)
    print(f"ready after {time.perf_counter() - begin:.1f} s")
    stream.advance(round(10_000 * given.warm))
    begin = time.perf_counter()
    sent = stream.advance(round(10_000 * given.seconds))
    took = time.perf_counter() - begin
    print(f"{given.seconds:g} s of the network in {took:.1f} s: real-time factor {took / given.seconds:.3f}\n")
    print(f"{'':6}{'neurons':>8}{'rate Hz':>9}{'published':>10}{'CV':>7}{'correlation':>13}")
    for name, published in zip(NAMES, RATES, strict=True):
        size = net.populations[name].size
        rate, cv, correlation = statistics(sent.spikes[name], size, given.seconds)
        print(f"{name:6}{size:8,}{rate:9.3f}{published:10.3f}{cv:7.3f}{correlation:13.4f}")


if __name__ == "__main__":
    main()
