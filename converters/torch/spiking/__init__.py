# SPDX-License-Identifier: Apache-2.0
"""Trained spiking networks of snnTorch, Norse, SpikingJelly and sinabs: the user's own module becomes one `Step`."""

from spikerun.converters.torch.spiking.read import read_step

__all__ = ["read_step"]
