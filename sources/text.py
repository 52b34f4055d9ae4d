# SPDX-License-Identifier: Apache-2.0
"""Text with a line for each event: integers t, x, y, p between commas, semicolons, tabs or spaces.

A first line of words says in which columns they are, under the names that `as_events` knows, and behind x and y perhaps
the size of the frame, as faery writes it (x@1280); without one they are the first four. Lines that begin with # are
passed over.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError
from spikerun.events import FIELDS, first_fault, packed
from spikerun.sources.format import Chunks, Opened, Shape
from spikerun.sources.records import head

__all__ = ["opened"]

BLOCK = 1 << 16  # bytes that are read at a time, and of the longest line
LARGEST = 2**62
NUMBER = re.compile(rb"[-+]?[\d.]+(e[-+]?\d+)?", re.IGNORECASE)
DIGITS, SIGNS = b"0123456789", b"+-"
LONGEST = 32  # zeros that a number may begin with, to be read with others
INTEGER = re.compile(rb"[-+]?\d{1,1000}")
MARK = b"\xef\xbb\xbf"  # of UTF-8, as some programs write it in front

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Form:
    """Where the first line of events begins, what stands between numbers, how many there are, and which is which."""

    begin: int
    comma: bytes
    width: int
    places: Mapping[str, int]
    shape: Shape | None = None


def opened(path: Path) -> Opened:
    """Return what the first lines say. Raises DataError where they are no events."""
    form = _form(path)
    return Opened(form.shape, functools.partial(_chunks, path, form))


def _form(path: Path) -> Form:
    begin = head(path, BLOCK)
    at = len(MARK) if begin.startswith(MARK) else 0
    for line in begin[at:].split(b"\n"):
        text = line.strip()
        if text and not text.startswith(b"#"):
            comma = next((one for one in (b",", b";", b"\t", b" ") if one in text), b",")
            words = _words(text, comma)
            if not any(NUMBER.fullmatch(word) for word in words):
                names = [word.strip(b'"').decode("ascii", "replace").lower() for word in words]
                return Form(at + len(line) + 1, comma, len(words), _named(path, at, names), _shape(names))
            if len(words) < len(FIELDS):
                raise DataError(f"'{path}': byte {at}: {len(words)} values in a line, and events have t, x, y and p")
            return Form(at, comma, len(words), {field: k for k, field in enumerate(FIELDS)})
        at += len(line) + 1
    raise DataError(f"'{path}': no line of events within {BLOCK} bytes")


def _shape(names: list[str]) -> Shape | None:
    """Return the shape that names such as x@1280 and y@720 say."""
    sizes = [re.findall(rf"\b{axis}@([1-9]\d{{0,4}})$", name) for axis in "yx" for name in names if name[:1] == axis]
    return (2, int(sizes[0][0]), int(sizes[1][0])) if len(sizes) == 2 and all(sizes) else None


def _named(path: Path, at: int, names: list[str]) -> dict[str, int]:
    words = [name.partition("@")[0] for name in names]
    places = {field: next((words.index(one) for one in known if one in words), -1) for field, known in FIELDS.items()}
    missing = [" or ".join(FIELDS[field]) for field, k in places.items() if k < 0]
    if missing:
        raise DataError(
            f"'{path}': byte {at}: a line of names without {', and '.join(missing)}: {', '.join(words):.80}"
        )
    return places


def _chunks(path: Path, form: Form, chunk: int) -> Chunks:
    with path.open("rb") as file:
        file.seek(form.begin)
        at, rest = form.begin, b""
        while block := file.read(BLOCK):
            lines, end, tail = (rest + block).rpartition(b"\n")
            if not end and len(tail) > BLOCK:
                raise DataError(f"'{path}': byte {at}: a line of more than {BLOCK} bytes")
            yield from _of_lines(path, form, lines + end, at, chunk)
            at, rest = at + len(lines) + len(end), tail
        if rest:
            yield from _of_lines(path, form, rest, at, chunk)


def _of_lines(path: Path, form: Form, lines: bytes, at: int, chunk: int) -> Chunks:
    """Yield the events of lines, of which the first begins at a byte of the file."""
    rows = _fast(form, lines)
    if rows is None:
        rows = _one_by_one(path, form, lines, at)
    columns = {field: rows[:, k] for field, k in form.places.items()}
    where = functools.partial(_where, path, form, lines, at)
    fault = first_fault({**columns, "t": np.maximum.accumulate(columns["t"])})  # of order, the caller finds them
    if fault is not None:
        raise DataError(f"'{path}': {where(0, fault[0])}: the event {fault[1]}")
    for k in range(0, len(rows), chunk):
        yield packed({field: column[k : k + chunk] for field, column in columns.items()}), functools.partial(where, k)


def _where(path: Path, form: Form, lines: bytes, at: int, first: int, k: int) -> str:
    return f"byte {_placed(form, lines, at)[first + k][0]}"


def _fast(form: Form, lines: bytes) -> Rows | None:
    """Return the numbers of lines (lines, width); None where they are not all plain integers, as many in each line.

    NumPy reads on over what is no number, so all that is not a digit is looked at first.
    """
    padding = b" \r".replace(form.comma, b"")
    if any(mark in lines for mark in padding):
        if not _beside_numbers(lines, padding, form.comma):
            return None
        lines = lines.translate(None, padding)
    between = lines.translate(None, DIGITS + SIGNS)
    if between != (form.comma * (form.width - 1) + b"\n") * (len(between) // form.width) or not lines.endswith(b"\n"):
        return None
    if not _are_numbers(lines) or b"0" * LONGEST in lines:
        return None
    numbers = np.fromstring(lines.replace(b"\n", form.comma)[:-1], np.int64, sep=form.comma.decode())
    if numbers.max() > LARGEST or numbers.min() < -LARGEST:
        return None
    return numbers.reshape(-1, form.width)


def _beside_numbers(lines: bytes, padding: bytes, comma: bytes) -> bool:
    """Return whether padding stands only just before or behind a comma or a line's end, not within a number."""
    marks = np.frombuffer(b"\n" + lines + b"\n", np.uint8)
    end = (marks == ord(comma)) | (marks == ord("\n"))
    return not any(((marks == mark)[1:-1] & ~(end[:-2] | end[2:])).any() for mark in padding)


