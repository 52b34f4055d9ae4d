"""Pure functions from values to C99 text."""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["C_TYPES", "WIDTH", "array", "comment", "identifier", "string", "struct", "unique"]

WIDTH = 110
C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "uint16": "uint16_t", "int32": "int32_t", "uint32": "uint32_t"}


def identifier(name: str) -> str:
    """Return a C identifier that resembles `name`.

    >>> identifier("conv.1-a")
    'conv_1_a'
    """
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def unique(names: Iterable[str]) -> dict[str, str]:
    """Return an identifier for each name; those that would collide get a number.

    >>> unique(["a.b", "a-b", "c"])
    {'a.b': 'a_b', 'a-b': 'a_b_2', 'c': 'c'}
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        base = candidate = identifier(name)
        number = 1
        while candidate in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate)
        found[name] = candidate
    return found


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
    dtype = values.dtype.name
    flat = values.ravel().tolist()
    text = ", ".join(integer(value, dtype) for value in flat) + ","
    lines = textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
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


def rows(values: Sequence[Sequence[int]], dtype: str) -> str:
    """Return the initialiser of an array of rows, a row a line.

    >>> print(rows([[1, 2], [3, 4]], "uint32"))
        {1u, 2u},
        {3u, 4u},
    """
    return "\n".join("    {" + ", ".join(integer(v, dtype) for v in row) + "}," for row in values)
