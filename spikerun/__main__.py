# SPDX-License-Identifier: Apache-2.0
"""`python -m spikerun`: the command line."""

import sys

from spikerun.cli import main

if __name__ == "__main__":
    sys.exit(main())
