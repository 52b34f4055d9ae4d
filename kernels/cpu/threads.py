# SPDX-License-Identifier: Apache-2.0
"""How many threads to use, where nobody says, and how many are used at most."""

import os

from spikerun.errors import UsageError

__all__ = ["MAX_THREADS", "default_threads", "usable", "used"]

MAX_THREADS = 1024  # that may be asked for
MOST = 48  # that are used: Crew::most_parts


def default_threads() -> int:
    """Return $SPIKERUN_NUM_THREADS, or the number of physical cores that this process may use.

    Raises UsageError where the variable is no positive number.
    """
    value = os.environ.get("SPIKERUN_NUM_THREADS")
    if value:
        if not value.isdecimal() or not value.isascii() or not 1 <= int(value) <= MAX_THREADS:
            raise UsageError(f"SPIKERUN_NUM_THREADS must be a number in 1..{MAX_THREADS}, got '{value}'")
        return int(value)
    cores = set()
    for cpu in usable():
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as siblings:
                cores.add(siblings.read().strip())
        except OSError:
            cores.add(str(cpu))
    return max(1, len(cores))


def used(asked: int) -> int:
    """Return how many threads run where so many are asked for: not more than processors that this process may use."""
    return min(asked, MOST, max(1, len(usable())))


def usable() -> set[int]:
    """Return the processors that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
