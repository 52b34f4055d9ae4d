# SPDX-License-Identifier: Apache-2.0
"""Spikes from outside."""

from dataclasses import dataclass
from typing import ClassVar

from spikerun.codes import CODES, MAX_BITS, MAX_INPUT_BITS, Word
from spikerun.neurons.base import Neuron
from spikerun.values import choice, integer, require, truth

__all__ = ["Input", "check_word"]


@dataclass(frozen=True, eq=False)
class Input(Neuron):
    """Spikes that come from outside: frames of integers in a few-spikes code, or events.

    code: `bits`, `ttfs`, `graded`: the integer of a frame, as `FewSpikes` would send it; `current`: the integer as the
    payload of one event in every step (direct current); `frames`: a payload for each step, such as the events that a
    camera counted in it; `spikes`: events given step by step, payload 0 or 1.
    bits: width of the integers (8 for pixels, 12 for many sensors), up to 16; signed: two's complement.
    """

    kind: ClassVar[str] = "input"
    is_input = True
    bits: int = 8
    code: str = "bits"
    signed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", integer("bits", self.bits, 1, MAX_INPUT_BITS))
        object.__setattr__(self, "signed", truth("signed", self.signed))
        choice("code", self.code, (*CODES, "current", "frames", "spikes"))
        check_word(self.word)
        require(
            self.code != "spikes" or (self.bits == 1 and not self.signed),
            "an input of code 'spikes' has bits=1 and is unsigned",
        )

    @property
    def word(self) -> Word:
        return Word(self.code, self.bits, self.signed)


def check_word(word: Word) -> None:
    """Refuse words that their code cannot send."""
    require(
        not (word.signed and word.code == "ttfs"),
        "code 'ttfs' sends one spike whose time is a magnitude, so it cannot be signed: use 'bits' or 'graded'",
    )
    require(not word.signed or word.bits >= 2, "a signed word needs at least 2 bits")
    require(
        word.code != "ttfs" or word.bits <= MAX_BITS,
        f"a word of {word.bits} bits in code 'ttfs' would take {word.steps} steps; it has at most {MAX_BITS} bits: use "
        "fewer, or 'bits' or 'graded'",
    )
