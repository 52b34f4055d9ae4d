# SPDX-License-Identifier: Apache-2.0
"""The shape of the house: who may import whom, how light an import is, and what a wheel holds."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("kernels", "converters", "edge", "datasets", "sources")
TORCH = {"torch", "onnx", "safetensors"}
RUNNER = "spikerun.edge.loihi.runner"  # files of a bundle
DEPENDENCIES = {"numpy", "h5py", "typer", "rich"}  # of the core


@dataclass(frozen=True)
class Import:
    """An import statement. `eager`: it runs when the module is imported."""

    importer: str  # dotted name of the importing module, as installed
    module: str
    line: int
    eager: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.module}"

    def within(self, *packages: str) -> bool:
        return any(f"{self.module}.".startswith(f"{package}.") for package in packages)


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the dotted name, as installed, and the path of every module."""
    for folder, package in (("spikerun", "spikerun"), *((room, f"spikerun.{room}") for room in ROOMS)):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join((package, *(part for part in parts if part != "__init__"))), path


def statements(tree: ast.AST, eager: bool = True) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the import statements, and whether each runs at import; those for type checkers only are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, eager
        yield from statements(node, eager and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def imports() -> Iterator[Import]:
    """Yield every import of the package, `from x import y` as x.y where that is a module of ours."""
    known = {name for name, _ in modules()}
    for name, path in modules():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node, eager in statements(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            else:
                base = ".".join(package.split(".")[: 1 - node.level or None]) if node.level else ""
                module = ".".join(part for part in (base, node.module) if part)
                found = [f"{module}.{a.name}" if f"{module}.{a.name}" in known else module for a in node.names]
            yield from (Import(name, module, node.lineno, eager) for module in found)


IMPORTS = list(imports())


def room(name: str) -> str:
    """Return the room of a module: core, commands, or one of ROOMS."""
    second = name.split(".")[1] if "." in name else ""
    if second in ROOMS:
        return second
    return "commands" if second in ("commands", "cli", "console", "__main__") else "core"


def of(*rooms: str) -> list[Import]:
    return [found for found in IMPORTS if room(found.importer) in rooms]


def strangers(found: list[Import], *allowed: str) -> list[str]:
    """Return the imports of spikerun outside `allowed`."""
    return [str(i) for i in found if i.within("spikerun") and not i.within(*allowed)]


def test_the_walk_sees_relative_lazy_and_plain_imports() -> None:
    seen = {(i.importer, i.module, i.eager) for i in IMPORTS}
    assert ("spikerun.kernels.cpu.native", "_spikerun_cpu", True) in seen
    assert ("spikerun.cli", "rich.console", False) in seen
    assert ("spikerun.network", "spikerun.checks", True) in seen
    assert not any(i.importer == "spikerun.checks" and i.module == "spikerun.network" for i in IMPORTS)


def test_core_imports_neither_commands_nor_rooms_but_kernels() -> None:
    upward = [i for i in of("core") if i.within("spikerun") and room(i.module) not in ("core", "kernels")]
    assert [str(i) for i in upward] == []


def test_only_sessions_run_kernels() -> None:
    """The instruction set, and what an executor is, are data and types: the core lowers to them, targets print them."""
    data = tuple(
        f"spikerun.kernels.{name}" for name in ("operations", "program", "liveness", "executor", "philox", "synapses")
    )
    importers = [i for i in of("core", "commands", "converters", "edge") if i.within("spikerun.kernels")]
    known = [i for i in importers if room(i.importer) in ("core", "edge") and i.within(*data)]
    runs = [i for i in importers if i.importer in ("spikerun.session", "spikerun.commands.info")]
    assert [str(i) for i in importers if i not in known + runs] == []


def test_core_needs_only_numpy_h5py_and_the_standard_library() -> None:
    foreign = [i for i in of("core") if not i.within("spikerun", "numpy", "h5py", *sys.stdlib_module_names)]
    assert [str(i) for i in foreign] == []


def test_what_is_optional_is_imported_when_a_command_runs() -> None:
    eager = [i for i in of("commands") if i.eager and not i.within("spikerun", *DEPENDENCIES)]
    assert [str(i) for i in eager if not i.within(*sys.stdlib_module_names)] == []


def test_kernels_datasets_and_sources_know_no_network() -> None:
    shared = ("spikerun.errors", "spikerun.plugins")  # know no network either
    assert strangers(of("kernels"), "spikerun.kernels", "spikerun.atomic", *shared) == []
    datasets = [i for i in of("datasets") if i.importer != "spikerun.datasets.command"]
    events = ("spikerun.events", "spikerun.chunks", "spikerun.atomic")
    files = ("spikerun.hdf5", "spikerun.heap", *events)
    assert strangers(datasets, "spikerun.datasets", "spikerun.sources", *files, *shared) == []
    assert strangers(of("sources"), "spikerun.sources", *files, *shared) == []
    command = [i for i in of("datasets") if i.importer == "spikerun.datasets.command"]
    assert strangers(command, "spikerun.datasets", "spikerun.errors", "spikerun.console") == []


def test_plugins_know_errors_alone() -> None:
    found = [i for i in IMPORTS if i.importer == "spikerun.plugins"]
    assert strangers(found, "spikerun.errors") == []


def test_converters_and_edge_do_not_know_each_other() -> None:
    assert [str(i) for i in of("converters") if i.within("spikerun.edge", "spikerun.commands", "spikerun.cli")] == []
    assert [str(i) for i in of("edge") if i.within("spikerun.converters", "spikerun.commands", "spikerun.cli")] == []


def test_torch_is_imported_eagerly_by_converters_and_the_gpu_only() -> None:
    eager = [i for i in IMPORTS if i.eager and i.within(*TORCH, "triton") and room(i.importer) != "converters"]
    assert [str(i) for i in eager if not i.importer.startswith("spikerun.kernels.gpu.")] == []


def test_nobody_imports_the_rooms_of_the_gpu() -> None:
    """The table of devices names its executor; nothing but that loads torch."""
    others = [i for i in IMPORTS if not i.importer.startswith("spikerun.kernels.gpu")]
    assert [str(i) for i in others if i.within("spikerun.kernels.gpu")] == []


def test_lava_is_imported_by_what_runs_in_its_own_python_and_that_imports_nothing_of_ours() -> None:
    assert [str(i) for i in IMPORTS if i.within("lava") and not i.importer.startswith(RUNNER)] == []
    assert [str(i) for i in IMPORTS if i.within("spikerun") and i.importer.startswith(RUNNER)] == []
    assert [str(i) for i in IMPORTS if i.within(RUNNER)] == []


def test_one_file_imports_the_extension() -> None:
    assert {i.importer for i in IMPORTS if i.within("_spikerun_cpu")} == {"spikerun.kernels.cpu.native"}


def test_imports_of_the_core_run_one_way() -> None:
    """No module of the core imports, at import time, one that leads back to it."""
    graph = {name: {i.module for i in IMPORTS if i.importer == name and i.eager} for name, _ in modules()}
    for start in graph:
        reached, todo = set[str](), [start]
        while todo:
            new = graph.get(todo.pop(), set()) - reached
            reached |= new
            todo += new
        assert start not in reached or start.startswith("spikerun.kernels"), f"{start} imports itself in the end"


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_refuses_another_import_name(name: str) -> None:
    found = run(f"import {name}", check=False)
    assert f"ImportError: import spikerun.{name} instead" in found.stderr


def test_no_module_shadows_the_standard_library() -> None:
    names = {path.stem for _, path in modules()} - {"__init__", "__main__"}
    # A module of a package hides another only where its folder comes onto sys.path, as that of a script does.
    assert names & set(sys.stdlib_module_names) == set()


def run(code: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process, in the checkout."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=check, cwd=ROOT, timeout=60)


def test_import_is_light() -> None:
    """Seconds of the processor, best of five, because other processes may be running."""
    code = "import time; a = time.process_time(); import spikerun; print(time.process_time() - a)"
    assert min(float(run(code).stdout) for _ in range(5)) < 0.3


def test_import_loads_nothing_heavy() -> None:
    loaded = run("import sys, spikerun; print(*sys.modules)").stdout.split()
    assert {"numpy", "h5py", "torch", "onnx", "typer", "rich", "_spikerun_cpu"}.isdisjoint(loaded)


def test_running_a_network_loads_no_torch() -> None:
    loaded = run("import sys, spikerun; [getattr(spikerun, n) for n in spikerun.__all__]; print(*sys.modules)").stdout
    assert {"torch", "onnx", "sklearn", "typer", "rich"}.isdisjoint(loaded.split())


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_the_command_line_starts_fast(words: list[str]) -> None:
    code = f"""
import sys, time
begin = time.process_time()
from spikerun.cli import main
code = main({words})
print(time.process_time() - begin, code, "torch" in sys.modules)
"""
    lines = [run(code).stdout.splitlines()[-1].split() for _ in range(5)]
    assert {(code, torch) for _, code, torch in lines} == {("0", "False")}
    assert min(float(seconds) for seconds, _, _ in lines) < 0.3


def tracked() -> list[Path]:
    """Return the files of the project: what git knows or would know, where there is git, else all sources."""
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(git, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [path for path in (ROOT / name for name in done.stdout.split("\0") if name) if path.is_file()]


def test_no_file_names_a_place_of_one_machine_or_a_registry() -> None:
    # In brackets, so that this file itself does not match.
    pattern = re.compile(rb"[/]work/|[/]root/|[/]opt/dev|pypi[.]org|pytorch[.]org/whl|registry[.]npmjs")
    found = {str(p.relative_to(ROOT)): m[0].decode() for p in tracked() if (m := pattern.search(p.read_bytes()))}
    assert found == {}


SOURCES = {".py", ".c", ".h", ".cpp", ".hpp", ".cu", ".cuh", ".ld", ".toml", ".in"}
# Of templates: they go into a file that has the line.
PARTS = {
    *("step.h.in", "events.h.in", "step.md.in", "serial.md.in", "serial_events.md.in"),
    *("first.md.in", "layout.md.in"),
}


def test_every_source_begins_with_its_licence() -> None:
    """In the first line, of scripts in the second."""
    bare = []
    for path in tracked():
        script = path.read_bytes()[:2] == b"#!"
        if script or path.suffix in SOURCES or path.name == "CMakeLists.txt":
            line = path.read_text(encoding="utf-8").splitlines()[script : script + 1]
            if "SPDX-License-Identifier: Apache-2.0" not in "".join(line) and path.name not in PARTS:
                bare.append(path.relative_to(ROOT).as_posix())
    assert bare == []


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the names in a wheel of the checkout: in CI, of the one that scripts/test has just made."""
    made = list(Path(sys.prefix).glob("wheel/spikerun-*.whl")) if os.environ.get("SPIKERUN_REQUIRE_ALL") == "1" else []
    if made:
        with zipfile.ZipFile(made[0]) as archive:
            return archive.namelist()
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-C", f"build-dir={folder}/build"]
    subprocess.run([sys.executable, *build, "-w", str(folder), str(ROOT)], check=True, timeout=900)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_wheel_holds_every_module_and_data_file(wheel_files: list[str]) -> None:
    expected = {name.replace(".", "/") for name, _ in modules()}
    got = {n.removesuffix(".py").removesuffix("/__init__") for n in wheel_files if n.endswith(".py")}
    assert got == expected
    for pattern in ("*.c", "*.cu", "*.cuh", "*.h", "*.toml", "*.ld", "*.S", "*.css", "*.html", "py.typed"):
        for folder in ("spikerun", *ROOMS):
            for path in (ROOT / folder).rglob(pattern):
                inside = path.relative_to(ROOT).as_posix()
                assert (inside if folder == "spikerun" else f"spikerun/{inside}") in wheel_files


@pytest.mark.slow
def test_wheel_holds_the_extension_and_the_licence(wheel_files: list[str]) -> None:
    assert [n for n in wheel_files if n.startswith("_spikerun_cpu.") and n.endswith((".so", ".pyd"))]
    assert [n for n in wheel_files if n.endswith("/licenses/LICENSE")]


@pytest.mark.slow
def test_wheel_holds_nothing_else(wheel_files: list[str]) -> None:
    ours = ("spikerun/", "_spikerun_cpu.", "_spikerun_cpu-stubs/__init__.pyi", "spikerun-")
    strange = [n for n in wheel_files if not n.startswith(ours)]
    wheel_files = [n for n in wheel_files if not n.startswith("_spikerun_cpu-stubs/")]
    unwanted = [n for n in wheel_files if re.search(r"\.(cpp|hpp|pyi|pyc|o|so\.\d)$|__pycache__|/tests?/|/test_", n)]
    assert (strange, unwanted) == ([], [])


@pytest.mark.slow
def test_optional_dependencies_are_declared() -> None:
    """Whatever a room imports is a dependency or an extra."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    wanted = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
    declared = {re.split(r"[\[<>=! ]", line)[0].lower() for line in wanted}
    packages = {"cuda": "cuda-bindings", "neuromorphic_drivers": "neuromorphic-drivers", "sklearn": "scikit-learn"}
    ours = [i for i in IMPORTS if not i.importer.startswith(RUNNER)]  # which runs in an environment of its own
    foreign = {i.module.split(".")[0] for i in ours} - set(sys.stdlib_module_names) - {"spikerun", "_spikerun_cpu"}
    assert {packages.get(name, name) for name in foreign} <= declared
