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

PR_SET_PDEATHSIG = 1
LOOK_SECONDS = 0.3
GRACE_SECONDS = 3  # for Lava to notice by itself, with a better message
FAILED = 4


def set_up(parent):
    """Guard this process, and all that it forks from now on. parent: the process that it ends with; None: no such."""
    if parent is not None:
        _end_with_parent(signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit("error: the process that started this has ended")
    os.register_at_fork(after_in_child=_child)
    signal.signal(signal.SIGTERM, _terminated)
    # Segments are named after the runner, so that whoever kills it can remove them: 14 letters are for macOS alone.
    shared_memory._SHM_NAME_PREFIX = f"/psm_{os.getpid()}_"
    shared_memory._SHM_SAFE_NAME_LENGTH = 30


def _end_with_parent(number):
    """Ask Linux for a signal when the parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _child():
    _end_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of the terminal; the parent ends its children


def _terminated(number, frame):
    leave(128 + number, "ended by a signal")


def leave(code, message=None):
    """End at once, with all children: Lava's own way out waits for some that never answer."""
    for child in multiprocessing.active_children():
        child.kill()
    with suppress(OSError, ValueError):  # a full disk, a closed pipe: to end matters more
        if message:
            print(f"error: {message}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # Python's tracker of shared memory sees that, and removes what is left of it


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
