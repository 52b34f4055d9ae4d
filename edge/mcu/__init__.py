"""Microcontrollers: networks as C99 that stands alone, and emulators that run it."""

from spikerun.edge.mcu.deployment import McuTarget, deploy, run_bundle, target

__all__ = ["McuTarget", "deploy", "run_bundle", "target"]
