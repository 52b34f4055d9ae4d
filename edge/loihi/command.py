# SPDX-License-Identifier: Apache-2.0
"""`spikerun lava-env`: the environment in which bundles for Loihi are run in Intel's Lava."""

from typing import Annotated

import typer

from spikerun.console import ForceOption, JsonOption, QuietOption, emit, help_text, suggest, table, talk
from spikerun.edge.loihi import lava
from spikerun.errors import TargetError

__all__ = ["app"]

app = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Make, show or remove the environment in which bundles for Loihi are run in Intel's Lava.",
)
SCHEMA = "spikerun.lava-env/1"


@app.callback()
def listing(context: typer.Context, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Make, show or remove the environment in which bundles for Loihi are run in Intel's Lava."""
    if context.invoked_subcommand is None:
        show(json, quiet)


@app.command(
    short_help="Show which Python has Lava.",
    help=help_text("Show which Python has Lava, and which version.", "spikerun lava-env show"),
)
def show(json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show which Python has Lava, and which version."""
    try:
        _emit(lava.find(), json)
    except TargetError as error:
        emit(SCHEMA, {"python": None, "why": str(error)}, json, f"no Lava: {error}")
        if not json:
            suggest("spikerun lava-env create", quiet)


@app.command(
    short_help="Make the environment; about 400 MB.",
    help=help_text(
        "Make an environment with lava-nc 0.10.0 in the user's cache, about 400 MB: of Python 3.10 where it is found, "
        "else of this Python, for which two modules of Lava are changed in memory when they are loaded.",
        "spikerun lava-env create",
    ),
)
def create(
    python: Annotated[
        str | None, typer.Option("--python", metavar="PYTHON", help="Make it of this Python, 3.10 to 3.13.")
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make the environment."""
    _emit(lava.create(lambda stage: talk(stage, quiet or json, style="dim"), python, force), json)


@app.command(
    short_help="Remove the environment.",
    help=help_text("Remove the environment that `create` has made.", "spikerun lava-env remove"),
)
def remove(json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Remove the environment."""
    folder = lava.remove()
    emit(SCHEMA, {"removed": folder}, json, f"removed {folder}")


def _emit(found: lava.Lava, json: bool) -> None:
    rows = {
        "python": str(found.python),
        "python_version": ".".join(map(str, found.python_version)),
        "lava": found.version + ("" if found.tested else f", not {lava.TESTED}, which bundles were tested with"),
        "found": found.found,
    }
    payload = {**rows, "lava": found.version, "tested": found.tested}
    emit(SCHEMA, payload, json, lambda: table((), [(key.replace("_", " "), value) for key, value in rows.items()]))
