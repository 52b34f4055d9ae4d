# SPDX-License-Identifier: Apache-2.0
"""The program `spikerun`, and `python -m spikerun`: the command line. Ctrl-C ends it while it is imported, too."""

import sys

__all__ = ["main"]

EXIT_INTERRUPTED = 130


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from spikerun.cli import main as run

        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
