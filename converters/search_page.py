# SPDX-License-Identifier: Apache-2.0
"""What a search for the cheapest network found, as parts of a page."""

from spikerun.converters.found import Candidate, Found
from spikerun.converters.page import Bar, Point, bars, chart, paragraph, table
from spikerun.text import plural

__all__ = ["search_parts"]


def search_parts(found: Found | None) -> list[str]:
    """Return the frontier as a chart and a table of what was measured, and how sensitive populations are."""
    if found is None:
        return []
    measured = [(place, one) for place, one in enumerate(found.frontier) if one.accuracy is not None]
    return [
        paragraph(
            f"The cheapest by {found.objective} ({found.unit}) whose drop of {found.metric} is at most "
            f"{found.max_drop:g} points was searched among {plural(len(found.frontier), 'setting')} on the frontier, "
            f"of which {len(measured)} were measured on held-out samples. With a confidence of {found.confidence:.0%} "
            f"all their largest drops hold together. {'The one that is taken keeps' if found.kept else 'None keeps'} "
            "the budget."
        ),
        chart(
            [point for place, one in measured for point in _point(one, place == found.chosen)],
            f"measured {found.unit}",
            "drop, points (lower is better)",
            (found.max_drop, f"budget {found.max_drop:g}"),
            joined=False,
        ),
        paragraph(
            "Bars are paired 95 % intervals; the one in the second colour is taken. Of bits, t: code ttfs; x: steps so "
            "many times as wide as those of least error; z: words below it are 0.",
            faint=True,
        ),
        table(
            ("taken", found.unit, "synops", "drop", f"at most ({found.confidence:.0%})", "samples", "bits"),
            [row for place, one in measured for row in _row(one, place == found.chosen)],
            right=range(1, 6),
        ),
        *_sensitive(found),
    ]


def _point(one: Candidate, taken: bool) -> list[Point]:
    if one.accuracy is None:
        return []
    return [Point(one.cost or 0.0, one.accuracy.drop, *one.accuracy.bounds, taken)]


def _row(one: Candidate, taken: bool) -> list[tuple[str, ...]]:
    if one.accuracy is None:
        return []
    choices = ", ".join(f"{name} {choice}" for name, choice in one.choices.items())
    return [
        (
            "yes" if taken else "-", f"{one.cost or 0:,.0f}", f"{one.synops or 0:,.0f}", f"{one.accuracy.drop:+.2f}",
            "-" if one.upper is None else f"{one.upper:+.2f}", f"{one.accuracy.samples:,}", choices,
        )
    ]  # fmt: skip


def _sensitive(found: Found) -> list[str]:
    """Return how far the results are from the ANN's where a population alone has few bits."""
    plain = [p for p in found.prices if p.choice.stretch == 1 and p.choice.code == found.prices[0].choice.code]
    bits = min((price.choice.bits for price in plain), default=0)
    alone = [price for price in plain if price.choice.bits == bits]
    rows = [Bar(p.population, f"{p.divergence:.3g}", (max(p.divergence, 0.0),)) for p in alone]
    said = (
        f"How far the results are from the ANN's where a population alone has {plural(bits, 'bit')}: its sensitivity."
    )
    drawn = bars(rows)
    return [paragraph(said, faint=True), drawn] if drawn else []
