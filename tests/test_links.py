# SPDX-License-Identifier: Apache-2.0
"""What the documents point to is there: links, and files that they name."""

import re
from fnmatch import filter as matching
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "kernels/README.md", "tests/data/README.md")
DOCUMENTS = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - {"build"}
THERE = {*FOLDERS, *(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*"))}
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
NAMED = re.compile(r"`([\w.*-]+/[\w.*/-]*)`")


def named(text: str) -> list[str]:
    """Return patterns of the files that a text names: with their folder from the root on, or by their name alone."""
    patterns = []
    for name in NAMED.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        first, _, last = name.replace("NAME", "*").rpartition("/")
        if first.split("/")[0] in FOLDERS:
            patterns.append(f"{first}/{last}".rstrip("/"))
        elif re.search(r"\.(py|pyi|c|h|cpp|hpp|toml|md)$", last):  # within a folder that the text speaks of
            patterns.append(f"*/{last}")
    return patterns


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    links = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_are_named_exist(document: Path) -> None:
    assert [pattern for pattern in named(document.read_text()) if not matching(THERE, pattern)] == []


def test_names_are_found() -> None:
    text = "`spikerun/file.py`, `edge/`, `tests/test_NAME.py`; `runtime/x.c` but `a/b` and `/meta` are none\n"
    assert named(text) == ["spikerun/file.py", "edge", "tests/test_*.py", "*/x.c"]
