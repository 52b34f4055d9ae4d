# SPDX-License-Identifier: Apache-2.0
"""No process and no shared memory outlives the runner, however it ends; and a Lava whose processes die says so."""

import ctypes
import multiprocessing
import multiprocessing.shared_memory as shared_memory
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path

PR_SET_PDEATHSIG = 1
LOOK_SECONDS = 0.3
GRACE_SECONDS = 3  # for Lava to notice by itself, with a better message
FAILED = 4
SEGMENTS = Path("/dev/shm")  # where Linux has shared memory as files


def set_up(parent):
    """Guard this process, and all that it forks from now on. parent: the process that it ends with; None: no such."""
    if parent is not None:
        _end_with_parent(signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit("error: the process that started this has ended")
    mine = os.getpid()

    def end(number, frame):
        """End here: an exception would be lost where Python ignores them, as it does in callbacks and finalizers."""
        if os.getpid() == mine:  # a child that was just forked is ended by its parent
            leave(128 + number, "interrupted" if number == signal.SIGINT else "ended by a signal")

    os.register_at_fork(after_in_child=lambda: _child(mine))
    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as a shell asks for in the background
        signal.signal(signal.SIGINT, end)
    # Segments are named after the runner, so that whoever kills it can remove them: 14 letters are for macOS alone.
    shared_memory._SHM_NAME_PREFIX = f"/psm_{mine}_"
    shared_memory._SHM_SAFE_NAME_LENGTH = 30


def _end_with_parent(number):
    """Ask Linux for a signal when the parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _child(runner):
    _end_with_parent(signal.SIGKILL)
    if multiprocessing.parent_process() is None and os.getppid() != runner:
        os._exit(FAILED)  # it has ended before it could be named
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of the terminal; the parent ends its children


def leave(code, message=None):
    """End at once, with all children: Lava's own way out waits for some that never answer.

    A signal calls it between any two instructions of Python: nothing that it finds half done keeps it from ending.
    """
    says = partial(os.write, 2, f"error: {message}\n".encode(errors="backslashreplace") if message else b"")
    for step in (_end_children, says, sys.stdout.flush, sys.stderr.flush, _end_tracker, _remove_segments):
        with suppress(Exception):  # a full disk, a closed pipe, an object that is not whole yet: to end matters more
            step()
    os._exit(code)


def _end_children():
    for child in list(multiprocessing.process._children):
        with suppress(Exception):  # one that is being closed
            child.kill()


def _end_tracker():
    """End Python's tracker of shared memory: it knows nothing of a segment that was just made, and complains of all."""
    if SEGMENTS.is_dir():
        os.kill(resource_tracker._resource_tracker._pid, signal.SIGKILL)


def _remove_segments():
    for segment in SEGMENTS.glob(f"psm_{os.getpid()}_*"):
        segment.unlink()


class Watch:
    """While it is entered, a child that ends, or a time (of `time.monotonic`) that is up, ends everything."""

    def __init__(self, deadline):
        self.deadline = deadline
        self.over = threading.Event()

    def __enter__(self):
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.over.set()

    def _look(self):
        seen = set()
        while not self.over.wait(LOOK_SECONDS):
            if time.monotonic() > self.deadline:
                leave(FAILED, "Lava has not ended in time; give a longer --timeout, or fewer samples.")
            ended = [pid for pid in seen | set(_children()) if _is_over(pid)]
            if ended and not self.over.wait(GRACE_SECONDS):
                why = "for want of memory perhaps, or of room in the temporary folder"
                leave(FAILED, f"a process of Lava ended by itself ({ended[0]}), {why}; run again.")
            seen = set(_children())


def _children():
    return [child.pid for child in list(multiprocessing.process._children)]


def _is_over(pid):
    """Return whether a child has ended; it is not waited for, for that is Lava's business."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return False
