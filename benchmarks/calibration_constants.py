# SPDX-License-Identifier: Apache-2.0
"""What the constants of calibration cost and save, on training samples that do not calibrate, for several networks.

    python benchmarks/calibration_constants.py CONSTANT VALUE... [--network NAME]... [--bits T]... [--samples N]

No test sample is read. After the rows of each network, those of all are compared: points lost and synaptic operations
for each value, the mean of the networks.
"""

import argparse
from statistics import mean
from typing import Any

from conversion_accuracy import HEADER, measured
from zoo.cases import CASES
from zoo.foreign import FOREIGN

from spikerun.converters import calibrate, curved

CONSTANTS = {"BARGAIN": (curved,), "SPIKES_WEIGH": (calibrate, curved)}  # the modules that read them


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("constant", choices=CONSTANTS)
    parser.add_argument("values", type=float, nargs="+")
    parser.add_argument("--network", action="append", help="how its name begins; several times for more; else all")
    parser.add_argument("--bits", type=int, action="append", help="several times for more; else 4 and 5")
    parser.add_argument("--samples", type=int, default=2000, help="that measure")
    asked = parser.parse_args()
    asked.bits, asked.layers = asked.bits or [4, 5], False
    return asked


def main() -> None:
    """Measure what was asked for."""
    asked = arguments()
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER), flush=True)
    rows: dict[float, list[dict[str, Any]]] = {value: [] for value in asked.values}
    for name, made in CASES.items():
        if name in FOREIGN or (asked.network and not name.startswith(tuple(asked.network))):
            continue
        case = made(True)
        for value in asked.values:
            for module in CONSTANTS[asked.constant]:
                setattr(module, asked.constant, value)
            rows[value] += measured(f"{name}, {value:g}", case, asked)
    print(f"\n| {asked.constant} | T | mean of points lost | standard error | mean of synops per MAC |")
    print("|---|---|---|---|---|")
    for bits in asked.bits:
        for value, all_rows in rows.items():
            mine = [row for row in all_rows if row["bits"] == bits]
            error = sum(row["standard_error"] ** 2 for row in mine) ** 0.5 / len(mine)
            lost, cost = (mean(row[key] for row in mine) for key in ("drop", "synops_per_mac"))
            print(f"| {value:g} | {bits} | {lost:+.2f} | {error:.2f} | {cost:.3f} |")


if __name__ == "__main__":
    main()
