# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels are kept, under a name that says what they were made of."""

from pathlib import Path

import pytest

from spikerun.kernels.gpu import compile as compiling


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return what has been compiled so far, by a compiler that copies."""
    found: list[str] = []

    def copy(source: str, options: tuple[str, ...]) -> bytes:
        found.append(source)
        return source.encode() + options[-1].encode()

    monkeypatch.setattr(compiling, "_compile", copy)
    monkeypatch.setattr(compiling, "_version", lambda: "1.2")
    monkeypatch.setenv("SPIKERUN_CUDA_CACHE", str(tmp_path / "new"))
    return found


def test_a_source_is_compiled_once_for_each_architecture(compiled: list[str]) -> None:
    assert compiling.machine_code("a", (9, 0)) == compiling.machine_code("a", (9, 0))
    assert compiling.machine_code("a", (8, 0)) != compiling.machine_code("a", (9, 0))
    assert compiled == ["a", "a"]


def test_the_folder_can_be_off(compiled: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPIKERUN_CUDA_CACHE", "off")
    compiling.machine_code("a", (9, 0))
    compiling.machine_code("a", (9, 0))
    assert compiled == ["a", "a"]
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_kept_is_said(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPIKERUN_CUDA_CACHE", str(tmp_path / "file" / "folder"))
    assert compiling.machine_code("a", (9, 0))
    assert "SPIKERUN_CUDA_CACHE names another folder" in caplog.text
