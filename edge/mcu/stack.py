# SPDX-License-Identifier: Apache-2.0
"""How deep the stack gets: what gcc says of each function's frame, along the calls of the whole self-test.

gcc writes the graph of calls with `-fcallgraph-info=su`, a `.ci` file beside each object. No function here has an array
of variable length, and none calls itself, so that the deepest path is a bound for this compiler and its flags. What
interrupts push comes on top of it.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spikerun.edge.mcu import arch
from spikerun.edge.mcu.arch.row import call
from spikerun.edge.mcu.board import Board
from spikerun.edge.mcu.build import FOLDERS, TIMEOUT, sources
from spikerun.errors import TargetError

__all__ = ["Stack", "depths", "graph", "measure"]

LIBRARY = 64  # bytes of a function that comes with the compiler, such as a division; tests hold it
POINTER = "__indirect_call"  # gcc's name for whatever is called through a pointer
THROUGH_POINTERS = ("see", "see_marked", "port_print", "port_ticks", "port_stack_used")  # by the self-test
NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \((\w+)', re.MULTILINE)
EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Stack:
    """Bytes of stack: of the self-test from its start on, of the deepest function of the network, of each kernel.

    The observer is part of the first alone. kernels: by the name in C.
    """

    selftest: int
    network: int
    kernels: Mapping[str, int]


def measure(folder: Path, board: Board, name: str) -> Stack:
    """Compile the files of a bundle with gcc and return what they take; the network's symbols begin with `name`.

    Raises TargetError where they do not compile, or where functions call each other in a circle.
    """
    core = arch.of(board)
    flags = [flag for flag in core.flags if not flag.startswith("-Wl,") and flag != "-nostdlib"]
    command = [*core.compilers["gcc"].command(board), "-std=c99", "-O2", *flags, "-fcallgraph-info=su"]
    command += [f"-I{folder / part}" for part in (*FOLDERS, "port")]
    with tempfile.TemporaryDirectory(prefix="spikerun-") as made:
        done = call([*command, "-c", *map(str, sources(folder, board))], TIMEOUT, Path(made))
        texts = [path.read_text(encoding="utf-8") for path in sorted(Path(made).glob("*.ci"))]
    if done.code != 0 or not texts:
        raise TargetError(f"gcc does not tell what stack '{board.name}' takes: {done.errors.strip()[:1000]}")
    return told(texts, name)


def told(texts: Iterable[str], name: str) -> Stack:
    """Return what gcc's `.ci` files of a bundle tell; the network's symbols begin with `name`.

    Raises TargetError where functions call each other in a circle, or a frame has no fixed size.
    """
    frames, calls = graph(texts)
    through = [title for title in frames if _function(title) in THROUGH_POINTERS]
    whole, alone = depths(frames, calls, through), depths(frames, calls, ())
    own = [size for function, size in alone.items() if function.startswith(f"{name}_") and "selftest" not in function]
    kernels = {function: size for function, size in alone.items() if function.startswith("spikerun_")}
    return Stack(max(whole.get(start, 0) for start in ("port_reset", "port_start")), max(own, default=0), kernels)


def graph(texts: Iterable[str]) -> tuple[dict[str, int], dict[str, set[str]]]:
    """Return the frame of each function in bytes, and which it calls, of gcc's `.ci` files, by gcc's titles.

    A title is the name, behind that of the file if it is static: other files may have another one of this name.

    >>> node = 'node: { title: "a.c:f" label: "f\\\\na.c:1:2\\\\n48 bytes (static)" }'
    >>> graph([node + '\\nedge: { sourcename: "a.c:f" targetname: "g" label: "a.c:3:4" }'])
    ({'a.c:f': 48}, {'a.c:f': {'g'}})
    """
    frames: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for text in texts:
        for title, size, kind in NODE.findall(text):
            if kind != "static":
                raise TargetError(f"the frame of '{_function(title)}' has no fixed size")
            frames[title] = max(int(size), frames.get(title, 0))
        for source, target in EDGE.findall(text):
            calls.setdefault(source, set()).add(target)
    return frames, calls


def _function(title: str) -> str:
    """Return the name of a function of a title."""
    return title.rpartition(":")[2]


def depths(frames: Mapping[str, int], calls: Mapping[str, set[str]], through: Iterable[str]) -> dict[str, int]:
    """Return what a call of each function takes, with all that it calls; `through` are called through pointers.

    >>> depths({"f": 8, "g": 16, "h": 4}, {"f": {"g", "__indirect_call"}, "g": {"__udivsi3"}}, ["h"])
    {'f': 88, 'g': 80, 'h': 4}
    """
    known: dict[str, int] = {}

    def depth(function: str, path: tuple[str, ...]) -> int:
        if function in path:
            circle = ", ".join(map(_function, (*path, function)))
            raise TargetError(f"functions call each other in a circle: {circle}")
        if function not in known:
            targets = through if function == POINTER else calls.get(function, ())
            below = max((depth(target, (*path, function)) for target in targets), default=0)
            known[function] = below + frames.get(function, 0 if function == POINTER else LIBRARY)
        return known[function]

    return {function: depth(function, ()) for function in frames}
