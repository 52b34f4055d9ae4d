# SPDX-License-Identifier: Apache-2.0
"""A kind of neuron, connection or operation is known in its own room; elsewhere there are traits, and tables of all."""

import ast
import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from networks import random_network

from spikerun import connections, neurons
from spikerun.kernels.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("spikerun", "kernels", "converters", "edge", "datasets")
ROOMS = re.compile(r"spikerun/(neurons|connections)(/|\.py)")  # where kinds are at home
CLASSES = {cls.__name__ for kinds in (neurons.KINDS, connections.KINDS) for cls in kinds.values()}
FAMILIES = {
    "neurons": {name: cls.__name__ for name, cls in neurons.KINDS.items()},
    "connections": {name: cls.__name__ for name, cls in connections.KINDS.items()},
    "operations": {operation.name: operation.__name__ for operation in OPERATIONS},
}
NAMES = {name: cls for kinds in FAMILIES.values() for name, cls in kinds.items()}
EVERY = [cls for kinds in (neurons.KINDS, connections.KINDS) for cls in kinds.values()]
PARAMETERS = {field.name for cls in EVERY for field in dataclasses.fields(cls)}
FEW = 3  # a dict with so many names of a family is a table


def sources() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every file of the product outside the kinds' own rooms."""
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not ROOMS.match(name):
                yield name, path.read_text(encoding="utf-8")


# --- no switches -----------------------------------------------------------------------------------------------------


def kinds_of(tree: ast.AST) -> dict[str, str]:
    """Return the names by which a file knows kinds: those that it imports, and modules or packages that hold them."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and re.match(r"spikerun(\.neurons|\.connections|$)", node.module or ""):
            known |= {alias.asname or alias.name: alias.name for alias in node.names}
    return {name: kind for name, kind in known.items() if kind in CLASSES | {"neurons", "connections"}}


def tells_kind(node: ast.AST) -> bool:
    """Return whether an expression is the name of a kind: x.kind, getattr(x, "kind"); that of a dtype is another."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        return isinstance(node.args[1], ast.Constant) and node.args[1].value == "kind"
    return isinstance(node, ast.Attribute) and node.attr == "kind" and not ast.unparse(node.value).endswith("dtype")


def guessed(call: ast.Call) -> list[str]:
    """Return the parameter that getattr, with a default, or hasattr looks for in a neuron or a connection."""
    subject, *rest = call.args
    asks = len(rest) == 2 or ast.unparse(call.func) == "hasattr"
    part = re.search(r"(neuron|connection)$", ast.unparse(subject))
    found = asks and part and isinstance(rest[0], ast.Constant) and rest[0].value in PARAMETERS
    return [str(rest[0].value)] if found and isinstance(rest[0], ast.Constant) else []


