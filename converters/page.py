# SPDX-License-Identifier: Apache-2.0
"""The parts of a page: one HTML file that fetches nothing, runs nothing, and fits a phone, by day and by night.

Every text goes through `text`, which leaves no mark-up in it.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikerun.errors import printable

__all__ = ["Bar", "Point", "bars", "chart", "facts", "items", "page", "paragraph", "section", "table", "text"]

# Nothing may be fetched or run, whatever a name holds.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
WIDTH, HEIGHT = 340, 210
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 34
TICKS = 5


def text(value: object) -> str:
    """Return a value as text that is no mark-up, and steers nothing."""
    return html.escape(printable(str(value)))


def page(title: str, parts: Iterable[str]) -> str:
    """Return a whole page of parts that are HTML."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{text(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f"<h1>{text(title)}</h1>\n" + "\n".join(part for part in parts if part) + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Return parts under a heading; nothing where there are none."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{text(title)}</h2>\n{body}\n</section>" if body else ""


def paragraph(sentence: str, faint: bool = False) -> str:
    """Return a paragraph."""
    kind = ' class="faint"' if faint else ""
    return f"<p{kind}>{text(sentence)}</p>"


def items(sentences: Iterable[str]) -> str:
    """Return a list of sentences."""
    rows = "".join(f"<li>{text(sentence)}</li>\n" for sentence in sentences)
    return f"<ul>\n{rows}</ul>" if rows else ""


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return names and what is said of each."""
    return f"<dl>{''.join(f'<dt>{text(name)}</dt><dd>{text(value)}</dd>' for name, value in rows)}</dl>"


def table(header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> str:
    """Return a table, each row of which is a list where there is little room; columns in `right` are numbers."""
    if not rows:
        return ""

    def cell(tag: str, index: int, value: object, label: str = "") -> str:
        kind = ' class="right"' if index in right else ""
        return f"<{tag}{kind}{label}>{text(value)}</{tag}>"

    head = "".join(cell("th", index, name) for index, name in enumerate(header))
    body = "".join(
        "<tr>"
        + "".join(
            cell("td", index, value, f' data-label="{text(name)}"')
            for index, (name, value) in enumerate(zip(header, row, strict=True))
        )
        + "</tr>\n"
        for row in rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


@dataclass(frozen=True)
class Bar:
    """A row of bars: what it is of, what is said of it, one or two sizes (not below 0)."""

    label: str
    said: str
    sizes: tuple[float, ...]


def bars(rows: Sequence[Bar], keys: Sequence[str] = (), full: float | None = None) -> str:
    """Return rows of bars on one scale; keys: what first and second bars are; full: the largest size, if not theirs."""
    largest = max((size for row in rows for size in row.sizes), default=0.0) if full is None else full
    if not rows or largest <= 0:
        return ""
    kinds = ("key", "key second")
    legend = " ".join(f'<span class="{kind}">{text(key)}</span>' for kind, key in zip(kinds, keys, strict=False))
    found = []
    for row in rows:
        drawn = "".join(
            f'<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{text(row.said)}">'
            f'<rect class="ground" width="100" height="5"/>'
            f'<rect class="{kind}" width="{100 * size / largest:.2f}" height="5"/></svg>'
            for kind, size in zip(("one", "two"), row.sizes, strict=False)
        )
        found.append(f"<div><span><b>{text(row.label)}</b><i>{text(row.said)}</i></span>{drawn}</div>")
    drawn = "\n".join(found)
    return (f"<p>{legend}</p>\n" if legend else "") + f'<div class="rows">\n{drawn}\n</div>'


@dataclass(frozen=True)
class Point:
    """A point of a chart, and the interval around y that it may lie in; marked: it is the one to look at."""

    x: float
    y: float
    low: float
    high: float
    marked: bool = False


def chart(
    points: Sequence[Point], x_title: str, y_title: str, level: tuple[float, str] | None = None, joined: bool = True
) -> str:
    """Return points in a plane, joined in order or not; level: a value of y to compare with, and its name."""
    if not points:
        return ""
    levels = [level[0]] if level else []
    x_low, x_high = _ends([p.x for p in points])
    y_low, y_high = _ends([v for p in points for v in (p.low, p.high)] + levels)

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in _ticks(y_low, y_high):
        _, y = at(x_low, tick)
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in _ticks(x_low, x_high):
        x, _ = at(tick, y_low)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 13}" text-anchor="middle">{tick:g}</text>')
    if level is not None:
        _, y = at(x_low, level[0])
        parts.append(f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{y - 3:.1f}" text-anchor="end">{text(level[1])}</text>')
    if joined:
        way = " ".join("{:.1f},{:.1f}".format(*at(p.x, p.y)) for p in points)
        parts.append(f'<polyline class="line" points="{way}"/>')
    for p in points:
        (x, y), (_, low), (_, high) = at(p.x, p.y), at(p.x, p.low), at(p.x, p.high)
        parts.append(f'<line class="spread" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
        kind = "two" if p.marked else "one"
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.8"/>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{text(x_title)}</text>')
    said = text(f"{y_title} against {x_title}")
    return (
        f'<p class="faint">{text(y_title)}</p>\n<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{said}">{"".join(parts)}</svg>'
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis, a little beyond all values."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low) if high > low else max(abs(high), 1.0) * 0.1
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between the ends of an axis, about TICKS of them."""
    rough = (high - low) / TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
