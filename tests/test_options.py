# SPDX-License-Identifier: Apache-2.0
"""Every option that a message or a page names is an option of a command."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikerun.cli import COMMANDS, load_command

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("converters", "spikerun", "datasets", "edge", "kernels", "sources")
EVERYWHERE = {"--help", "--version", "--verbose", "--debug", "--install-completion"}
PIP = {"--disable-pip-version-check", "--force-reinstall", "--ignore-requires-python", "--index-url", "--no-deps"}
FOREIGN = {"--gc-sections", "--build", "--gpu-architecture", *PIP}  # of the linker, of CMake, of NVRTC
RUNNER = ROOT / "edge" / "loihi" / "runner" / "__main__.py"  # a program of its own, that bundles bring along
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")


@pytest.fixture(scope="module")
def options() -> set[str]:
    """Return the options of all commands, and of scripts beside them."""
    commands = [load_command(name) for name in COMMANDS]
    commands += [one for command in commands for one in getattr(command, "commands", {}).values()]
    found = {option for command in commands for one in command.params for option in one.opts + one.secondary_opts}
    others = [path for folder in ("benchmarks", "examples") for path in (ROOT / folder).glob("*.py")]
    scripts = "".join(path.read_text() for path in (RUNNER, *others))
    return found | EVERYWHERE | FOREIGN | set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', scripts))


def texts() -> Iterator[tuple[str, str]]:
    """Yield where a text stands, and the text: those of the product's code, and the pages."""
    for path in sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        yield str(path.relative_to(ROOT)), path.read_text()


def test_every_option_that_is_named_is_there(options: set[str]) -> None:
    named = [(where, option) for where, text in texts() for option in OPTION.findall(text)]
    assert {"--nir-reset", "--readout", "--dt"} <= {option for _, option in named}
    assert not [f"{where} names {option}" for where, option in named if option not in options]
