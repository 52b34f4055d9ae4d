# SPDX-License-Identifier: Apache-2.0
"""All of this folder in one command: what sparse networks cost, and what that buys.

    python benchmarks/sparsity [--train FOLDER]

Measures the tuned networks of examples/, layouts of zeros, half of the channels, and flash on an emulated Cortex-M4.
With --train, networks are tuned and pruned anew first (a GPU's work: hours on two cores), and foreign ones tuned.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MEASURED = (["tuning.py"], ["formats.py"], ["channels.py"], ["flash.py"])


def main() -> int:
    """Run one script after the other; return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="tune and prune anew, and keep what comes there")
    folder = parser.parse_args().train
    commands = [list(one) for one in MEASURED]
    if folder is not None:
        kept = str(folder)
        trained = [["tuning.py", "--train", kept], ["tuning.py", "--measure", kept]]
        commands = [*trained, ["pruning.py", "--keep", kept], ["foreign.py", "keywords"], *commands[1:]]
    failed = 0
    for script, *options in commands:
        print(f"== {script} {' '.join(options)}", flush=True)
        failed += subprocess.run([sys.executable, str(HERE / script), *options], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
