# SPDX-License-Identifier: Apache-2.0
"""ONNX's own tests of single operators pass, or are refused for reasons that the documentation counts."""

from pathlib import Path

import numpy as np
import onnx_backend
import pytest
from onnx_backend import FAULTS, PASS, Case, outcome, results, written
from onnxfiles import made, node

PAGE = Path(__file__).resolve().parents[3] / "docs" / "onnx.md"


@pytest.mark.slow  # most of it is what ONNX takes to make its cases
def test_every_case_passes_or_is_refused_for_a_reason_that_the_page_counts(tmp_path: Path) -> None:
    found = list(results(tmp_path))
    assert [(case.name, result) for case, result in found if result in FAULTS] == []
    assert PAGE.read_text() == written(PAGE.read_text(), [(case.operator, result) for case, result in found])


def case(expected: float) -> Case:
    x = np.full((2, 3), -1.0, np.float32)
    return Case("relu", "Relu", made([node("Relu", "x", "y")], {"x": [2, 3]}), [x], [np.full((2, 3), expected)])


def test_wrong_results_and_unknown_reasons_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(case(0.0), tmp_path) == PASS
    assert outcome(case(0.1), tmp_path) == onnx_backend.WRONG
    monkeypatch.setattr(onnx_backend, "REASONS", ())
    lost = Case("lstm", "Det", made([node("Det", "x", "y")], {"x": [2, 3, 3]}), [np.zeros((2, 3, 3), np.float32)], [])
    assert outcome(lost, tmp_path) == onnx_backend.UNKNOWN
