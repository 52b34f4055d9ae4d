# SPDX-License-Identifier: Apache-2.0
"""Formats of bundles: how the same files lie for the tool that takes them, and what that tool wants beside them.

Sources of the rules: Arduino's library specification (https://docs.arduino.cc/arduino-cli/library-specification), what
PlatformIO says of library.json and platformio.ini (https://docs.platformio.org), and of modules Zephyr
(https://docs.zephyrproject.org/latest/develop/modules.html).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spikerun.edge.mcu.board import Board
from spikerun.edge.mcu.emit import fill_in
from spikerun.edge.mcu.model import Model

__all__ = ["FORMATS", "KINDS", "Format", "kinds", "laid_out"]

KINDS = ("frames", "events")  # of requests on a serial line
VERSION = "1.0.0"
ARDUINO = "#include <Arduino.h>\n"  # which sketches have anyway
WHOLE = ("runtime", "model", "serial", "selftest")


@dataclass(frozen=True)
class Format:
    """A format: where a file of the plain bundle lies (None: nowhere), and the files of its own."""

    place: Callable[[str], str | None]
    files: Callable[[Model, Board, list[str]], dict[str, str]]


def kinds(model: Model) -> tuple[str, ...]:
    """Return the kinds of requests that a network answers."""
    return KINDS if model.binary else KINDS[:1]


def laid_out(name: str, model: Model, board: Board, files: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a plain bundle as a format has them, with those of its own."""
    found = FORMATS[name]
    placed = {place: text for path, text in files.items() if (place := found.place(path)) is not None}
    return placed | found.files(model, board, sorted(path for path in files if path.endswith(".c")))


def _flat(path: str) -> str | None:
    """Return where a file lies in a library whose sources are in one folder.

    >>> _flat("runtime/spikerun.h"), _flat("port/port.h"), _flat("port/board.ld"), _flat("selftest/main.c")
    ('src/spikerun.h', 'src/port.h', 'extras/port/board.ld', 'extras/selftest/main.c')
    """
    folder, _, file = path.rpartition("/")
    if path in ("CMakeLists.txt", "toolchain.cmake"):
        return None
    if path == "port/port.h" or (folder in WHOLE and file != "main.c"):
        return f"src/{file}"
    return f"extras/{path}" if folder else path


def _names(model: Model, **more: str) -> dict[str, str]:
    return {"name": model.name, "NAME": model.name.upper(), **more}


def _c(model: Model, board: Board, sources: list[str]) -> dict[str, str]:
    lines = {f"examples/{file}": fill_in(f"c/{file}") for file in ("line.h", "line_host.c")}
    return lines | {f"examples/{kind}.c": fill_in("c/serial.c", **_names(model, kind=kind)) for kind in kinds(model)}


def _sketches(model: Model, arduino: str) -> dict[str, str]:
    """Return the sketches by name; `arduino`: a line that they begin with."""
    made = {kind: fill_in("arduino/serial.ino", **_names(model, kind=kind, arduino=arduino)) for kind in kinds(model)}
    return {"selftest": fill_in("arduino/selftest.ino", **_names(model, arduino=arduino)), **made}


def _arduino(model: Model, board: Board, sources: list[str]) -> dict[str, str]:
    architecture = board.known.get("arduino", "*").split(":")
    properties = _names(model, architecture=architecture[1] if len(architecture) > 1 else "*")
    files = {f"examples/{name}/{name}.ino": text for name, text in _sketches(model, "").items()}
    return files | {"library.properties": fill_in("arduino/library.properties", **properties)}


def _platformio(model: Model, board: Board, sources: list[str]) -> dict[str, str]:
    files = {}
    if "platformio" in board.known:
        platform, _, ident = board.known["platformio"].partition(":")
        for name, text in _sketches(model, ARDUINO).items():
            files[f"examples/{name}/platformio.ini"] = fill_in(
                "platformio/platformio.ini", platform=platform, board=ident
            )
            files[f"examples/{name}/src/main.cpp"] = text
    examples = [
        {"name": path.split("/")[1], "base": path.rpartition("/")[0], "files": ["platformio.ini", "src/main.cpp"]}
        for path in files
        if path.endswith(".ini")
    ]
    library = {
        "name": f"spikerun-{model.name.replace('_', '-').strip('-')}",
        "version": VERSION,
        "description": f"The spiking network '{model.name}' as plain C, with its self-test",
        "keywords": ["spiking", "neural network"],
        "license": "Apache-2.0",
        "frameworks": "*",
        "platforms": "*",
        "headers": [f"{model.name}.h", f"{model.name}_serial.h", f"{model.name}_selftest.h"],
        **({"examples": examples} if examples else {}),
    }
    return files | {"library.json": json.dumps(library, indent=2) + "\n"}


def _zephyr(model: Model, board: Board, sources: list[str]) -> dict[str, str]:
    own = [path for path in sources if path.startswith(WHOLE) and not path.endswith("/main.c")]
    here = "        ${spikerun_" + model.name + "}/"
    shared = [path for path in own if path.rpartition("/")[2].startswith("spikerun_")]
    listed = {"shared": "\n".join(here + path for path in shared)}
    listed["sources"] = "\n".join(here + path for path in own if path not in shared)
    listed["folders"] = "\n".join(here + folder for folder in (*WHOLE, "port"))
    files = {
        "zephyr/module.yml": fill_in("zephyr/module.yml", **_names(model)),
        "zephyr/Kconfig": fill_in("zephyr/Kconfig", **_names(model)),
        "zephyr/CMakeLists.txt": fill_in("zephyr/CMakeLists.txt", **_names(model, **listed)),
    }
    for kind in ("selftest", *kinds(model)):
        main = "zephyr/selftest.c" if kind == "selftest" else "zephyr/serial.c"
        files[f"samples/{kind}/CMakeLists.txt"] = fill_in("zephyr/sample.txt", **_names(model, kind=kind))
        files[f"samples/{kind}/prj.conf"] = fill_in("zephyr/prj.conf", **_names(model)) + (
            "" if kind == "selftest" else "CONFIG_CONSOLE=n\nCONFIG_UART_CONSOLE=n\nCONFIG_BOOT_BANNER=n\n"
        )
        files[f"samples/{kind}/src/main.c"] = fill_in(main, **_names(model, kind=kind))
    return files


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "c": Format(lambda path: path, _c),
        "arduino": Format(_flat, _arduino),
        "platformio": Format(_flat, _platformio),
        "zephyr": Format(lambda path: path, _zephyr),
    }
)
