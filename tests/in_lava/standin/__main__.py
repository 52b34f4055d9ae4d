# SPDX-License-Identifier: Apache-2.0
"""A runner on a host that seems to have Loihi 2: `standin RUNNER ...`; its run configuration is that of a simulation.

What it is given is printed, as is the environment that Lava's own choice of a host leaves.
"""

import os
import runpy
import sys

sys.path[0:1] = [sys.argv[1], os.path.dirname(os.path.abspath(__file__))]
import lavacompat  # noqa: E402

lavacompat.install()
from lava.magma.core import run_configs  # noqa: E402


def standin(**given):
    names = {key: [type(one).__name__ for one in value] for key, value in given.items() if key == "callback_fxs"}
    host = {key: os.environ.get(key) for key in ("SLURM", "PARTITION", "BOARD", "LOIHI_GEN", "NXSDKHOST")}
    print("given", sorted(given), names, host, flush=True)
    return run_configs.Loihi2SimCfg(select_tag="fixed_pt")


run_configs.Loihi2HwCfg = standin
sys.argv[:2] = sys.argv[1:2]
runpy.run_path(sys.argv[0], run_name="__main__")
