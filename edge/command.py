"""`spikerun deploy` and `spikerun targets`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spikerun import edge
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
from spikerun.edge.target import Frames, Tool
from spikerun.errors import CheckFailed, DataError, UsageError
from spikerun.file import load
from spikerun.network import Network

__all__ = ["deploy", "targets"]

SCHEMA = "spikerun.deploy/1"

TargetOption = Annotated[str, typer.Option("--target", "-t", help="The target, as `spikerun targets` lists them.")]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="The folder for the bundle.")]
RunOption = Annotated[bool, typer.Option("--run", help="Build the bundle, run it, compare it with the reference.")]
CheckOption = Annotated[bool, typer.Option("--check", help="Only say whether the network fits; write nothing.")]
EmulatorOption = Annotated[str, typer.Option("--emulator", help="qemu, unicorn, or auto: what is found first.")]
ToolchainOption = Annotated[str, typer.Option("--toolchain", help="gcc, zig, or auto: what is found first.")]
SamplesOption = Annotated[int, typer.Option("--samples", min=1, help="Golden samples in the self-test.")]
DataOption = Annotated[
    str | None, typer.Option("--data", help="A data set or a .npz file for the samples; without it they are random.")
]


def deploy(
    network: NetworkArgument,
    target: TargetOption,
    out: OutOption = None,
    run: RunOption = False,
    check: CheckOption = False,
    samples: SamplesOption = 16,
    data: DataOption = None,
    data_dir: DataDirOption = None,
    emulator: EmulatorOption = "auto",
    toolchain: ToolchainOption = "auto",
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a bundle for a target: sources, self-test with golden samples, memory report; and run it.

    A network that does not fit the target's memory is refused, with advice, before anything is written.
    """
    chosen, net = edge.load(target), load(network)
    if check:
        _check(chosen, net, json)
        return
    if out is None:
        raise UsageError("name a folder for the bundle with -o, or ask with --check whether the network fits")
    frames = _samples(net, data, data_dir, samples)
    bundle = chosen.deploy(net, out, frames, run=run, emulator=emulator, toolchain=toolchain, force=force)
    report = {key: value for key, value in bundle.report.items() if key not in ("schema", "files")}
    shown = {**report, "bundle": out, "report": out / "report.md"}
    emit(SCHEMA, shown, json, lambda: _deployed(shown))
    if bundle.run is not None and not bundle.run.identical:
        raise CheckFailed(
            f"'{out}' does not compute what the reference does: {'; '.join(bundle.run.mismatches[:5])}"
            + (f"; and {len(bundle.run.mismatches) - 5} more in report.md" if len(bundle.run.mismatches) > 5 else "")
        )
    if not run and not json:
        suggest(f"spikerun deploy {network} --target {target} -o {out} --run --force", quiet)


def _samples(net: Network, data: str | None, folder: Path | None, count: int) -> Frames | int:
    """Return the first samples of a data set, or the number of random ones."""
    if data is None:
        return count
    from spikerun import datasets

    if len(net.inputs) != 1:
        raise DataError(f"the network has {len(net.inputs)} inputs; data sets feed networks of one: leave --data out")
    found: Frames = datasets.load(data, folder=folder, limit=count).fitted(net.populations[net.inputs[0]].shape)
    if len(found) < count:
        talk(f"'{data}' has {len(found)} samples only")
    return found


def _check(chosen: edge.Target, net: Network, json: bool) -> None:
    report = dict(chosen.check(net))
    del report["schema"]
    emit(SCHEMA, report, json, lambda: _memory(report))
    if not report["fits"]:
        raise CheckFailed(f"the network does not fit '{chosen.name}': {' '.join(report['advice'])}")


def _memory(report: dict[str, Any]) -> str:
    keys = ("population", "kind", "neurons", "flash", "words", "membranes")
    rows = [[row[key] for key in keys] for row in report["populations"]]
    bound = "" if report["measured"] else " at most"
    totals = [
        f"{what}:{bound} {report[f'{key}_bytes']} bytes{_limit(report[f'{key}_limit'])}"
        for what, key in (("flash", "flash"), ("RAM", "ram"))
    ]
    fits = f"fits '{report['target']}': {'yes' if report['fits'] else 'no'}"
    return "\n".join([table(keys, rows, right=(2, 3, 4, 5)), "", *totals, fits])


def _limit(limit: int | None) -> str:
    return "" if limit is None else f" of {limit}"


def _deployed(report: dict[str, Any]) -> str:
    lines = [_memory(report), f"bundle: {report['bundle']}"]
    if report["identical"] is not None:
        where = "this computer" if report["emulator"] == "none" else report["emulator"]
        verdict = "yes" if report["identical"] else "no"
        lines.append(f"{report['samples']} samples on {where} ({report['toolchain']}), identical: {verdict}")
    if report["instructions_per_inference"] is not None:
        lines.append(f"emulated instructions per inference: {report['instructions_per_inference']}")
    return "\n".join(lines)


def targets(json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List the targets, whether the tools that run them are on this machine, and what to install."""
    found = [_row(name, spec) for name, spec in sorted(edge.targets().items())]
    emit("spikerun.targets/1", {"targets": found}, json, lambda: _listing(found))
    if not json:
        suggest("spikerun deploy NET.snn --target generic-cortex-m4 -o firmware/ --run", quiet)


def _row(name: str, spec: edge.TargetSpec) -> dict[str, Any]:
    tools = spec.load().tools()
    purposes = dict.fromkeys(tool.purpose for tool in tools)
    install = [_install(tools, purpose) for purpose in purposes if not _present(tools, purpose)]
    return {
        "name": name,
        "summary": spec.summary,
        "ready": not install,
        "tools": [{"name": t.name, "purpose": t.purpose, "path": t.path, "install": t.install} for t in tools],
        "install": install,
    }


def _present(tools: list[Tool], purpose: str) -> list[str]:
    return [tool.name for tool in tools if tool.purpose == purpose and tool.path]


def _install(tools: list[Tool], purpose: str) -> str:
    return f"{purpose}: " + " or ".join(dict.fromkeys(t.install for t in tools if t.purpose == purpose))


def _listing(rows: list[dict[str, Any]]) -> str:
    cells = [
        [
            row["name"],
            "yes" if row["ready"] else "no",
            ", ".join(tool["name"] for tool in row["tools"] if tool["path"]) or "-",
            row["summary"],
        ]
        for row in rows
    ]
    needs = [f"{row['name']} needs a {need}" for row in rows for need in row["install"]]
    return "\n".join([table(("target", "ready", "tools found", "what it is"), cells), *needs])
