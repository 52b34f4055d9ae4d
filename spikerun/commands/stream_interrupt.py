# SPDX-License-Identifier: Apache-2.0
"""What Ctrl-C, SIGTERM and SIGHUP do to a stream that a command drives: they end it, and what came before is kept."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from spikerun.commands.stream_source import Intake
from spikerun.live import Live

__all__ = ["Signals", "ending", "signals"]

PATIENCE = 0.5  # seconds


class Signals:
    """The first signal ends a drive in order, but not later than PATIENCE after; a second one does not wait so long.

    Before there is a drive they raise; once it is over they are late, and do nothing. first: the number of the first
    one, 0 where none came in time; breakable: what runs may be interrupted: the drive, which then goes on, or the
    writing to a pipe.
    """

    def __init__(self) -> None:
        self.first, self.breakable = 0, False
        self._driven: tuple[Live, Intake] | None = None
        self._over = False

    def drives(self, drive: Live, intake: Intake) -> None:
        """Take note of what is to be ended."""
        self._driven = drive, intake

    def finish(self) -> None:
        """Let nothing disturb what is left to do."""
        self._over = True
        signal.setitimer(signal.ITIMER_REAL, 0)

    def came(self, number: int, frame: object) -> None:
        """Handle a signal."""
        if self._over:
            return
        if self._driven is None:
            raise ending(number)
        drive, intake = self._driven
        again, self.first = self.first > 0, self.first or number
        drive.stop(now=again)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        if again or intake.waiting:
            self._break_off(intake)

    def overdue(self, number: int, frame: object) -> None:
        """Handle the alarm: leave what is not computed yet."""
        if self._driven is not None and not self._over:
            drive, intake = self._driven
            drive.stop(now=True)
            self._break_off(intake)

    def _break_off(self, intake: Intake) -> None:
        if self.breakable and not intake.recording:
            self.breakable = False
            raise KeyboardInterrupt


def ending(number: int) -> BaseException:
    """Return what ends a command as a signal does."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def signals() -> Iterator[Signals]:
    """Handle signals meanwhile, if they are ours: in the main thread. A SIGHUP that nohup has ignored stays so."""
    found = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    handlers = {signal.SIGINT: found.came, signal.SIGTERM: found.came, signal.SIGALRM: found.overdue}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handlers[signal.SIGHUP] = found.came
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield found
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
