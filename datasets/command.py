# SPDX-License-Identifier: Apache-2.0
"""`spikerun datasets`: what data there are, where they were found, and how to get the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from spikerun import datasets
from spikerun.console import DataDirOption, JsonOption, QuietOption, emit, help_text, progress, suggest, table
from spikerun.errors import SpikerunError

__all__ = ["app"]

app = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    help="List the data sets, and where each was found on this machine.",
)


@dataclass(frozen=True)
class Row:
    """What is shown of one data set."""

    name: str
    summary: str
    splits: Mapping[str, int]
    shape: tuple[int, ...] | None
    hint: str
    found: Path | None
    streams: bool = False

    @property
    def size(self) -> str:
        """Return the shape of a sample, as 1x28x28."""
        return "x".join(map(str, self.shape)) if self.shape else "-"

    @property
    def place(self) -> str:
        """Return where the data set was found, or what to do."""
        return str(self.found) if self.found else f"no: {self.hint}"

    def count(self, split: str) -> str:
        """Return the number of samples of a split."""
        return str(self.splits.get(split, "-"))


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of a data set.")]


@app.callback()
def listing(
    context: typer.Context,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the data sets, and where each was found on this machine."""
    if context.invoked_subcommand is not None:
        return
    rows = [_row(name, data_dir) for name in datasets.names()]
    emit("spikerun.datasets/1", {"datasets": rows}, json, lambda: _overview(rows))
    missing = [row.name for row in rows if row.found is None]
    if missing and not json:
        suggest(f"spikerun datasets info {missing[0]}", quiet)


@app.command(
    short_help="Show one data set.",
    help=help_text(
        "Show one data set: splits, shape, classes, and where it was found.", "spikerun datasets info digits"
    ),
)
def info(
    name: NameArgument, data_dir: DataDirOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show one data set."""
    row = _row(name, data_dir)
    data = datasets.load(name, data_dir) if row.found and not row.streams else None
    read = {"classes": data.classes, "scale": data.scale} if data else {}
    emit("spikerun.datasets.info/1", {**vars(row), **read}, json, lambda: _details(row, data))


@app.command(
    short_help="Download a data set, with checksums.",
    help=help_text(
        "Download a data set that is not on this machine, with checksums. The place is the folder given, or the cache.",
        "spikerun datasets fetch fashion-mnist",
    ),
)
def fetch(
    name: NameArgument, data_dir: DataDirOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Download a data set."""
    source = datasets.provider(name)
    found = source.locate(data_dir)
    if found is None:
        with progress(f"fetching {name}", source.fetch_size(), quiet=quiet, json=json, unit="B") as advance:
            place, done = source.fetch(data_dir, advance), "downloaded and verified"
    else:
        place, done = found, "found, nothing to download"
    result = {"name": name, "found": place, "downloaded": found is None}
    emit("spikerun.datasets.fetch/1", result, json, f"{name}: {done}: {place}")


def _row(name: str, data_dir: Path | None) -> Row:
    try:
        spec = datasets.spec(name)
        found = datasets.provider(name).locate(data_dir)
    except (SpikerunError, ImportError) as error:
        if name in datasets.TABLE or name not in datasets.names():
            raise
        # another package's data set that is broken must not hide all others
        return Row(name, f"broken: {error}", {}, None, "see its own documentation", None)
    hint = spec.hint if data_dir is None else f"leave out --data-dir, or {spec.hint}"
    return Row(name, spec.summary, spec.splits, spec.shape, hint, found, spec.streams)


def _overview(rows: list[Row]) -> str:
    return table(
        ("name", "train", "test", "shape", "found"),
        [(row.name, row.count("train"), row.count("test"), row.size, row.place) for row in rows],
        right=(1, 2),
    )


def _details(row: Row, data: datasets.Dataset | None) -> str:
    lines = [
        ("name", row.name),
        ("what", row.summary),
        ("train", f"{row.count('train')} {'streams' if row.streams else 'samples'}"),
        ("test", f"{row.count('test')} {'streams' if row.streams else 'samples'}"),
        ("shape", row.size),
        ("found", row.place),
    ]
    if data is not None:
        lines += [("classes", ", ".join(data.classes)), ("scale", f"{data.scale:.6g} for each integer unit")]
    return table((), lines)
