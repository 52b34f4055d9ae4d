# SPDX-License-Identifier: Apache-2.0
"""Formats: files where each tool's documents want them, examples that compile, and packets that are answered.

The rules are those of the pages that `spikerun.edge.mcu.formats` names; PlatformIO's own tool looks in
`scripts/platformio`.
"""

import configparser
import json
import re
import select
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spikerun.connections import Conv, Dense
from spikerun.edge import golden
from spikerun.edge.mcu import board as boards
from spikerun.edge.mcu import deploy, run_bundle
from spikerun.edge.mcu.build import WARNINGS
from spikerun.edge.mcu.model import require_name
from spikerun.errors import UsageError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, Input, Readout
from spikerun.reference import Stepper

Needs = Callable[..., None]
STUBS = Path(__file__).parent / "stubs"
BOARD = "nrf52840"
FORMATS = ("c", "arduino", "platformio", "zephyr")
SOURCES = {"c": ("runtime", "model", "serial"), "arduino": ("src",), "platformio": ("src",)}
SOURCES["zephyr"] = (*SOURCES["c"], "selftest")
CPP = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
CATEGORIES = (
    *("Display", "Communication", "Signal Input/Output", "Sensors", "Device Control"),
    *("Timing", "Data Storage", "Data Processing", "Other"),
)


@pytest.fixture(scope="module")
def net() -> Network:
    """An image of spikes, an output that integrates them and a readout."""
    rng = np.random.default_rng(2)
    populations = {
        "image": Population((2, 5, 4), Input(1, "spikes")),
        "sees": Population((3, 5, 4), IF(np.int32(200), v_min=np.int32(-400))),
        "out": Population((3,), Readout()),
    }
    projections = [
        Projection("image", "sees", Conv(rng.integers(-99, 128, (3, 2, 3, 3)).astype(np.int8), padding=1)),
        Projection("sees", "out", Dense(rng.integers(-99, 128, (60, 3)).astype(np.int8)), delay=1),
    ]
    return Network(populations, projections, ["out"], 4)


