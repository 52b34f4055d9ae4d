# SPDX-License-Identifier: Apache-2.0
"""What tests of commands that train share: a folder with a model, its weights and data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Laid = Callable[..., Path]


@pytest.fixture
def laid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laid:
    """Return what lays out a folder, where commands then run: the text of a model, what makes it, and data by split."""

    def lay_out(text: str, made: Callable[[], Any], train: tuple[Any, Any], test: tuple[Any, Any]) -> Path:
        import torch
        from safetensors.torch import save_file

        monkeypatch.chdir(tmp_path)
        Path("model.py").write_text(text)
        torch.manual_seed(0)
        save_file(made().state_dict(), "w.safetensors")
        splits = {
            f"{split}_{what}": x
            for split, pair in (("train", train), ("test", test))
            for what, x in zip(("samples", "labels"), pair, strict=True)
        }
        np.savez("data.npz", **splits)
        return tmp_path

    return lay_out
