# SPDX-License-Identifier: Apache-2.0
"""What the documents tell a user to type works: their commands and Python, in order, and the examples.

Blocks of `sh` and `python` are run, and of plain blocks the lines that call spikerun. What is not run stands in a list.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import warm_python

from spikerun.datasets import fashion_mnist

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

SKIPPED = {  # how a block begins: why it is not run
    "python3 -m venv .venv": "it installs; .ci/run does that, and tests/commands runs the demo",
    "scripts/test": "it runs these tests",
    "pip install '.[camera]'": "it needs an event camera",
    "pip install 'spikerun[gpu]'": "it needs a GPU; tests/commands runs its device by Triton's interpreter",
    "python examples/microcircuit.py --scale 1 ": "it needs a GPU; tests/gpu runs its kernel on the host",
    "spikerun lava-env create": "it installs Lava; .ci/run does that, and tests/in_lava deploys and verifies",
}
# What a reader has at hand where a block begins.
IMAGES = "import numpy as np\nimages = np.random.default_rng(0).integers(0, 256, (4, 1, 28, 28)).astype(np.uint8)\n"
TRAINED = """
from safetensors.torch import load_file
from spikerun import datasets
from model import build
train, test = (datasets.load("fashion-mnist", split=part) for part in ("train", "test"))
model = build()
model.load_state_dict(load_file("w.safetensors"))
model.eval()
"""
GIVEN = {
    "README.md": IMAGES,
    "microcontrollers.md": IMAGES,
    "datasets.md": f"{IMAGES}classes = np.arange(4)\n",
    "conversion.md": TRAINED,
    "sparsity.md": f"import torch\n{TRAINED}",
}
# What every Python that they start executes first: a part of the data tells whether all runs, in a fourth of the time.
FEW = """
from spikerun.datasets import fashion_mnist
whole = fashion_mnist.read
fashion_mnist.read = lambda folder, split: whole(folder, split).first({"train": 2000, "test": 500}[split])
"""
EXAMPLE = 'import runpy\nrunpy.run_path("fashion_mnist.py", run_name="__main__")'
EPOCHS = "EPOCHS, BATCH = 14, 128"


@dataclass(frozen=True)
class Block:
    """A piece of a document to be run: `sh` or `python`."""

    language: str
    text: str

    @property
    def skipped(self) -> str | None:
        """Return why it is not run, or None."""
        return next((why for start, why in SKIPPED.items() if self.text.startswith(start)), None)


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a document that can be run."""
    for language, body in BLOCK.findall(text):
        if language in ("sh", "python"):
            yield Block(language, body)
        elif not language and (commands := re.findall(r"^(?:\$ )?(spikerun (?!.*\.\.\.).*)$", body, re.MULTILINE)):
            yield Block("sh", "\n".join(commands))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with what documents speak of: the example, a model and weights of one's own, a command."""
    if fashion_mnist.locate(None) is None:
        pytest.skip("Fashion-MNIST is not on this machine")
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copy(ROOT / "examples" / "fashion_mnist.py", folder / "model.py")
    shutil.copy(ROOT / "examples" / "fashion_mnist.safetensors", folder / "w.safetensors")
    (folder / "sitecustomize.py").write_text(FEW)
    (folder / "bin").mkdir()
    for name, what in (("spikerun", "warm-python -m spikerun"), ("python", sys.executable)):
        command = folder / "bin" / name
        command.write_text(f'#!/bin/sh\nexec {what} "$@"\n')
        command.chmod(0o755)
    with warm_python.serving(folder / "bin" / "warm-python"):
        yield folder


def run(block: Block, folder: Path, given: str = "") -> None:
    """Run a block in a folder; it fails with what was printed. One that begins with a file's name is that file."""
    if named := re.match(r"# (\w+\.py)\n", block.text):
        (folder / named[1]).write_text(block.text)
        return
    python = f"{given}\n{block.text}"
    command = ["bash", "-euc", block.text] if block.language == "sh" else ["warm-python", "-c", python]
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": f"{folder}:{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{block.text}\n{done.stdout}{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_code_of_a_document_run(document: Path, scratch: Path) -> None:
    if not (scratch / "fashion.snn").exists() and document.name != "README.md":
        convert = "spikerun convert model.py:build --weights w.safetensors --calibration fashion-mnist -o fashion.snn"
        run(Block("sh", convert), scratch)
    for block in blocks(document.read_text(encoding="utf-8")):
        shutil.rmtree(scratch / "firmware", ignore_errors=True)  # several blocks write it
        if block.skipped is None:
            again = re.sub(r"^spikerun convert\b", "spikerun convert --force", block.text, flags=re.MULTILINE)
            again = again.replace("--max-drop 0.1", "--max-drop 1")  # so few samples prove no tenth of a point
            again = re.sub(r"^(spikerun (?:prune|tune)\b.*)$", r"\1 --epochs 0 --force", again, flags=re.MULTILINE)
            run(Block(block.language, again), scratch, GIVEN.get(document.name, ""))


@pytest.mark.slow
def test_the_example_runs_on_a_part_of_its_data(scratch: Path) -> None:
    folder = scratch / "example"
    folder.mkdir()
    text = (ROOT / "examples" / "fashion_mnist.py").read_text()
    assert EPOCHS in text
    (folder / "fashion_mnist.py").write_text(text.replace(EPOCHS, EPOCHS.replace("14", "2")))  # a seventh of the time
    shutil.copy(scratch / "sitecustomize.py", folder)
    (folder / "bin").symlink_to(scratch / "bin")
    run(Block("python", EXAMPLE), folder)
    assert (folder / "fashion.snn").exists()


@pytest.mark.slow
@pytest.mark.parametrize("text", ["spikerun run missing.snn", "warm-python -c \"raise KeyError('missing.snn')\""])
def test_a_command_that_fails_is_shown(scratch: Path, text: str) -> None:
    with pytest.raises(AssertionError, match=r"missing\.snn'"):
        run(Block("sh", text), scratch)


def test_every_example_is_run() -> None:  # by docs/loihi.md, a test above, docs/recurrent.md, docs/sparsity.md
    assert [path.name for path in sorted((ROOT / "examples").glob("*.py"))] == [
        "fashion_average.py",
        "fashion_mnist.py",
        "microcircuit.py",
        "tuned.py",
    ]


def test_what_is_skipped_stands_in_a_document() -> None:
    found = [block.text for document in DOCUMENTS for block in blocks(document.read_text(encoding="utf-8"))]
    assert [start for start in SKIPPED if not any(text.startswith(start) for text in found)] == []


def test_blocks_that_can_be_run_are_found() -> None:
    text = "```sh\na\n```\n```\nout\n```\n```python\nb = 1\n```\n```\n$ spikerun x -o y\nout\n```\n```c\nint c;\n```\n"
    assert [(b.language, b.text) for b in blocks(text)] == [
        ("sh", "a\n"),
        ("python", "b = 1\n"),
        ("sh", "spikerun x -o y"),
    ]
