# SPDX-License-Identifier: Apache-2.0
"""What a page shows of a search: what was measured of the frontier, the one that is taken, how sensitive layers are."""

import re
from dataclasses import replace

import numpy as np
import pytest

from spikerun.converters.accuracy import Accuracy
from spikerun.converters.found import Candidate, Choice, Found, Price
from spikerun.converters.report import Report
from spikerun.converters.search_page import search_parts

CHOICES = [{"a": Choice(bits, "bits"), "b": Choice(2, "ttfs", 1.5)} for bits in (6, 4, 3, 2)]
DROPS = (0.0, None, 0.3, 0.9)
FOUND = Found(
    "synops", "accuracy", 0.5, 0.95, True, 2,
    tuple(
        Candidate(
            choices, k / 10, 900.0 - 100 * k, *((None,) * 4 if drop is None else
            (800.0 - 100 * k, 700.0, Accuracy(500, 95.0, 95.0 - drop, 99.0, 0.1), drop + 0.2)),
        )
        for k, (choices, drop) in enumerate(zip(CHOICES, DROPS, strict=True))
    ),
    (
        Price("a", Choice(2, "bits"), 0.4, 9.0), Price("a", Choice(6, "bits"), 0.1, 20.0),
        Price("b", Choice(2, "bits"), 0.2, 5.0),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def page() -> str:
    return "\n".join(search_parts(FOUND))


def test_the_chart_shows_what_was_measured_and_marks_what_is_taken(page: str) -> None:
    points = re.findall(r'<circle class="(\w+)" cx="([\d.]+)" cy="([\d.]+)"', page)
    assert [kind for kind, _, _ in points] == ["one", "two", "one"]
    across, down = np.array([point[1:] for point in points], float).T
    assert across[0] > across[1] > across[2] and down[0] > down[1] > down[2]  # cheaper is left, a larger drop higher
    assert (down[1] - down[0]) * 2 == pytest.approx(down[2] - down[1], abs=0.3) and "budget 0.5" in page


def test_the_table_has_a_row_of_each_that_was_measured(page: str) -> None:
    rows = re.findall(r"<tr>(<td.*?)</tr>", page)
    assert len(rows) == 3
    cells = [re.findall(r">([^<]*)</td>", row) for row in rows]
    assert cells[1] == ["yes", "600", "700", "+0.30", "+0.50", "500", "a 3, b 2tx1.5"]
    assert "4 settings on the frontier, of which 3 were measured" in page and "95%" in page


def test_populations_are_compared_at_their_fewest_bits(page: str) -> None:
    assert re.findall(r"<b>(\w)</b><i>([\d.]+)</i>", page) == [("a", "0.4"), ("b", "0.2")]


def test_a_search_without_a_network_says_so() -> None:
    assert "None keeps the budget." in "\n".join(search_parts(replace(FOUND, kept=False)))


def test_without_a_search_there_is_nothing() -> None:
    assert search_parts(None) == []
    assert "The search" not in Report(5, 8, "bits", "bits", 1, 1, (), ()).html()


def test_the_page_of_a_report_has_its_search_and_its_bits() -> None:
    html = Report(5, 8, "bits", "bits", 1, 1, (), (), search=FOUND).html()
    assert "<h2>The search</h2>" in html and "2 to 3 bits in code" in html