@pytest.fixture(scope="module")
def bundles(net: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a bundle of each format, of a network called `ear`."""
    folder = tmp_path_factory.mktemp("formats")
    for name in FORMATS:
        deploy(net, folder / name, BOARD, 2, format=name, name="ear")
    return {name: folder / name for name in FORMATS}


# --- the rules of the tools -----------------------------------------------------------------------------------------


def test_an_unknown_format_is_refused(net: Network, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="arduino"):
        deploy(net, tmp_path / "fw", BOARD, 1, format="arduinos")


def test_every_format_holds_the_same_code(bundles: dict[str, Path]) -> None:
    def code(fw: Path) -> dict[str, str]:
        own = ("examples", "samples")
        return {p.name: p.read_text() for p in fw.rglob("*.[ch]") if p.relative_to(fw).parts[0] not in own}

    assert code(bundles["c"]) == code(bundles["arduino"]) == code(bundles["platformio"]) == code(bundles["zephyr"])


@pytest.mark.parametrize("layout", ["c", "zephyr"])
def test_what_cmake_is_told_to_compile_is_there(bundles: dict[str, Path], layout: str) -> None:
    text = (bundles[layout] / "CMakeLists.txt").read_text()
    named = re.findall(r"[\w/]+\.c\b", text.replace("examples/${kind}.c", ""))
    named += [f"examples/{kind}.c" for kind in re.findall(r"foreach\(kind ?(.*)\)", text)[0].split()]
    needed = named if layout == "c" else [file for file in named if not file.startswith(("examples", "serial"))]
    assert [file for file in needed if not (bundles[layout] / file).is_file()] == []
    assert (layout == "c") == any(file == "examples/frames.c" for file in named)


def test_a_library_of_arduino_is_as_its_specification_says(bundles: dict[str, Path]) -> None:
    fw = bundles["arduino"]
    text = (fw / "library.properties").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = dict(line.split("=", 1) for line in lines)
    wanted = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert len(lines) == len(found)
    assert wanted <= found.keys()
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", found["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["category"] in CATEGORIES
    assert found["architectures"] == boards.load(BOARD).known["arduino"].split(":")[1]
    assert all((fw / "src" / header).is_file() for header in found["includes"].split(","))
    assert {path.name for path in fw.iterdir() if path.is_dir()} == {"src", "examples", "extras"}
    sketches = [path for path in (fw / "examples").iterdir()]
    assert {sketch.name for sketch in sketches} == {"selftest", "frames", "events"}
    assert all((sketch / f"{sketch.name}.ino").is_file() for sketch in sketches)


def test_a_board_that_arduino_does_not_know_is_any_architecture(net: Network, tmp_path: Path) -> None:
    deploy(net, tmp_path / "fw", "generic-cortex-m0", 1, format="arduino")
    assert "architectures=*\n" in (tmp_path / "fw" / "library.properties").read_text()


def test_a_library_of_platformio_is_as_its_documents_say(bundles: dict[str, Path]) -> None:
    fw = bundles["platformio"]
    found = json.loads((fw / "library.json").read_text())
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", found["name"]) and len(found["name"]) <= 50
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["license"] == "Apache-2.0"
    assert len(found["description"]) <= 255
    assert all((fw / "src" / header).is_file() for header in found["headers"])
    platform, ident = boards.load(BOARD).known["platformio"].split(":")
    assert {example["name"] for example in found["examples"]} == {"selftest", "frames", "events"}
    for example in found["examples"]:
        assert all((fw / example["base"] / file).is_file() for file in example["files"])
        project = configparser.ConfigParser()
        project.read(fw / example["base"] / "platformio.ini")
        (section,) = project.sections()
        assert section == f"env:{ident}"
        assert (project[section]["platform"], project[section]["board"]) == (platform, ident)
        assert project[section]["framework"] == "arduino"


def test_a_module_of_zephyr_is_as_its_documents_say(bundles: dict[str, Path]) -> None:
    fw = bundles["zephyr"]
    module = dict(re.findall(r"^\s*(\w+): *(\S.*)$", (fw / "zephyr" / "module.yml").read_text(), re.M))
    assert module["name"] == "spikerun_ear"
    lists = (fw / module["cmake"] / "CMakeLists.txt").read_text()
    (symbol,) = re.findall(r"^config (\w+)$", (fw / module["kconfig"]).read_text(), re.M)
    assert f"if(CONFIG_{symbol})" in lists
    listed = [fw / path for path in re.findall(r"\$\{spikerun_ear\}/(\S+?)\)?$", lists, re.M)]
    sources = {path for path in fw.rglob("*.c") if path.relative_to(fw).parts[0] in SOURCES["zephyr"]}
    assert {path for path in listed if path.suffix == ".c"} == sources - {fw / "selftest" / "main.c"}
    assert all(path.is_dir() for path in listed if path.suffix != ".c")
    for sample in (fw / "samples").iterdir():
        assert f"CONFIG_{symbol}=y" in (sample / "prj.conf").read_text().splitlines()
        text = (sample / "CMakeLists.txt").read_text()
        steps = (
            "cmake_minimum_required",
            "EXTRA_ZEPHYR_MODULES",
            "find_package(Zephyr",
            "project(",
            "target_sources(app",
        )
        assert [text.index(step) for step in steps] == sorted(text.index(step) for step in steps)
        assert (sample / "src" / "main.c").is_file()
    assert "west build -b nrf52840dk/nrf52840 samples/selftest" in (fw / "README.md").read_text()


def test_two_networks_are_two_modules_of_one_application(net: Network, tmp_path: Path, needs: Needs) -> None:
    needs("cmake", "cc")
    for name in ("ear", "eye"):
        deploy(net, tmp_path / name, "host", 1, format="zephyr", name=name)
    given = (f"-DBUNDLES={tmp_path}", "-DNETWORKS=ear;eye")
    subprocess.run(["cmake", "-S", STUBS / "modules", "-B", tmp_path / "build", *given], check=True)
    subprocess.run(["cmake", "--build", tmp_path / "build"], check=True)
    subprocess.run([tmp_path / "build" / "app"], check=True)


@pytest.mark.parametrize("name", ["arduino", "zephyr"])
def test_the_self_test_of_a_format_runs_on_the_emulated_board(
    bundles: dict[str, Path], name: str, needs: Needs
) -> None:
    needs("arm-none-eabi-gcc", "unicorn")
    assert run_bundle(bundles[name], "unicorn", "gcc").identical


@pytest.mark.parametrize("name", ["arduino", "platformio", "zephyr"])
def test_the_command_of_the_readme_runs_the_self_test_here(bundles: dict[str, Path], name: str, needs: Needs) -> None:
    needs("cc")
    (command,) = re.findall(r"^    (cc .*)$", (bundles[name] / "README.md").read_text(), re.M)
    done = subprocess.run(command, shell=True, cwd=bundles[name], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("end 0\n")


# --- the examples ---------------------------------------------------------------------------------------------------


def compiled(fw: Path, name: str, example: str, program: Path, cc: str, cpp: str) -> Path:
    """Compile an example with the library as its format's tool does, and return the program."""
    folder = program.parent
    include = [f"-I{fw / part}" for part in (*SOURCES[name], "port")] + [f"-I{STUBS}"]
    library = [path for part in SOURCES[name] for path in (fw / part).glob("*.c") if path.name != "main.c"]
    c = [cc, "-std=c99", *WARNINGS, *include]
    if name in ("arduino", "platformio"):
        sketch = fw / "examples" / example / (f"{example}.ino" if name == "arduino" else "src/main.cpp")
        subprocess.run([*c, "-c", *library], cwd=folder, check=True)
        also = ["-include", "Arduino.h"] if name == "arduino" else []
        command = [cpp, *CPP, *include, "-x", "c++", *also, str(sketch), str(STUBS / "sketch.cpp"), "-x", "none"]
        subprocess.run([*command, *map(str, folder.glob("*.o")), "-o", str(program)], check=True)
        return program
    here = ("examples/line_host.c", f"examples/{example}.c") if name == "c" else (f"samples/{example}/src/main.c",)
    subprocess.run([*c, *library, *(fw / path for path in here), "-o", program], check=True)
    return program


class Line:
    """A serial line to a program, as pyserial's `Serial` has it."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.timeout = 60.0
        self.loses: int | None = None  # the byte that the next `write` loses

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        if self.loses is not None:
            data = data[: self.loses] + data[self.loses + 1 :]
            self.loses = None
        self.process.stdin.write(data)

    def read(self, count: int) -> bytes:
        assert self.process.stdout is not None
        found = b""
        while len(found) < count and select.select([self.process.stdout], [], [], self.timeout)[0]:
            more = self.process.stdout.read(count - len(found))
            if not more:
                break
            found += more
        return found

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.process.stdout.close()


def host(fw: Path, line: Line, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[str]]:
    """Run the README's first block of Python with a line in place of a port; return its names, and the other blocks."""
    module: Any = ModuleType("serial")
    module.Serial = lambda *arguments, **options: line
    monkeypatch.setitem(sys.modules, "serial", module)
    first, *others = re.findall(r"```python\n(.*?)```", (fw / "README.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(first, names)
    return names, others


@pytest.fixture
def talk(
    bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs: Needs
) -> Iterator[Callable[..., SimpleNamespace]]:
    """Return a function that starts an example and what the README says of it."""
    lines: list[Line] = []

    def start(name: str, example: str, cc: str = "gcc", cpp: str = "g++") -> SimpleNamespace:
        needs(cc, cpp)
        fw = bundles[name]
        line = Line(compiled(fw, name, example, tmp_path / "program", cc, cpp))
        lines.append(line)
        names, others = host(fw, line, monkeypatch)
        return SimpleNamespace(line=line, ask=names["ask"], names=names, others=others)

    yield start
    for line in lines:
        line.close()


@pytest.mark.parametrize(
    ("name", "compilers"),
    [
        ("c", ("gcc", "g++")),
        ("arduino", ("clang", "clang++")),
        ("zephyr", ("gcc", "g++")),
    ],
)
def test_frames_over_a_serial_line_are_answered_as_the_reference_does(
    net: Network, talk: Callable[..., SimpleNamespace], name: str, compilers: tuple[str, str]
) -> None:
    board = talk(name, "frames", *compilers)
    exec(board.others[0], board.names)
    assert board.names["index"] == 0
    frames = golden.random_frames(net, 6)
    expected = golden.make(net, frames)
    for k in range(6):
        payload = frames["image"][k].astype(np.uint8).tobytes()
        assert board.ask(board.line, b"F", payload) == (expected.classes[k], *expected.outputs["out"][k])


@pytest.mark.parametrize(
    ("name", "compilers"),
    [
        ("c", ("clang", "clang++")),
        ("platformio", ("gcc", "g++")),
        ("zephyr", ("clang", "clang++")),
    ],
)
def test_events_over_a_serial_line_are_answered_as_the_reference_does(
    net: Network, talk: Callable[..., SimpleNamespace], name: str, compilers: tuple[str, str]
) -> None:
    board = talk(name, "events", *compilers)
    exec(board.others[1], board.names)
    assert board.ask(board.line, b"R") == ()
    stepper, rng = Stepper(net), np.random.default_rng(1)
    for _ in range(20):
        spikes = rng.integers(0, 2, (2, 5, 4))
        places = np.flatnonzero(spikes).astype("<u2")
        index, *results = board.ask(board.line, b"E", places.tobytes())
        stepper.step({"image": spikes})
        assert results == stepper.state["out"]["v"].ravel().tolist()
        assert index == int(np.argmax(results))


def test_what_is_no_request_is_refused_and_the_next_one_is_answered(talk: Callable[..., SimpleNamespace]) -> None:
    board = talk("c", "frames")
    size = 2 * 5 * 4 * 4
    good = board.ask(board.line, b"F", bytes(size))
    board.line.timeout = 1.0
    for kind, payload, status in ((b"F", bytes(size - 1), 4), (b"F", bytes([2] * size), 2), (b"E", b"\0\0", 255)):
        with pytest.raises(ValueError, match=f"status {status}$"):
            board.ask(board.line, kind, payload)
    with pytest.raises(ValueError, match="status 255"):
        board.ask(board.line, b"F", bytes(size + 1))
    board.line.write(b"noise")
    assert board.ask(board.line, b"F", bytes(size)) == good
    body = b"F" + size.to_bytes(4, "little") + bytes(size)
    board.line.write(b"S" + body + (zlib.crc32(body) ^ 1).to_bytes(4, "little"))
    assert board.line.read(11)[2] == 255
    board.line.write(b"S" + body[:20])  # the rest is lost
    board.line.write(bytes(size))
    assert board.line.read(11)[2] == 255
    assert board.ask(board.line, b"F", bytes(size)) == good


def test_whichever_byte_of_a_request_is_lost_it_is_answered_after_as_many_zeros(
    bundles: dict[str, Path], tmp_path: Path, needs: Needs
) -> None:
    needs("gcc", "g++")
    program = compiled(bundles["c"], "c", "frames", tmp_path / "program", "gcc", "g++")
    body = b"F" + (160).to_bytes(4, "little") + b"\1" * 160
    request = b"S" + body + zlib.crc32(body).to_bytes(4, "little")
    good = subprocess.run([program], input=request, capture_output=True, check=True).stdout
    again = [request[:n] + request[n + 1 :] + bytes(len(request)) + request for n in range(len(request))]
    answered = subprocess.run([program], input=b"".join(again), capture_output=True, check=True).stdout
    assert good[2] == 0 and answered.count(good) == len(request)


@pytest.mark.parametrize("lost", [0, 2, 30])
def test_the_python_of_the_readme_asks_again_where_a_byte_was_lost(
    talk: Callable[..., SimpleNamespace], lost: int
) -> None:
    board = talk("c", "frames")
    good = board.ask(board.line, b"F", bytes(160))
    board.line.timeout, board.line.loses = 1.0, lost
    assert board.ask(board.line, b"F", bytes(160)) == good


def test_the_self_test_is_a_sketch(bundles: dict[str, Path], tmp_path: Path, needs: Needs) -> None:
    needs("gcc", "g++")
    program = compiled(bundles["arduino"], "arduino", "selftest", tmp_path / "program", "gcc", "g++")
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("end 0\n")


def test_every_name_of_a_file_that_is_there_already_is_refused(bundles: dict[str, Path], needs: Needs) -> None:
    needs("gcc", "arm-none-eabi-gcc")
    files = [path.name for bundle in bundles.values() for path in bundle.rglob("*.[hc]") if "ear" not in path.name]
    included = "".join(f"#include <{name}.h>\n" for name in ("stdint", "stddef", "stdio", "stdlib", "string"))
    for cc in ("gcc", "arm-none-eabi-gcc"):
        told = subprocess.run([cc, "-M", "-x", "c", "-"], input=included, capture_output=True, text=True, check=True)
        files += re.findall(r"/include(?:/newlib|/\w+-linux-gnu)?/(\w+\.h)", told.stdout)
    names = {name.split(".")[0] for name in files}
    assert {"line", "line_host", "port", "stdint", "features", "newlib"} <= names
    for name in names:
        with pytest.raises(UsageError, match="cannot begin the symbols and files"):
            require_name(name)


def test_networks_without_events_have_no_example_of_them(tiny: Network, tmp_path: Path) -> None:
    deploy(tiny, tmp_path / "fw", BOARD, 1, format="arduino")
    assert {path.name for path in (tmp_path / "fw" / "examples").iterdir()} == {"selftest", "frames"}
    assert 'b"E"' not in (tmp_path / "fw" / "README.md").read_text()
