# SPDX-License-Identifier: Apache-2.0
"""Random numbers that anybody can compute anywhere: Philox-4x32-10, a function of a key and a counter.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC'11. There is no
state: whoever draws says which number it is, so no order of drawing, no thread and no device changes one.

The key is a seed of 64 bits, its low half first. The counter is four words of 32 bits, the last of which says what is
drawn: POISSON, SYNAPSE or INITIAL. Four words of 32 bits come out.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["INITIAL", "POISSON", "SYNAPSE", "looked_up", "philox"]

POISSON, SYNAPSE, INITIAL = 1, 2, 3  # what is drawn: counts of events, synapses, and what neurons begin with

Words = npt.NDArray[np.uint64]

MULTIPLY = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
ADD = 0x9E3779B9, 0xBB67AE85  # to the key, each round
ROUNDS = 10
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(seed: int, *counter: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Return the words of one counter, or of many: uint32 (4, n) for four words that broadcast to (n,).

    >>> [f"{word[0]:08x}" for word in philox(0, 0, 0, 0, 0)]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    a, b, c, d = (np.array(part) for part in np.broadcast_arrays(*(np.atleast_1d(_words(part)) for part in counter)))
    key = seed & 0xFFFFFFFF, seed >> 32
    for number in range(ROUNDS):
        left, right = (np.uint64((k + number * add) & 0xFFFFFFFF) for k, add in zip(key, ADD, strict=True))
        a *= MULTIPLY[0]
        c *= MULTIPLY[1]
        b ^= c >> HALF
        b ^= left
        d ^= a >> HALF
        d ^= right
        c &= LOW
        a &= LOW
        a, b, c, d = b, c, d, a
    return np.stack([a, b, c, d]).astype(np.uint32)


def _words(part: npt.ArrayLike) -> Words:
    return np.asarray(part).astype(np.uint64)


def looked_up(thresholds: npt.NDArray[np.uint32], word: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Return how many of the thresholds (E,), which do not decrease, are smaller than each word."""
    return np.searchsorted(thresholds, word, side="left")
