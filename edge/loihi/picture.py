# SPDX-License-Identifier: Apache-2.0
"""A partition as a picture: a cell for each core in the colour of its population, with a bar for each resource."""

from xml.sax.saxutils import escape

from spikerun.edge.loihi.limits import RESOURCES
from spikerun.edge.loihi.partition import Core, Partition
from spikerun.text import plural

__all__ = ["svg"]

COLOURS = (  # of Okabe and Ito, which the colour-blind tell apart, and lighter ones of the same
    "#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#aadaf4", "#f3cf80", "#80cfb9",
)  # fmt: skip
ACROSS, CELL, GAP, MARGIN, LINE = 16, 44, 4, 16, 18
WIDTH = 2 * MARGIN + ACROSS * (CELL + GAP)
BARS = ("neurons", "input axons", "output axons", "synapse memory")


def svg(parts: Partition, title: str) -> str:
    """Return the picture as the text of an SVG file. title: what the network is called."""
    names = list(parts.counts)
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
    count = f"{plural(len(parts.cores), 'core')} on {plural(parts.chips, 'chip')} of {parts.chip.name}"
    y, body = MARGIN + LINE, []
    body += [_text(MARGIN, y, title, "t"), _text(MARGIN, y + LINE, f"{count}, by the public limits", "n")]
    y += 2 * LINE
    body.append(
        _text(MARGIN, y, f"bars, left to right: {', '.join(BARS)}, of what a core has; red: more than that", "n")
    )
    per_chip = parts.chip.most("cores")
    for first in range(0, len(parts.cores), per_chip):
        y += LINE
        if parts.chips > 1:
            body.append(_text(MARGIN, y + LINE // 2, f"chip {first // per_chip + 1}", "n"))
            y += LINE
        here = parts.cores[first : first + per_chip]
        for k, core in enumerate(here):
            at = (MARGIN + k % ACROSS * (CELL + GAP), y + k // ACROSS * (CELL + GAP))
            body.append(_cell(core, parts, at, colours[core.population]))
        y += -(-len(here) // ACROSS) * (CELL + GAP)
    for name in names:
        y += LINE
        neurons = sum(core.use["neurons"] for core in parts.cores if core.population == name)
        body.append(f'<rect x="{MARGIN}" y="{y - 1}" width="12" height="12" fill="{colours[name]}"/>')
        said = f"{name}: {plural(neurons, 'neuron')} on {plural(parts.counts[name], 'core')}"
        body.append(_text(MARGIN + LINE, y + 10, said, "n"))
    height = y + LINE + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img"><title>{escape(title)}: {count}</title>'
        "<style>text{font-family:sans-serif;fill:#222}.t{font-size:16px;font-weight:bold}.n{font-size:12px}</style>"
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', *body, "</svg>", ""])


def _text(x: int, y: int, said: str, style: str) -> str:
    return f'<text x="{x}" y="{y}" class="{style}">{escape(said)}</text>'


def _cell(core: Core, parts: Partition, at: tuple[int, int], colour: str) -> str:
    """Return one core; what it holds shows where the pointer rests."""
    (x, y), share = at, core.share(parts.chip)
    said = ", ".join(f"{what} {share[name]:.1f} %" for what, name in zip(BARS, RESOURCES, strict=True))
    lines = [
        f"<g><title>{escape(core.population)}, pixels {core.pixels[0]} to {core.pixels[1] - 1}, channels "
        f"{core.channels[0]} to {core.channels[1] - 1}: {said}</title>",
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" rx="3" fill="{colour}"/>',
    ]
    step = (CELL - 4) // len(RESOURCES)
    for k, name in enumerate(RESOURCES):
        full = CELL - 8
        tall = round(full * min(share[name], 100) / 100, 1)
        left, ink = x + 4 + k * step, "#c00000" if share[name] > 100 else "#222"
        lines.append(f'<rect x="{left}" y="{y + 4}" width="{step - 3}" height="{full}" fill="#fff" opacity="0.45"/>')
        lines.append(
            f'<rect x="{left}" y="{y + 4 + full - tall:.1f}" width="{step - 3}" height="{tall}" fill="{ink}"/>'
        )
    return "\n".join([*lines, "</g>"])