def switches(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the kind of each place that asks which kind something is."""
    tree = ast.parse(text)
    known = kinds_of(tree)

    def named(node: ast.AST | None) -> list[str]:
        if isinstance(node, ast.Name) and known.get(node.id) in CLASSES:
            return [known[node.id]]
        if isinstance(node, ast.Attribute) and node.attr in CLASSES and isinstance(node.value, ast.Name):
            return [node.attr] if node.value.id in known or node.value.id in ("sr", "spikerun") else []
        if isinstance(node, ast.Tuple | ast.BinOp | ast.Set | ast.List):
            return [kind for child in ast.iter_child_nodes(node) for kind in named(child)]
        return named(node.value) if isinstance(node, ast.Attribute) and node.attr == "kind" else []

    def spelt(node: ast.AST) -> list[str]:
        return [NAMES[c.value] for c in ast.walk(node) if isinstance(c, ast.Constant) and c.value in NAMES]

    for node in ast.walk(tree):
        asked: list[str] = []
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            asked = named(node.args[1])
        elif isinstance(node, ast.MatchClass):
            asked = named(node.cls)
        elif isinstance(node, ast.Compare):  # type(x) is K, x.kind == K.kind, x.kind in (K.kind, ...)
            sides = (node.left, *node.comparators)
            asked = [kind for side in sides for kind in named(side)]
            if any(map(tells_kind, sides)):  # x.kind == "lif", x.kind in ("lif", "if")
                asked += [kind for side in sides for kind in spelt(side)]
        elif isinstance(node, ast.Match) and tells_kind(node.subject):
            asked = [kind for case in node.cases for kind in spelt(case.pattern)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            asked = guessed(node)  # a parameter that only some kinds have
        elif isinstance(node, ast.Dict):  # a table by type
            asked = [kind for key in node.keys for kind in named(key)]
        for kind in dict.fromkeys(asked):
            yield (node.cls if isinstance(node, ast.MatchClass) else node).lineno, kind  # type: ignore[attr-defined]


def test_nobody_asks_which_kind_it_is() -> None:
    found = [f"{name}:{line} asks for {kind}" for name, text in sources() for line, kind in switches(text)]
    said = "places ask which kind something is: ask for a trait, or use a table by `kind`"
    assert not found, f"{len(found)} {said}\n" + "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(x, IF)",
        "isinstance(x, (int, IF))",
        "isinstance(x, int | IF)",
        "isinstance(x, neurons.IF)",
        "type(x) is IF",
        "x.kind == IF.kind",
        "x.kind in (IF.kind, 'else')",
        "t = {IF: 1}",
        "match x:\n    case IF(threshold=1): pass",
        "x.kind == 'if'",
        "'if' != x.kind",
        "x.neuron.kind in ('if', 'else')",
        "getattr(x, 'kind') in {'if'}",
        "match x.kind:\n    case 'if' | 'else': pass",
    ],
)
def test_every_way_of_asking_is_found(code: str) -> None:
    imports = "from spikerun import neurons\nfrom spikerun.neurons import IF\n"
    assert [kind for _, kind in switches(imports + code)] == ["IF"]


@pytest.mark.parametrize("code", ["getattr(neuron, 'code', '')", "hasattr(p.neuron, 'code')"])
def test_guessing_at_a_parameter_is_asking(code: str) -> None:
    assert [kind for _, kind in switches(code)] == ["code"]


def test_what_asks_for_something_else_is_not_found() -> None:
    code = (
        "from spikerun.converters.graph import Conv\nfrom spikerun.neurons import IF\nisinstance(x, Conv)\ny = IF(1)\n"
        "x.dtype.kind in 'if'\nx.kind == 'relu'\ngetattr(namespace, 'code', '')\ngetattr(neuron, name)\n"
    )
    assert list(switches(code)) == []


# --- whole tables ----------------------------------------------------------------------------------------------------


def tables(text: str) -> Iterator[tuple[int, set[str], str]]:
    """Yield the line, the keys, and the comments above and within, of each dict that a module holds."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Dict):
            first = node.lineno - 1
            while first and lines[first - 1].lstrip().startswith("#"):
                first -= 1
            comments = " ".join(line.partition("#")[2] for line in lines[first : node.end_lineno])
            yield node.lineno, {key for each in value.keys if (key := key_of(each))}, comments


def key_of(node: ast.expr | None) -> str:
    """Return the key of a row: a string, or the name of a class."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def absent(keys: set[str], family: Mapping[str, str], comments: str) -> list[str]:
    """Return the kinds of a family that a table has no row for, and no comment on them or on "all others"."""
    named = set(re.findall(r"\w+", comments))
    if "all others" in comments.lower():
        return []
    return [name for name, cls in family.items() if not {name, cls} & (keys | named)]


def test_each_table_has_every_kind_or_names_why_not() -> None:
    found = []
    for name, text in sources():
        for line, keys, comments in tables(text):
            held = {f: sum(bool({kind, cls} & keys) for kind, cls in k.items()) for f, k in FAMILIES.items()}
            family = max(held, key=lambda f: held[f])
            if held[family] >= FEW and (missing := absent(keys, FAMILIES[family], comments)):
                found.append(f"{name}:{line} has no row, and no comment above, for the {family} {', '.join(missing)}")
    assert not found, "\n".join(found)


def test_a_missing_row_is_found_unless_a_comment_says_why() -> None:
    table = "T = {'dense': 1, 'sparse': 2, 'conv': 3, 'diagonal': 4, 'sum_pool': 5}\n"
    ((_, keys, comments),) = tables(table)
    assert "window" in absent(keys, FAMILIES["connections"], comments)
    ((_, keys, comments),) = tables("# Window is not linear.\n" + table)
    assert "window" not in absent(keys, FAMILIES["connections"], comments)
    ((_, keys, comments),) = tables("# All others take as long as dense.\n" + table)
    assert absent(keys, FAMILIES["connections"], comments) == []


def documented(kind: str) -> tuple[set[str], set[str]]:
    """Return the attributes and the data sets that the page on the file names in the row of a kind."""
    page = (ROOT / "docs" / "file-format.md").read_text(encoding="utf-8")
    rows = "".join(re.findall(r"\| kind \| attributes \| data sets \|\n((?:\|.*\n)+)", page))
    (row,) = re.findall(rf"^\| `{kind}` \|(.*)\|(.*)\|$", rows, re.MULTILINE)
    attributes, arrays = (set(re.findall(r"`(\w+)`", cell)) for cell in row)
    return attributes, arrays


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: str(cls.kind))
def test_the_page_on_the_file_has_a_row_of_every_kind_with_its_fields(cls: Any) -> None:
    hints = get_type_hints(cls)
    arrays = {field.name for field in dataclasses.fields(cls) if "ndarray" in repr(hints[field.name])}
    assert documented(cls.kind) == ({field.name for field in dataclasses.fields(cls)} - arrays, arrays)


def test_random_networks_have_every_kind_in_the_tables() -> None:
    missing = {*FAMILIES["neurons"], *FAMILIES["connections"]}
    for seed, kind in itertools.product(range(40), ("words", "spikes", "mixed", "drawn")):
        net = random_network(seed, kind)
        missing -= {p.neuron.kind for p in net.populations.values()}
        missing -= {p.connection.kind for p in net.projections}
        if not missing:
            break
    assert not missing, "tests/networks.py draws none of these kinds"
