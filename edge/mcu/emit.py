# SPDX-License-Identifier: Apache-2.0
"""Pure functions from values to C99 text."""

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt

__all__ = ["C_TYPES", "array", "comment", "fill_in", "identifier", "string", "struct"]

TEMPLATES = Path(__file__).parent / "templates"
WIDTH = 106
C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "uint16": "uint16_t", "int32": "int32_t", "uint32": "uint32_t"}


def identifier(name: str) -> str:
    """Return a C identifier that resembles `name`.

    >>> identifier("conv.1-a")
    'conv_1_a'
    """
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def integer(value: int, dtype: str) -> str:
    """Return a literal of the type; the most negative int32 has no literal of its own in C.

    >>> integer(-(2**31), "int32"), integer(7, "uint32"), integer(-3, "int8")
    ('(-2147483647 - 1)', '7u', '-3')
    """
    if value == -(2**31):
        return "(-2147483647 - 1)"
    return f"{value}u" if dtype == "uint32" else str(value)


def array(name: str, values: npt.NDArray[np.generic], static: bool = True) -> str:
    """Return the definition of a constant array, flat; C has no empty ones.

    >>> print(array("w", np.array([[1, -2], [3, 4]], np.int8)))
    static const int8_t w[4] = {
        1, -2, 3, 4,
    };
    """
    dtype, flat = values.dtype.name, values.ravel()
    literals = {value: integer(value, dtype) for value in np.unique(flat).tolist()}
    per_line = WIDTH // (max(map(len, literals.values())) + 2)
    words = [literals[value] for value in flat.tolist()]
    lines = "\n".join(f"    {', '.join(words[k : k + per_line])}," for k in range(0, len(words), per_line))
    return f"{'static ' if static else ''}const {C_TYPES[dtype]} {name}[{len(flat)}] = {{\n{lines}\n}};"


def struct(ctype: str, name: str, fields: Mapping[str, int | str]) -> str:
    """Return the definition of a constant struct, with its fields named.

    >>> print(struct("point", "p", {"x": 1, "y": "other"}))
    static const point p = {
        .x = 1,
        .y = other,
    };
    """
    lines = "\n".join(f"    .{key} = {value}," for key, value in fields.items())
    return f"static const {ctype} {name} = {{\n{lines}\n}};"


def string(text: str) -> str:
    """Return a string literal.

    >>> string('say "hi"')
    '"say \\\\"hi\\\\""'
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def comment(text: str) -> str:
    """Return a comment; what would end it early is broken up.

    >>> comment("a */ b")
    '/* a * / b */'
    """
    return f"/* {text.replace('*/', '* /')} */"


def fill_in(template: str, **values: object) -> str:
    """Return the text of a file in `templates/` (which adds .in to its name), with ${key} replaced."""
    return Template((TEMPLATES / f"{template}.in").read_text(encoding="utf-8")).substitute(values)
