# SPDX-License-Identifier: Apache-2.0
"""The view's page in a real browser: what it draws, whom it obeys, and that it finds a server that comes back."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import Page, opened
from viewing import watched

SEEN = "document.documentElement.dataset"
EVIL = "<img src=x onerror=alert(1)>&\"'</title></script><script>document.body.remove()</script>"
COLOURS = """(id => {
  const canvas = document.getElementById(id);
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data, found = new Set();
  for (let k = 0; k < data.length; k += 4) found.add(data.slice(k, k + 4).join());
  return found.size;
})"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Return a page of one browser for all tests: they open what they look at."""
    with opened(tmp_path_factory.mktemp("browser")) as found:
        yield found


def test_everything_is_drawn_and_told_without_a_complaint(page: Page) -> None:
    with watched() as (server, _):
        page.errors.clear()
        page.open(server.url)
        page.until(f"{SEEN}.frames >= 8 && {SEEN}.best >= 0 && {COLOURS}('sensor') > 4")
        assert page.evaluate(f"{COLOURS}('raster')") >= 2
        assert page.evaluate(f"{COLOURS}('membranes')") > 5
        text = page.evaluate("document.body.innerText")
        assert "n.snn on a.dat" in text and "live" in text and "1.5 ms" in text
        assert page.evaluate("document.getElementById('best').textContent") == page.evaluate(f"{SEEN}.best")
        assert page.evaluate("[...document.querySelectorAll('#rates span:first-child')].length") > 0
        assert page.evaluate("performance.getEntriesByType('resource').map(e => e.name)") == []
        assert page.errors == []


def test_a_population_that_is_chosen_is_shown(page: Page) -> None:
    with watched() as (server, tap):
        page.open(server.url)
        page.until(f"{SEEN}.frames >= 2")
        shown = "document.getElementById('{}-note').textContent"
        assert page.evaluate(shown.format("raster")).startswith("5 neurons")
        for name in ("raster", "membranes"):
            page.evaluate(f"(box => {{ box.value = 1; box.onchange({{target: box}}); }})"
                          f"(document.getElementById('{name}-of'))")  # fmt: skip
        page.until(shown.format("raster") + ".startsWith('768 neurons, one step')")
        page.until(shown.format("membranes") + ".startsWith('20 of 768 neurons')")
        assert (tap.raster, tap.membranes) == (1, 1)


def test_a_page_misses_no_frame(page: Page) -> None:
    with watched() as (server, _):
        page.open(server.url)
        page.until(f"{SEEN}.frames >= 5")
        assert page.evaluate(f"{SEEN}.missed") == "0"


def test_a_server_that_comes_back_is_found_again(page: Page) -> None:
    with watched() as (server, _):
        port = urlsplit(server.url).port or 0
        page.open(server.url)
        page.until(f"{SEEN}.frames >= 2")
    page.until(f"{SEEN}.state.startsWith('the stream has ended')")
    before = int(page.evaluate(f"{SEEN}.frames"))
    with watched(port):
        page.until(f"{SEEN}.connects == 2 && {SEEN}.frames > {before} && {SEEN}.state == 'live'")


def test_a_page_of_a_stranger_gets_no_frames(page: Page) -> None:
    with watched() as (server, tap):
        page.open("data:text/html,stranger")  # without a policy of its own, unlike the view's page
        answer = page.evaluate(f"""new Promise(done => {{
          const socket = new WebSocket("{server.url.replace("http", "ws")}frames");
          socket.onopen = () => done("open");
          socket.onerror = () => done("refused");
        }})""")
        assert answer == "refused" and not tap.watching


def test_the_page_may_not_reach_anything_else(page: Page) -> None:
    with watched() as (server, _):
        page.open(server.url)
        stopped_by = page.evaluate("""new Promise(done => {
          document.addEventListener("securitypolicyviolation", event => done(event.effectiveDirective));
          fetch("http://127.0.0.1:9/").catch(() => {});
        })""")
        assert stopped_by == "connect-src"


def test_names_are_shown_as_they_are_and_run_nothing(page: Page) -> None:
    with watched(network=EVIL, source=EVIL) as (server, _):
        page.errors.clear()
        page.open(server.url)
        page.until(f"{SEEN}.frames >= 1")
        assert page.evaluate("document.getElementById('title').textContent") == f"{EVIL} on {EVIL}"
        assert page.evaluate("[document.images.length, document.scripts.length]") == [0, 1] and page.errors == []


def test_a_phone_shows_all_without_scrolling_sideways(page: Page) -> None:
    with watched() as (server, _):
        page.ask("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=2, mobile=True)
        page.open(server.url)
        page.until(f"{SEEN}.frames >= 2")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        wide = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 360.5)"
        assert page.evaluate(f"{wide}.map(e => e.id)") == []
        page.ask("Emulation.clearDeviceMetricsOverride")


def test_a_page_of_another_version_says_so(page: Page) -> None:
    with watched(version=2) as (server, _):
        page.open(server.url)
        page.until(f"{SEEN}.state.includes('different versions')")
        assert page.evaluate(f"{SEEN}.frames") == "0"


def test_the_page_names_nothing_but_itself() -> None:
    text = (Path(__file__).parents[3] / "spikerun/commands/view/page.html").read_text()
    assert "SPDX-License-Identifier: Apache-2.0" in text and not any(
        word in text for word in ("http:", "src=", "@import")
    )
