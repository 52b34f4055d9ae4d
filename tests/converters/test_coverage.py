# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/operators.md are those of the rules, and every rule says what it does."""

from pathlib import Path

import pytest
from coverage_page import DIALECTS, written

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


def test_the_page_says_what_the_rules_do() -> None:
    assert PAGE.read_text() == written(PAGE.read_text()), "scripts/coverage writes it"


@pytest.mark.parametrize("name", DIALECTS)
def test_every_rule_says_what_it_does(name: str) -> None:
    assert [operator for operator, meaning in DIALECTS[name].coverage() if not meaning] == []
