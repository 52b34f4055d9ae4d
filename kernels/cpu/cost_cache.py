# SPDX-License-Identifier: Apache-2.0
"""What maps cost on this machine, kept in a file: the next session need not measure them again.

The file is `spikerun/costs.json` in $XDG_CACHE_HOME or ~/.cache; the environment variable SPIKERUN_COST_CACHE names
another, or says `off`. Whatever is wrong with it, results are right: what is missing is measured, and what cannot be
written is measured again by the next session, with a word in the log. Only a file that begins as ours do, or an empty
one, is ever replaced: a name that was mistaken destroys nothing.

    {"format": "spikerun.costs/1", "machines": {MACHINE: {FORM: [day, layout, [active], [us by event], us dense]}}}

MACHINE is the processor, the instruction set, and the build of the kernels; FORM describes a map. Entries older than
some months are dropped, and the oldest where there are many.
"""

import errno
import json
import logging
import os
import stat
import time
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from spikerun.atomic import KINDS, write_atomically
from spikerun.errors import UsageError
from spikerun.kernels.cpu import native
from spikerun.kernels.cpu.processor import model
from spikerun.kernels.executor import Cost

__all__ = ["Measured", "known", "remember"]

FORMAT = "spikerun.costs/1"
OURS = b'{"format": "spikerun.costs/'  # what files of every version begin with
LARGEST = 2**20  # bytes of a file that is read
MOST = 2000  # entries of a file that is written
POINTS = 16  # of an entry
DAYS = 120
DAY = 86400

Measured = tuple[int, Cost]  # which layout, and its cost
Machines = dict[str, dict[str, list[Any]]]

log = logging.getLogger("spikerun")
_said: set[tuple[str, str]] = set()


def known(forms: Mapping[str, tuple[int, int]]) -> dict[str, Measured]:
    """Return what is known of maps, by form; each form with the number of its layouts, and of its inputs."""
    path = _path()
    if path is None or not forms:
        return {}
    entries = (_read(path) or {}).get(_machine(), {})
    found = {form: _measured(entries[form], *limits) for form, limits in forms.items() if form in entries}
    return {form: measured for form, measured in found.items() if measured is not None}


def remember(measured: Mapping[str, Measured]) -> None:
    """Add what was measured to the file."""
    path = _path()
    if path is None or not measured:
        return
    today = int(time.time() // DAY)
    machines = _read(path)  # once more: another process may have written it meanwhile
    if machines is None:
        return
    own = machines.setdefault(_machine(), {})
    own |= {
        form: [today, which, c.active, _short(c.event), *_short([c.dense])] for form, (which, c) in measured.items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({"format": FORMAT, "machines": _recent(machines, today)}), force=True)
    except (UsageError, OSError) as error:
        _say("writing", path, f"what layers cost on this machine is not kept ({error}); SPIKERUN_COST_CACHE names "
             "another file")  # fmt: skip


def _path() -> Path | None:
    given = os.environ.get("SPIKERUN_COST_CACHE")
    if given is not None and given.lower() in ("off", ""):
        return None
    folder = os.environ.get("XDG_CACHE_HOME", "")
    try:
        if given is not None:
            return Path(given).expanduser()
        return (Path(folder) if os.path.isabs(folder) else Path.home() / ".cache") / "spikerun" / "costs.json"
    except RuntimeError:  # a user without a home
        return None


def _machine() -> str:
    return f"{model()}, {native.isa()}, {_build()}"


@cache
def _build() -> str:
    """Return what tells the compiled kernels from those of another build."""
    return f"{zlib.crc32(Path(native.FILE).read_bytes()):08x}"


def _read(path: Path) -> Machines | None:
    """Return what is in the file, nothing where that is of no use; None where something else lies there, and stays."""
    try:
        content = _bytes(path)
    except (OSError, _NotOursError) as error:
        why = error if isinstance(error, _NotOursError) else f"cannot be read: {error.strerror}"
        _say("reading", path, f"'{path}' {why}; it stays as it is, and what layers cost on this machine is not kept: "
             "let SPIKERUN_COST_CACHE name another file, or say 'off'")  # fmt: skip
        return None
    try:
        found: Any = json.loads(content) if content else {"format": FORMAT, "machines": {}}
        if len(content) > LARGEST:
            raise ValueError(f"more than {LARGEST:,} bytes")
    except (ValueError, RecursionError) as error:
        _say("reading", path, f"'{path}' is damaged ({error}): layers are timed anew, and what they cost replaces it")
        return {}
    if found.get("format") != FORMAT or not isinstance(found.get("machines"), dict):
        _say("reading", path, f"'{path}' holds no costs of layers of this version: they are timed anew, and replace it")
        return {}
    machines = {name: entries for name, entries in found["machines"].items() if isinstance(entries, dict)}
    return {
        name: {form: entry for form, entry in entries.items() if isinstance(entry, list) and len(entry) == 5}
        for name, entries in machines.items()
    }


class _NotOursError(Exception):
    """What lies there is no file of costs."""


def _bytes(path: Path) -> bytes:
    """Return the content of a file of ours, of a large one its beginning; nothing where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _NotOursError("is a link, and links are not followed") from None
        raise
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFREG:
            what = "a folder" if kind == stat.S_IFDIR else KINDS.get(kind, "something else")
            raise _NotOursError(f"is {what}, and no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST + 1)
    finally:
        os.close(descriptor)
    if content and not content.startswith(OURS):
        raise _NotOursError("holds something else than costs of layers")
    return content


def _measured(entry: list[Any], layouts: int, n_in: int) -> Measured | None:
    """Return an entry, None where it can be none of a map of so many layouts and inputs."""
    day, which, active, event, dense = entry
    if not (_is_fresh(day, int(time.time() // DAY)) and _is_int(which) and 0 <= which < layouts):
        return None
    if not (isinstance(active, list) and isinstance(event, list) and 1 <= len(active) == len(event) <= POINTS):
        return None
    rising = all(_is_int(a) for a in active) and all(a < b for a, b in zip([0, *active], active, strict=False))
    times = [*event, dense]
    if not (rising and active[-1] <= n_in and all(_is_time(us) for us in times)):
        return None
    return which, Cost(tuple(active), tuple(map(float, event)), float(dense))


def _is_int(value: Any) -> bool:
    return type(value) is int


def _is_fresh(day: Any, today: int) -> bool:
    """Return whether an entry is young enough; another machine's clock, on a shared disk, may be a day ahead."""
    return _is_int(day) and -1 <= today - day <= DAYS


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 1e9


def _short(times: Any) -> list[float]:
    return [float(f"{us:.4g}") for us in times]


def _recent(machines: Machines, today: int) -> Machines:
    """Return the entries that are not old, and no more than a file is to hold: the newest."""
    every = [
        (entry[0], name, form)
        for name, entries in machines.items()
        for form, entry in entries.items()
        if _is_fresh(entry[0], today)
    ]
    kept: Machines = {}
    for _, name, form in sorted(every, reverse=True)[:MOST]:
        kept.setdefault(name, {})[form] = machines[name][form]
    return kept


def _say(doing: str, path: Path, what: str) -> None:
    """Say it once in a process."""
    if (doing, str(path)) not in _said:
        _said.add((doing, str(path)))
        log.warning("%s", what)
