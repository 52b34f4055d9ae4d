# SPDX-License-Identifier: Apache-2.0
"""What Ctrl-C does to a stream that a command drives."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from spikerun.commands.stream_source import Tap
from spikerun.live import Live

__all__ = ["Interrupts", "interrupts"]

PATIENCE = 0.5  # seconds


class Interrupts:
    """The first Ctrl-C ends a drive in order, but not later than PATIENCE after; a second one raises at once.

    seen: how many came; running: the drive is asked, which may be interrupted and then goes on
    """

    def __init__(self, drive: Live, tap: Tap) -> None:
        self._drive, self._tap = drive, tap
        self.seen, self.running = 0, False

    def asked(self, number: int, frame: object) -> None:
        """Handle a signal of Ctrl-C."""
        self._drive.stop()
        self.seen += 1
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        if self._tap.waiting or self.seen > 1:
            raise KeyboardInterrupt

    def overdue(self, number: int, frame: object) -> None:
        """Handle the alarm: leave what is not computed yet."""
        self._drive.stop(now=True)
        if self.running:
            raise KeyboardInterrupt


@contextmanager
def interrupts(drive: Live, tap: Tap) -> Iterator[Interrupts]:
    """Handle Ctrl-C meanwhile, if signals are ours: in the main thread."""
    found = Interrupts(drive, tap)
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    before = signal.signal(signal.SIGINT, found.asked), signal.signal(signal.SIGALRM, found.overdue)
    try:
        yield found
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGALRM, before[1])
