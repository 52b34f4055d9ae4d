# SPDX-License-Identifier: Apache-2.0
"""`spikerun deploy` and `spikerun targets`."""

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spikerun import edge
from spikerun.atomic import as_path
from spikerun.console import (
    DataDirOption,
    ForceOption,
    JsonOption,
    NetworkArgument,
    QuietOption,
    emit,
    suggest,
    table,
    talk,
)
from spikerun.edge.bundle import SCHEMA, require_free
from spikerun.edge.target import Bundle, Frames, Options, Tool, Verdict, parse
from spikerun.errors import CheckFailed, UsageError
from spikerun.file import load
from spikerun.inputs import sample_shape
from spikerun.network import Network
from spikerun.text import plural

__all__ = ["deploy", "targets"]

DEFAULT_SAMPLES = 16
TargetOption = Annotated[str, typer.Option("--target", "-t", help="The target, as `spikerun targets` lists them.")]
OutOption = Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="The folder for the bundle.")]
RunOption = Annotated[
    bool, typer.Option("--run", "--verify", help="Build the bundle, run it, compare it with the reference.")
]
CheckOption = Annotated[
    bool,
    typer.Option("--check", help="Only say whether the network fits, what a run takes, and what would be faster."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option of the target, as `spikerun targets` lists them."),
]
NameOption = Annotated[str | None, typer.Option("--name", help="--set name=..., if the target has it.")]
FormatOption = Annotated[str | None, typer.Option("--format", help="--set format=..., if the target has it.")]
EmulatorOption = Annotated[str | None, typer.Option("--emulator", help="--set emulator=..., if the target has it.")]
ToolchainOption = Annotated[str | None, typer.Option("--toolchain", help="--set toolchain=..., if the target has it.")]
SamplesOption = Annotated[int, typer.Option("--samples", min=1, help="Golden samples in the self-test.")]
DataOption = Annotated[
    str | None,
    typer.Option("--data", help="A data set or a .npz file for the samples, else random ones; it tells the activity."),
]


def deploy(
    network: NetworkArgument,
    target: TargetOption,
    output: OutOption = None,
    run: RunOption = False,
    check: CheckOption = False,
    samples: SamplesOption = DEFAULT_SAMPLES,
    data: DataOption = None,
    data_dir: DataDirOption = None,
    given: SetOption = None,
    name: NameOption = None,
    layout: FormatOption = None,
    emulator: EmulatorOption = None,
    toolchain: ToolchainOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a bundle for a target: sources, self-test with golden samples, memory report; and run it.

    A network that does not fit the target's memory is refused, with advice, before anything is written. With --check
    nothing is: microcontrollers then also say how deep the stack gets, what a run takes and how long, and what dense
    int8 would take; each figure with how it was found. Give --data, so that activity is measured.
    """
    if check and (run or output is not None):
        raise UsageError("--check writes nothing and runs nothing: leave out -o, --run and --verify, or --check")
    chosen = edge.load(target)
    options = _options(
        chosen, given or [], {"name": name, "format": layout, "emulator": emulator, "toolchain": toolchain}
    )
    net = load(network)
    if check:
        _check(chosen, net, options, _samples(net, data, data_dir, samples), json)
        return
    if output is None:
        raise UsageError("name a folder for the bundle with -o, or ask with --check whether the network fits")
    require_free(as_path(output), force)  # before data are read
    if run:
        chosen.require(options)
    frames = _samples(net, data, data_dir, samples)
    bundle = chosen.deploy(net, output, frames, options, run=run, force=force)
    shown = {**bundle.json(), "bundle": output, "report": output / "report.md"}
    emit(SCHEMA, shown, json, lambda: _deployed(bundle))
    if bundle.run is not None and not bundle.run.identical:
        raise CheckFailed(
            f"'{output}' does not compute what the reference does: {'; '.join(bundle.run.mismatches[:5])}"
            + (f"; and {len(bundle.run.mismatches) - 5} more in report.md" if len(bundle.run.mismatches) > 5 else "")
        )
    if not run and not json:
        words = ["spikerun", "deploy", str(network), "--target", target, "-o", str(output)]
        words += [f"--data={data}"] * (data is not None) + [f"--data-dir={data_dir}"] * (data_dir is not None)
        words += [f"--samples={samples}"] * (samples != DEFAULT_SAMPLES)
        suggest(shlex.join([*words, *_given(options), "--run", "--force"]), quiet)


def _options(target: edge.Target, given: list[str], short: Mapping[str, str | None]) -> Options:
    """Return the options of a target from `--set key=value`, and from `short`, the words of the command for some."""
    values = {key: value for key, value in short.items() if value is not None}
    known = [f.name for f in fields(target.options)]
    if strange := [f"--{key}" for key in values if key not in known]:
        has = f"its options are {', '.join(known)} (--set KEY=VALUE)" if known else "it has no options"
        raise UsageError(f"target '{target.name}' has no {' or '.join(strange)}: {has}")
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes KEY=VALUE, got '{text}'")
        if key in values:
            raise UsageError(f"option '{key}' is given twice")
        values[key] = value
    return parse(target.name, target.options, values)


def _given(options: Options) -> list[str]:
    """Return the words that give the same options, those that are not as they are without."""
    chosen = {f.name: getattr(options, f.name) for f in fields(options) if getattr(options, f.name) != f.default}
    return [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]


def _samples(net: Network, data: str | None, folder: Path | None, count: int) -> Frames | int:
    """Return the first samples of a data set, or the number of random ones."""
    if data is None:
        return count
    from spikerun import datasets

    found = datasets.load_inputs(data, net.inputs, folder, limit=count, meta=net.meta)
    given = len(next(iter(found.values())))
    if given < count:
        talk(f"'{data}' has {plural(given, 'sample')} only")
    return {name: np.asarray(dataset.fitted(sample_shape(net, name))) for name, dataset in found.items()}


def _check(chosen: edge.Target, net: Network, options: Options, frames: Frames | int, json: bool) -> None:
    verdict = chosen.check(net, options, frames)
    emit(SCHEMA, verdict.json(), json, lambda: _judged(verdict))
    if not verdict.fits:
        raise CheckFailed(f"the network does not fit '{chosen.name}': {' '.join(verdict.complaints)}")


def _judged(verdict: Verdict) -> str:
    """Return the tables, each measure beside its limit if it has one and with its label, and the verdict."""
    measures, lines = verdict.measures, []
    for judged in (verdict.table, *verdict.tables.values()):
        numbers = [k for k, _ in enumerate(judged.columns) if any(isinstance(r[k], int | float) for r in judged.rows)]
        lines += [table(judged.columns, judged.rows, right=numbers), ""]
    for key, value in measures.items():
        if not key.endswith("_limit"):
            limit = measures.get(key.removesuffix("_bytes") + "_limit")
            label = f" ({verdict.labels[key]})" if key in verdict.labels else ""
            lines.append(f"{key.replace('_', ' ')}: {value}" + ("" if limit is None else f" of {limit}") + label)
    lines += [f"note: {note.removesuffix('.')}" for note in verdict.notes]
    return "\n".join([*lines, f"fits '{verdict.target}': {'yes' if verdict.fits else 'no'}"])


def _deployed(bundle: Bundle) -> str:
    lines = [_judged(bundle.verdict), f"bundle: {bundle.path}"]
    if bundle.run is not None:
        if bundle.run.parts is not None:
            parts = bundle.run.parts
            lines += ["", table(parts.columns, parts.rows, right=range(1, len(parts.columns))), ""]
        verdict = "yes" if bundle.run.identical else "no"
        lines.append(f"{plural(bundle.samples, 'sample')} on {bundle.run.where}, identical: {verdict}")
    return "\n".join(lines)


def targets(json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List the targets, whether the tools that run them are on this machine, and what to install.

    Where the numbers of a board are from stands in its file and in each bundle's report.md.
    """
    found = [_row(target) for _, target in sorted(edge.targets().items())]
    emit("spikerun.targets/1", {"targets": found}, json, lambda: _listing(found))
    if not json:
        suggest("spikerun deploy NET.snn --target generic-cortex-m4 -o firmware/ --run", quiet)


def _row(target: edge.Target) -> dict[str, Any]:
    tools = target.tools()
    purposes = dict.fromkeys(tool.purpose for tool in tools)
    install = [_install(tools, purpose) for purpose in purposes if not _present(tools, purpose)]
    options = [{"name": f.name, "default": f.default, "help": f.metadata["help"]} for f in fields(target.options)]
    return {
        "name": target.name,
        "summary": target.summary,
        **target.facts,
        "ready": not install,
        "tools": [{"name": t.name, "purpose": t.purpose, "path": t.path, "install": t.install} for t in tools],
        "install": install,
        "options": options,
    }


def _present(tools: list[Tool], purpose: str) -> list[str]:
    return [tool.name for tool in tools if tool.purpose == purpose and tool.path]


def _install(tools: list[Tool], purpose: str) -> str:
    return f"{purpose}: " + " or ".join(dict.fromkeys(t.install for t in tools if t.purpose == purpose))


def _listing(rows: list[dict[str, Any]]) -> str:
    """Return the targets, what to install for those that lack it, and the options, each once for all its targets."""
    names = [row["name"] for row in rows]
    needs: dict[str, list[str]] = {}
    options: dict[tuple[str, Any, str], list[str]] = {}
    for row in rows:
        for need in row["install"]:
            needs.setdefault(need, []).append(row["name"])
        for o in row["options"]:
            options.setdefault((o["name"], o["default"], o["help"]), []).append(row["name"])
    heads = ("target", "core", "clock", "flash", "RAM", "ready", "what it is")
    listed = [(name, default, text, _several(where, names)) for (name, default, text), where in options.items()]
    parts = [
        table(heads, [_cells(row) for row in rows], right=(2, 3, 4)),
        *(f"missing for {_several(where, names)}: {need.replace(': ', ', ', 1)}" for need, where in needs.items()),
        "",
        table(("--set", "default", "what it is", "targets"), listed),
    ]
    return "\n".join(parts)


def _cells(row: Mapping[str, Any]) -> list[str]:
    clock = f"{row['clock_hz'] / 1e6:g} MHz" if "clock_hz" in row else "-"
    sizes = [_size(row[key]) if key in row else "-" for key in ("flash_bytes", "ram_bytes")]
    return [row["name"], row.get("core", "-"), clock, *sizes, "yes" if row["ready"] else "no", row["summary"]]


def _size(count: int) -> str:
    """Return a number of bytes as data sheets write it.

    >>> _size(262144), _size(4 << 20), _size(4325376)
    ('256 KB', '4 MB', '4224 KB')
    """
    return f"{count >> 20} MB" if count % (1 << 20) == 0 else f"{count >> 10} KB"


def _several(some: list[str], names: list[str]) -> str:
    """Return names of targets, or where they are most of all of them, those that are missing.

    >>> _several(["a", "b", "c"], ["a", "b", "c", "d"]), _several(["a"], ["a", "b"])
    ('all but d', 'a')
    """
    others = [name for name in names if name not in some]
    if len(others) >= len(some):
        return ", ".join(some)
    return f"all but {', '.join(others)}" if others else "all"
