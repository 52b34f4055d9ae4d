# SPDX-License-Identifier: Apache-2.0
"""Microcontrollers: networks as C99 that stands alone, and emulators that run it."""

from spikerun.edge.mcu.deployment import McuOptions, McuTarget, deploy, run_bundle, targets

__all__ = ["McuOptions", "McuTarget", "deploy", "run_bundle", "targets"]
