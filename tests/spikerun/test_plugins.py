# SPDX-License-Identifier: Apache-2.0
"""Tables that other packages extend, and dotted paths."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from spikerun import plugins
from spikerun.errors import UnsupportedError

Packages = Callable[..., None]


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    name: str


@dataclass(frozen=True)
class Entry:
    """An entry point of another package."""

    name: str
    given: object
    value: str = "their.room:row"

    def load(self) -> object:
        return self.given


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Packages:
    return lambda *entries: monkeypatch.setattr(plugins, "entry_points", lambda group: list(entries))


def test_rows_of_other_packages_stand_beside_our_own(packages: Packages) -> None:
    packages(Entry("theirs", Row("theirs")))
    assert plugins.rows("group", Row, {"ours": Row("ours")}) == {"ours": Row("ours"), "theirs": Row("theirs")}


@pytest.mark.parametrize("given", ["no row", Row("other"), None])
def test_what_is_no_row_of_the_name_of_its_entry_is_refused(packages: Packages, given: Any) -> None:
    packages(Entry("theirs", given))
    with pytest.raises(UnsupportedError, match=r"room:row is to be a row of the type Row whose name is 'theirs'"):
        plugins.rows("group", Row, {})


def test_a_name_that_is_taken_is_refused_whoever_has_it(packages: Packages) -> None:
    packages(Entry("ours", Row("ours")))
    with pytest.raises(UnsupportedError, match=r"'ours' of the group group exists already: .* their\.room:row"):
        plugins.rows("group", Row, {"ours": Row("ours")})
    packages(Entry("theirs", Row("theirs")), Entry("theirs", Row("theirs")))
    with pytest.raises(UnsupportedError, match="'theirs' of the group group exists already"):
        plugins.entries("group", {})


def test_a_path_names_an_attribute_of_a_module() -> None:
    assert plugins.resolve("math:floor") is math.floor


@pytest.mark.parametrize("path", ["absent_package:row", "math:absent", "math"])
def test_what_cannot_be_imported_is_said_with_what_to_install(path: str) -> None:
    with pytest.raises(UnsupportedError, match=r"device 'x' cannot be used here: .*; buy it"):
        plugins.resolve(path, "device 'x'", "buy it")
    with pytest.raises((ImportError, AttributeError)):
        plugins.resolve(path)
