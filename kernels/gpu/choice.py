# SPDX-License-Identifier: Apache-2.0
"""Which kernel multiplies by the weights of a dense map: chosen on the GPU, by the activity that it meets there.

The event-driven kernel counts the active inputs and leaves the work to the dense one where they are too many, which
does nothing where they are not: nobody asks the computer. What each costs was measured once (`docs/measured.md`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikerun.kernels.executor import Choice, Seen
from spikerun.kernels.gpu.event import COLUMNS, ROWS, event_linear, fits
from spikerun.kernels.gpu.layout import Constants
from spikerun.kernels.gpu.machine import Machine, gpu
from spikerun.kernels.gpu.matrices import flat, matrix
from spikerun.kernels.gpu.rules import Fire, If, Sums
from spikerun.kernels.operations import Map

__all__ = ["Events", "events"]

# Of batches of one on an H200. Words: weights of up to SMALL bytes are multiplied sooner than a list of inputs is made,
# those of LARGE and more are better left unread where an input is silent, whatever their share; between them, up to
# SHARE of the inputs. Of temporal bytes a dense product takes as many steps as there are, and never wins.
SMALL, LARGE, SHARE = 2**20, 2**23, 0.6


@dataclass(frozen=True)
class Events:
    """Event-driven kernels for the dense maps of a program. kernels: `event`, `dense` or `auto`."""

    machine: Machine
    kernels: str
    constants: Constants

    def cut(self, map_: Map, steps: int) -> int:
        """Return up to how many active inputs a map goes event by event; all: there is no dense kernel behind."""
        n_in, weights = len(map_["weight"]), map_["weight"].size
        if self.kernels != "auto":
            return n_in if self.kernels == "event" else 0
        if steps or weights >= LARGE:
            return n_in
        return int(SHARE * n_in) if weights > SMALL else 0

    def takes(self, map_: Map, samples: int, steps: int) -> bool:
        """Return whether there is an event-driven kernel, and one is wanted."""
        known = bool(flat(map_)) and fits(self.machine, len(map_["weight"]), samples, steps)
        return known and self.cut(map_, steps) > 0

    def run(
        self, number: int, map_: Map, x: torch.Tensor, out: torch.Tensor, rule: Sums | Fire | If, **how: Any
    ) -> torch.Tensor | None:
        """Go event by event; return how many inputs are active if a dense kernel is to do the rest, else None.

        number: of the operation; x (B, n_in), out and all else as `event_linear` has them.
        """
        weight = self.constants.tensor((number, "rows"), lambda: _padded(map_))
        active = self.constants.tensor((number, "active"), lambda: np.zeros(1, np.int32))
        cut = self.cut(map_, how["steps"])
        how |= {"active": active, "seen": self.seen(number), "cut": cut}
        event_linear(self.machine, x, weight, out, rule, **how)
        return active if cut < len(map_["weight"]) else None

    def seen(self, number: int) -> torch.Tensor:
        """Return what passed through a map: int64 runs, those by event, active inputs of all."""
        return self.constants.tensor((number, "seen"), lambda: np.zeros(3, np.int64))

    def choice(self, number: int, map_: Map, steps: int) -> Choice:
        """Return what is chosen for a map; steps: of temporal bytes, 0: it takes words."""
        n_in, cut = len(map_["weight"]), self.cut(map_, steps)
        runs, event, active = self.seen(number).tolist()
        seen = Seen(runs, event, active / runs) if runs else None
        most = ROWS // max(steps, 1)
        asked = "asked for" if self.kernels != "auto" else "times measured on an H200"
        kernel = f"event-driven up to {cut / n_in:.1%}, else dense" if cut < n_in else "event-driven"
        reason = f"{asked}; batches of more than {most} are dense"
        return Choice(number, kernel, reason, n_in, cut, bytes=_padded_to(map_) * n_in, seen=seen)


def events(device: torch.device, kernels: str, constants: Constants) -> Events | None:
    """Return the choice on a device; None where there are no event-driven kernels, as under Triton's interpreter."""
    return Events(gpu(device), kernels, constants) if device.type == "cuda" else None


def _padded_to(map_: Map) -> int:
    n_out: int = map_["weight"].shape[1]
    return -(-n_out // COLUMNS) * COLUMNS


def _padded(map_: Map) -> npt.NDArray[np.int8]:
    weight = matrix(map_)
    padded = np.zeros((len(weight), _padded_to(map_)), np.int8)
    padded[:, : weight.shape[1]] = weight
    return padded
