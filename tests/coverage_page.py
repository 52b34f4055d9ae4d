# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/operators.md, written from what the rules of every dialect say that they do."""

import re
from collections.abc import Mapping

from spikerun.converters.onnx.operators import ONNX
from spikerun.converters.rules import Rules
from spikerun.converters.torch.aten import ATEN

__all__ = ["DIALECTS", "written"]

DIALECTS: Mapping[str, Rules] = {"torch": ATEN, "onnx": ONNX}
TABLE = r"(<!-- begin {0} -->\n).*?(<!-- end {0} -->)"


def table(rules: Rules) -> str:
    """Return a table of what is converted, with the operators that it is written as."""
    by_meaning: dict[str, list[str]] = {}
    for operator, meaning in rules.coverage():
        by_meaning.setdefault(meaning, []).append(f"`{operator.removeprefix('aten.').removesuffix('.default')}`")
    lines = [f"| {what} | {', '.join(dict.fromkeys(names))} |\n" for what, names in sorted(by_meaning.items())]
    return "| what | operators |\n|---|---|\n" + "".join(lines)


def written(page: str) -> str:
    """Return the page with its tables as the rules have them now."""
    for name, rules in DIALECTS.items():
        begin, end = (page.count(f"<!-- {part} {name} -->") for part in ("begin", "end"))
        if (begin, end) != (1, 1):
            raise ValueError(f"the page must have one place for the table of {name}")
        head, first, last, tail = re.split(TABLE.format(name), page, flags=re.DOTALL)
        page = head + first + table(rules) + last + tail
    return page
