# SPDX-License-Identifier: Apache-2.0
"""Networks as users of snnTorch, Norse and SpikingJelly write them: what the reader is tried on, a file a family.

Frameworks are imported where a network is built. A case says how its module is called, and what is to be read.
"""

from spiking_networks import images, norse, readouts, spikingjelly, wiring
from spiking_networks.make import STEPS, Case, Loop, dense, leaky
from spiking_networks.readouts import recorded
from spiking_networks.refused import REFUSED

__all__ = ["CASES", "REFUSED", "STEPS", "Case", "Loop", "dense", "leaky", "recorded"]

CASES: dict[str, Case] = {
    name: case for family in (readouts, images, wiring, norse, spikingjelly) for name, case in family.CASES.items()
}
