"""Write a bundle: into a temporary folder, then renamed; what others put into a bundle is never touched."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikerun.errors import UsageError

__all__ = ["SCHEMA", "place", "read_report", "require_free", "scratch"]

SCHEMA = "spikerun.deploy/1"


def require_free(out: Path, force: bool) -> None:
    """Refuse a folder that is not empty, unless it holds a bundle that may be replaced."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"'{out}' is a file; name a folder for the bundle")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not force:
        raise UsageError(f"'{out}' is not empty; use --force to replace a bundle in it, or another folder")
    if not _written(out):
        raise UsageError(f"'{out}' is not empty and holds no bundle, so --force does not touch it: use another folder")


def _written(folder: Path) -> list[str]:
    """Return the files that a bundle says it consists of; empty if the folder holds no bundle."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    files = report.get("files") if isinstance(report, dict) and report.get("schema") == SCHEMA else None
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else []


def read_report(folder: Path) -> dict[str, Any]:
    """Return the report of the bundle in a folder."""
    if not _written(folder):
        raise UsageError(f"'{folder}' holds no bundle (a report.json of {SCHEMA}); make one with `spikerun deploy`")
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def scratch(out: Path) -> Path:
    """Return a new folder beside `out`, on the same disk. Raises UsageError where none can be made."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise UsageError(f"cannot write a bundle to '{out}': {error.strerror}; choose another folder") from error


def write_all(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files, by name, into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def place(made: Path, out: Path) -> None:
    """Move a finished bundle to `out`; of an earlier one, replace or remove the files that it had written."""
    if not out.exists() or not any(out.iterdir()):
        made.chmod(0o755)  # mkdtemp makes private folders
        os.replace(made, out)
        return
    old, new = set(_written(out)), {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    for name in sorted(new):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(made / name, out / name)
    for name in old - new:
        stale = (out / name).resolve()
        if stale.is_relative_to(out.resolve()):
            stale.unlink(missing_ok=True)
    shutil.rmtree(made)
