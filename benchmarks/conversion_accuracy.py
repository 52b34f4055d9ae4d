# SPDX-License-Identifier: Apache-2.0
"""What conversion costs: trained networks of `zoo/`, and of others, beside their ANN on the same samples, for some T.

    python benchmarks/conversion_accuracy.py [--network NAME]... [--bits T]... [--record] [--layers]

No training, no test sample chooses anything. Where there are no labels, the ANN's own classes take their place.
Networks of others need what `zoo/foreign.py` says; a network whose data lack, or that is not converted, says so and is
left out.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

from record import record
from zoo.cases import CASES
from zoo.foreign import Case

from spikerun.converters.evaluate import ann_logits
from spikerun.converters.pipeline import INPUT, Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.report import Report
from spikerun.converters.torch.source import TorchSource
from spikerun.errors import SpikerunError

NAME = "conversion_accuracy"
BITS = (3, 4, 5, 6, 8)
HEADER = ("network", "n", "ANN %", "T", "SNN %", "points lost", "net errors more", "same class %", "synops per MAC",
          "spikes per neuron", "seconds")  # fmt: skip


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help="how its name begins; several times for more; else all")
    parser.add_argument("--bits", type=int, action="append", help="several times for more")
    parser.add_argument("--samples", type=int, help="at most so many measure")
    parser.add_argument("--held-out", action="store_true", help="measure on training samples that do not calibrate")
    parser.add_argument("--layers", action="store_true", help="print how well each layer fits")
    parser.add_argument("--record", action="store_true", help="append figures to results.csv")
    parser.add_argument("--json", type=Path, help="write all rows here")
    return parser.parse_args()


def measured(name: str, case: Case, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one network, printed as they are found."""
    begin = time.perf_counter()
    source = TorchSource(case.model)
    converter = Converter(source, case.calibration, case.encoding)
    read = time.perf_counter() - begin
    samples, labels = case.samples[: asked.samples], case.labels
    if labels is None:
        labels = next(iter(ann_logits(source, {INPUT: samples}, {INPUT: case.encoding}).values())).argmax(axis=1)
    evaluation = converter.evaluation(samples, labels[: asked.samples])
    rows = []
    for bits in asked.bits or BITS:
        begin = time.perf_counter()
        conversion = converter.convert(Settings(bits))
        seconds = read + time.perf_counter() - begin
        report = converter.measured(conversion, evaluation).report
        rows.append(row(name, bits, report, seconds))
        print(line(rows[-1]), flush=True)
        if asked.layers:
            print(*(layer_line(report, k) for k in range(len(report.layers))), sep="\n", flush=True)
    return rows


def row(name: str, bits: int, report: Report, seconds: float) -> dict[str, Any]:
    """Return the figures of a network and a number of bits."""
    found = report.accuracy
    assert found is not None
    return {
        "network": name, "samples": found.samples, "ann": found.ann, "bits": bits, "snn": found.snn,
        "drop": found.drop, "standard_error": found.standard_error, "same_class": found.agreement,
        "synops_per_mac": report.synops_per_mac, "spikes_per_neuron": report.spikes_per_neuron,
        "seconds": seconds, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """Return a row of the table, which is Markdown."""
    count = row["samples"] / 100
    cells = (
        row["network"], row["samples"], f"{row['ann']:.2f}", row["bits"], f"{row['snn']:.2f}",
        f"{row['drop']:+.2f} ± {row['standard_error']:.2f}",
        f"{row['drop'] * count:+.0f} ± {row['standard_error'] * count:.1f}",
        f"{row['same_class']:.2f}", f"{row['synops_per_mac']:.2f}", f"{row['spikes_per_neuron']:.2f}",
        f"{row['seconds']:.0f}",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def layer_line(report: Report, k: int) -> str:
    """Return how well a layer fits."""
    layer = report.layers[k]
    noise = "" if layer.signal_to_noise is None else f"{layer.signal_to_noise:.1f} dB"
    return f"    {layer.name:<44} {layer.kind:<12} {layer.shape!s:<16} {layer.bits} {layer.chosen_by:<10} {noise}"


def noted(rows: list[dict[str, Any]]) -> None:
    """Append the figures of the rows to results.csv."""
    units = {"snn": "%", "drop": "points", "standard_error": "points", "same_class": "%", "synops_per_mac": "",
             "spikes_per_neuron": "", "seconds": "s"}  # fmt: skip
    last = ""
    for row in rows:
        what = f"{row['network']}, {row['samples']} samples"
        if what != last:
            record(NAME, f"{what}: ANN", float(row["ann"]), "%")
        for key, unit in units.items():
            record(NAME, f"{what}, T={row['bits']}: {key.replace('_', ' ')}", float(row[key]), unit)
        last = what


def main() -> None:
    """Measure what was asked for."""
    asked = arguments()
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER), flush=True)
    rows: list[dict[str, Any]] = []
    for name, made in CASES.items():
        if asked.network and not name.startswith(tuple(asked.network)):
            continue
        try:
            rows += measured(name, made(asked.held_out), asked)
        except (SpikerunError, ImportError, FileNotFoundError) as error:
            print(f"| {name} | left out: {str(error).splitlines()[0]} |", flush=True)
        if asked.json is not None:
            asked.json.write_text(json.dumps(rows, indent=1) + "\n")
    if asked.record:
        noted(rows)


if __name__ == "__main__":
    main()
