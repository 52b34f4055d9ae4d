# SPDX-License-Identifier: Apache-2.0
"""Runs a bundle of spikerun in Lava, and compares every event with what is expected: `python runner`."""

import argparse
import sys
import time
import warnings
from pathlib import Path

USAGE, BAD_BUNDLE, FAILED = 2, 3, 4
PARTS = (
    "bundle.py",
    "comparison.py",
    "guard.py",
    "hardware.py",
    "lavacompat.py",
    "lavanet.py",
    "processes/__init__.py",
)
EXAMPLES = """examples:
  python runner                        run all samples, and compare every event
  python runner --samples 2 --states   the first two, and currents and membranes at the end as well
  python runner --hardware --profile   the same on Loihi 2 (written after public examples, never run on silicon)

needs: numpy, scipy, h5py and lava-nc 0.10.0, on Python 3.10; or 3.11 to 3.13, where `spikerun lava-env create` makes
an environment. Exit codes: 0 equal, 1 different, 2 usage or no Lava, 3 the bundle is damaged, 4 Lava failed.
On an INRC host, NXSDKHOST names the address of the board; else SLURM is asked, for BOARD or PARTITION. LOIHI_GEN is
the generation of the chip.
"""


def arguments():
    """Return what is given on the command line."""
    parser = argparse.ArgumentParser(
        "python runner", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    around = Path(__file__).resolve().parent.parent
    parser.add_argument("--bundle", type=Path, nargs="+", default=[around], metavar="FOLDER",
                        help="folders with graph.h5 and samples.npz (default: that around the runner)")  # fmt: skip
    parser.add_argument("--samples", type=int, metavar="N", help="run the first N samples only")
    parser.add_argument("--states", action="store_true", help="read u and v of all populations after the last step")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdict here too, a line for each bundle")
    parser.add_argument("--out", type=Path, metavar="FILE.npz", help="write the events, and states, that were got")
    parser.add_argument("--timeout", type=float, default=3600, metavar="S", help="seconds for everything (3600)")
    parser.add_argument("--hardware", action="store_true", help="run on Loihi 2; never run on silicon so far")
    parser.add_argument("--profile", action="store_true", help="with --hardware: measure power and time")
    parser.add_argument("--own-models", action="store_true",
                        help="with --hardware: take models that no chip has: you brought your own")  # fmt: skip
    parser.add_argument("--input-latency", type=int, default=0, metavar="K",
                        help="with --hardware: steps by which its adapters delay what goes in")  # fmt: skip
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)  # a process to end with
    given = parser.parse_args()
    if (given.profile or given.input_latency or given.own_models) and not given.hardware:
        parser.error("--profile, --input-latency and --own-models need --hardware")
    if given.states and given.hardware:
        parser.error("--states are not read from a chip; leave out --states or --hardware")
    if given.samples is not None and given.samples < 1:
        parser.error("--samples must be at least 1")
    if not 0 < given.timeout < float("inf"):
        parser.error("--timeout must be a number of seconds above 0")
    for path in filter(None, (given.json, given.out)):
        if not path.absolute().parent.is_dir():
            parser.error(f"there is no folder {path.absolute().parent} to write {path.name} to")
    return given


def complete():
    """Return whether all files of the runner are there, and say which is not."""
    for name in PARTS:
        if not (Path(__file__).parent / name).exists():
            say(BAD_BUNDLE, f"the bundle is damaged: it lacks runner/{name}; make it again")
            return False
    return True


def main():
    """Run, and end in a way in which nothing is left behind."""
    given = arguments()
    if not complete():
        sys.exit(BAD_BUNDLE)
    sys.dont_write_bytecode = True  # the bundle stays as it was
    import guard

    deadline = time.monotonic() + given.timeout
    guard.set_up(given.parent)
    try:
        code = work(given, deadline)
    except Exception as error:  # whatever Lava raises must end with its processes
        guard.leave(FAILED, f"Lava failed: {type(error).__name__}: {error}")
    guard.leave(code)


def work(given, deadline):
    """Do what is asked for until a time of `time.monotonic`, and return the exit code."""
    try:
        import lavacompat

        lavacompat.install()
        warnings.simplefilter("ignore")  # of Lava, about itself
        import comparison
        from bundle import Damaged, Refused
    except ImportError as error:
        return say(USAGE, f"{error}, in {sys.executable}; run this with a Python that has lava-nc 0.10.0 and h5py, "
                          "such as that of `spikerun lava-env create`")  # fmt: skip
    if given.json:
        given.json.write_text("", encoding="utf-8")
    try:
        return max([comparison.run(folder, given, deadline) for folder in given.bundle])
    except Damaged as error:
        return say(BAD_BUNDLE, error)
    except Refused as error:
        return say(USAGE, error)


def say(code, message):
    """Print an error; return its exit code."""
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
