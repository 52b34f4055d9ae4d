# SPDX-License-Identifier: Apache-2.0
"""`spikerun net`: `.net` files of lava-dl to networks and back."""

from pathlib import Path
from typing import Annotated

import typer

from spikerun.atomic import require_writable
from spikerun.console import ForceOption, JsonOption, QuietOption, emit, suggest
from spikerun.edge.loihi.netx import read_net
from spikerun.edge.loihi.netx_write import write_net
from spikerun.errors import UsageError
from spikerun.file import load, require_snn, save
from spikerun.text import plural

__all__ = ["net"]

SCHEMA = "spikerun.net/1"


def net(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A .net file to import, or a .snn file to export.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The .snn or .net file to write.")],
    window: Annotated[
        int | None, typer.Option("--window", min=1, help="Steps of a sample, where a .net file does not say them.")
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Import a .net file of lava-dl, which is integers already, or export a network as one, for lava-dl's netx."""
    ends = (source.suffix, output.suffix)
    if ends not in ((".net", ".snn"), (".snn", ".net")):
        raise UsageError(f"one file is a .net file and the other a .snn file, got '{source}' and '{output}'")
    require_writable(output, force)
    if source.suffix == ".net":
        require_snn(output)
        network = read_net(source, window)
        save(network, output, force)
        said: tuple[str, ...] = ()
    else:
        if window is not None:
            raise UsageError("--window is for .net files to import: a .snn file has its own")
        network = load(source)
        said = write_net(network, output, force)
    neurons = sum(population.size for population in network.populations.values())
    lines = [f"{plural(len(network.populations), 'population')}, {plural(neurons, 'neuron')}, "
             f"{plural(network.window, 'step')} a sample", *said, f"wrote {output}"]  # fmt: skip
    payload = {"wrote": output, "populations": len(network.populations), "neurons": neurons, "window": network.window}
    emit(SCHEMA, {**payload, "remarks": said}, json, "\n".join(lines))
    if output.suffix == ".snn" and not json:
        suggest(f"spikerun inspect {output}", quiet)