def _are_numbers(lines: bytes) -> bool:
    """Return whether digits, behind one sign at most, are all there is on either side of other bytes."""
    marks = np.frombuffer(b"\n" + lines, np.uint8)
    other = marks - np.uint8(ord("0")) > 9  # modulo 256
    wrong = other[:-1] & other[1:]
    if b"-" in lines or b"+" in lines:
        sign = (marks == ord("-")) | (marks == ord("+"))
        wrong = wrong & (sign[:-1] | ~sign[1:]) | (sign[1:] & ~other[:-1])
    return not wrong.any()


def _one_by_one(path: Path, form: Form, lines: bytes, at: int) -> Rows:
    """Return the numbers of lines; raise DataError for the first line that has none, or others than integers."""
    rows = []
    for place, text in _placed(form, lines, at):
        words = _words(text, form.comma)
        if len(words) != form.width:
            raise DataError(f"'{path}': byte {place}: {len(words)} values in a line, and {form.width} in the first")
        for word in words:
            if not INTEGER.fullmatch(word):
                raise DataError(f"'{path}': byte {place}: {_no_integer(word.decode('ascii', 'replace'))}")
        rows.append([max(-LARGEST, min(LARGEST, int(word))) for word in words])
    return np.array(rows, np.int64).reshape(-1, form.width)


def _no_integer(word: str) -> str:
    hint = ": times are integers of microseconds: multiply seconds by 1e6" if "." in word else ""
    return f"{word!r:.40} is no integer{hint}" if len(word) <= 1000 else f"a number of {len(word)} digits is no time"


def _placed(form: Form, lines: bytes, at: int) -> list[tuple[int, bytes]]:
    """Return the lines that hold events, and at which byte each begins."""
    found = []
    for line in lines.split(b"\n"):
        text = line.strip()
        if text and not text.startswith(b"#"):
            found.append((at, text))
        at += len(line) + 1
    return found


def _words(text: bytes, comma: bytes) -> list[bytes]:
    return [word.strip() for word in text.split(comma if comma != b" " else None)]
