# SPDX-License-Identifier: Apache-2.0
"""The page of a report, as a browser shows it: it fetches and runs nothing, fits a phone, shows names as they are."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from spikerun.converters.page import Bar, Point, bars, chart, table, text
from spikerun.converters.report import Accuracy, Decision, LayerReport, OperatorReport, Report, SweepRow
from spikerun.converters.spiking.report import CellReport, ChipLayer, SpikingReport

EVIL = "<img src=x onerror=alert(1)>&\"'</td></script><script>document.body.remove()</script>\x1b[2J"
LONG = "a_module_with_a_very_long_name_that_nothing_can_be_split_at_" * 2
ACCURACY = Accuracy(1000, 93.4, 93.3, 99.3, 0.26)


def whole(name: str) -> Report:
    """Return a report with all that a report can have, whose texts are `name`."""
    layers = tuple(
        LayerReport(
            f"{name}{k}", "relu", (32, 14, 14), 5, "bits", "channel", (1364, 75643), 9, 21.5, 7522.5, 1265573.0,
            0.99649, 0.0838, 1806336, sources=(name,), operators=(name, name), reasons=(name, f"Because of {name}."),
        )
        for k in range(4)
    )  # fmt: skip
    sweep = tuple(SweepRow(bits, ACCURACY, 0.5, 0.7) for bits in range(2, 9))
    operators = (OperatorReport(name, name, name, name),)
    return Report(
        5, 8, "bits", "bits", 512, 3024384, operators, layers, ACCURACY, 0.5, 2272946.0, sweep, (name,),
        (Decision(name, name, name),), 64, True,
    )  # fmt: skip


def spiking(name: str) -> SpikingReport:
    cells = tuple(
        CellReport(f"{name}{k}", (32, 14, 14), 6, (1, 2), (0.5, 0.9), "subtract", 1234.5, 99.1, 99.9, 40.0, 1.0, 0.5)
        for k in range(3)
    )
    return SpikingReport(
        name, 25, "current", "count", 64, 16, cells, 100.0, (name,), ACCURACY, (name,), "loihi2",
        (ChipLayer(name, 64, None, 12, (1, 2), 3.5),),
    )  # fmt: skip


PAGES: dict[str, Callable[[str], Report | SpikingReport]] = {"words": whole, "spiking": spiking}


class Reader(HTMLParser):
    """Holds a page to its grammar: elements end in order, and names what could fetch or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.metas: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "meta":
            self.metas.append(dict(attrs))
        elif tag not in ("line", "rect", "circle", "polyline"):
            self.open.append(tag)
        foreign = {"src", "href", "srcset", "data", "action", "xlink:href", "background"}
        self.wrong += [f"{tag} {name}" for name, _ in attrs if name in foreign or name.startswith("on")]
        self.wrong += [tag] if tag in ("script", "link", "iframe", "img", "object", "embed", "base", "form") else []

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.wrong += [] if tag in ("line", "rect", "circle", "polyline") else [f"{tag}/"]


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("name", ["conv1", EVIL, "", "\udcff", "Größe 日本"])
def test_a_page_is_well_formed_and_refers_to_nothing_else(kind: str, name: str) -> None:
    page = PAGES[kind](name).html(name)
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert (reader.open, reader.wrong) == ([], [])
    assert not re.search(r"url\(|@import|https?:|javascript:", page)
    page.encode()


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_says_how_it_fits_and_that_it_may_load_nothing(kind: str) -> None:
    page = PAGES[kind]("conv1").html("net.snn")
    reader = Reader()
    reader.feed(page)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in reader.metas
    policies = [meta["content"] or "" for meta in reader.metas if meta.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1 and policies[0].startswith("default-src 'none'") and "script" not in policies[0]
    assert "@media (prefers-color-scheme: dark)" in page and "<title>Conversion of net.snn</title>" in page


def test_text_is_no_mark_up_and_steers_nothing() -> None:
    assert text(EVIL).count("<") == 0 and '"' not in text(EVIL) and "\x1b" not in text(EVIL)
    assert text("a < b & c") == "a &lt; b &amp; c"


def test_what_has_nothing_to_show_is_left_out() -> None:
    assert table(("a",), []) == chart([], "x", "y") == bars([]) == bars([Bar("a", "0", (0.0,))]) == ""


def test_a_full_bar_may_be_more_than_the_longest() -> None:
    assert 'class="one" width="40.00"' in bars([Bar("a", "40 %", (40.0,))], full=100.0)


def test_bars_are_as_long_as_their_sizes() -> None:
    page = bars([Bar("a", "4", (4.0, 2.0)), Bar("b", "1", (1.0,))])
    assert re.findall(r'class="(\w+)" width="([\d.]+)"', page) == [
        ("ground", "100"), ("one", "100.00"), ("ground", "100"), ("two", "50.00"), ("ground", "100"), ("one", "25.00"),
    ]  # fmt: skip


@pytest.mark.parametrize("values", [(1.0, 1.0), (0.0, 0.0), (-3.0, 1e-9), (93.1, 93.2), (1e9, 2e9)])
def test_a_chart_shows_its_points_within_its_frame(values: tuple[float, float]) -> None:
    page = chart([Point(k, y, y, y) for k, y in enumerate(values)], "x", "y", (values[0], "level"))
    found = re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', page)
    assert len(found) == 2 and all(44 <= float(x) <= 328 and 12 <= float(y) <= 176 for x, y in found)
    assert len(re.findall(r'class="axis"', page)) >= 2


# --- in a browser ----------------------------------------------------------------------------------------------------

# A browser's window is not as narrow as a phone's: a frame is.
FRAME = """<!doctype html><iframe id="frame" style="width: {width}px; height: 800px; border: 0"
  srcdoc="{page}"></iframe>
<script>
document.getElementById("frame").onload = function () {{
  const view = this.contentWindow, page = view.document, all = name => [...page.querySelectorAll(name)];
  const right = e => e.getBoundingClientRect().right, size = e => parseFloat(view.getComputedStyle(e).fontSize);
  document.body.textContent = JSON.stringify({{
    width: view.innerWidth, scroll: Math.max(page.documentElement.scrollWidth, page.body.scrollWidth),
    wide: all("body *").filter(e => right(e) > view.innerWidth + 0.5).map(e => e.outerHTML),
    fetched: view.performance.getEntriesByType("resource").map(e => e.name),
    images: page.images.length, scripts: page.scripts.length, svg: all("svg").length,
    smallest: Math.min(...all("td, dd, li, p").map(size)), cells: all("td").map(e => e.textContent),
  }});
}};
</script>"""


@pytest.fixture
def shown(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that loads a copy of a page in a browser, in a frame so wide, and tells what it became.

    The copy lacks the policy that would keep a script, or anything else, from being loaded.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser: apt-get install chromium")

    def load(page: str, width: int) -> dict[str, Any]:
        bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        assert bare != page
        path = tmp_path / "frame.html"
        path.write_text(FRAME.format(width=width, page=html.escape(bare)), encoding="utf-8")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                   f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1300,900", "--dump-dom"]  # fmt: skip
        done = subprocess.run([browser, *options, path.as_uri()], capture_output=True, text=True, timeout=120)
        body = re.search(r"<body>(.*)</body>", done.stdout, re.DOTALL)
        assert body, done.stderr
        found: dict[str, Any] = json.loads(html.unescape(body[1]))
        return found

    return load


@pytest.mark.parametrize("kind", PAGES)
def test_a_browser_shows_all_on_a_phone_without_scrolling_sideways(
    kind: str, shown: Callable[..., dict[str, Any]]
) -> None:
    found = shown(PAGES[kind](LONG).html(LONG), 360)
    assert found["width"] == 360 and found["scroll"] <= 360 and found["wide"] == []
    assert found["fetched"] == [] and found["svg"] > 0 and found["smallest"] >= 14


def test_a_browser_shows_names_as_they_are_and_runs_none(shown: Callable[..., dict[str, Any]]) -> None:
    found = shown(whole(EVIL).html(EVIL), 1100)
    assert (found["images"], found["scripts"], found["fetched"]) == (0, 0, [])
    assert EVIL.replace("\x1b", "\\x1b") in found["cells"] and found["scroll"] <= 1100
