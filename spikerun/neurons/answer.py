# SPDX-License-Identifier: Apache-2.0
"""What a run reports of neurons that integrate step by step, where they are an output."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from spikerun.neurons.base import IntArray, Neuron, Now, State
from spikerun.values import choice, float32_array, require

__all__ = ["Answering", "scale_array"]

# And what of the state each reports.
MODES = {"count": "", "first_spike": "answer", "last": "v", "max": "answer", "mean": "answer"}


class Answering(Neuron):
    """Base of the kinds with a membrane `v` and spikes. answer: what is reported of a window, if it is an output.

    `count`: its spikes; `first_spike`: how many steps are left at the first, that step included, 0 without one;
    `last`: the membrane after the last step; `max`: the largest after any step; `mean`: the sum over all steps of
    `v >> k`, k the bits of W - 1, for which int32 has room: times 2^k / W it is the mean. scale: float32, shape () or
    (C,): what an integer of the answer is worth.

    state: answer, what has been made of the window so far.
    """

    answer: str
    scale: npt.NDArray[np.float32]

    def check_answer(self) -> None:
        """Refuse what is no answer, or no scale."""
        choice("answer", self.answer, tuple(MODES))
        object.__setattr__(self, "scale", scale_array(self.scale))

    @property
    def reported(self) -> str:
        return MODES[self.answer]

    @property
    def rule(self) -> str:
        return self.answer

    @property
    def real_scale(self) -> npt.NDArray[np.float32]:
        return self.scale

    def kept(self, taps: int = 0) -> Mapping[str, str]:
        return {**self.state, "answer": "int32"} if self.reported == "answer" else self.state

    def answer_range(self, most: int, window: int) -> tuple[int, int]:
        """Return the smallest and the largest answer of membranes within +-`most`.

        Where a window adds to it, as much again fits int32.
        """
        if self.answer == "first_spike":
            return 0, window
        if self.answer == "mean":
            return window * (-most >> shift(window)), window * (most >> shift(window))
        return -most, most

    def collect(self, state: State, s: IntArray, now: Now) -> None:
        """Take the spikes of a step, or the membranes after it, into the answer."""
        if self.reported != "answer":
            return
        one = {"first_spike": s * (now.window - now.r), "max": state["v"], "mean": state["v"] >> shift(now.window)}
        x, before = one[self.answer], state["answer"]
        if now.r == 0:
            state["answer"] = x
        else:  # the first spike is the largest
            state["answer"] = before + x if self.answer == "mean" else np.maximum(before, x)


def shift(window: int) -> int:
    """Return the bits that a membrane loses in the mean of a window, so that the sum of all steps fits."""
    return (window - 1).bit_length()


def scale_array(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return what integers are worth as float32; refuse what is not positive."""
    scale = float32_array("scale", values)
    require(bool((scale > 0).all()), f"scale must be positive, got {scale.min()}")
    return scale
