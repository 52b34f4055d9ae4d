# SPDX-License-Identifier: Apache-2.0
"""All passes of a program in as few calls as possible: loop distribution (Allen and Kennedy, 1987).

A program is a loop over passes of operations on registers. A register that is written anew has a row for each time
that this happens, so that only what is truly needed must wait: an edge of the graph of dependences.
Its strongly connected components, in topological order, are executed one after the other. An operation that does not
depend on itself takes all its passes at once, in which time is but more of a batch; one that carries a state of its own
does so too where its kernel has the loop within; several that depend on each other go pass by pass. Feed-forward
networks thus run layer by layer, with weights fetched once for all steps.

Sums do not depend on order: operations that add to one row need not wait for each other.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from spikerun.kernels.operations import Operation
from spikerun.kernels.program import Program

__all__ = ["Layer", "Part", "Schedule", "distribute", "pass_by_pass"]

Rows = tuple[int, ...]
# All others change what they update in an order that matters.
_ADDS = frozenset({"apply", "accumulate", "add_shifted"})


@dataclass(frozen=True)
class Layer:
    """A map, its neurons and what follows them as one kernel, by the numbers of operations.

    neuron: None where the sums stay what they are. fill: what the sums begin with, or None: the register has it, and
    what other maps added. within: registers that are never in memory.
    """

    numbers: tuple[int, ...]
    apply: int
    neuron: int | None
    fill: int | None
    pool: int | None
    counts: tuple[int, ...]
    within: frozenset[str]


@dataclass(frozen=True)
class Part:
    """Operations that are executed together, by number. whole: one operation, or a layer, all its passes at once."""

    numbers: tuple[int, ...]
    whole: bool
    layer: Layer | None = None


@dataclass(frozen=True)
class Schedule:
    """What becomes of a program.

    passes: of each operation, those in which it executes. rows: how many each register has; used: of each operation and
    field, the row in each of its passes; loaded: of inputs that are given pass by pass, the row of each pass; begin:
    registers whose first row is what they hold before pass 0; last: the row that they hold after the last pass.
    packed: registers whose rows are bits: row k is bit k % 8 of byte k // 8.
    """

    parts: tuple[Part, ...]
    passes: tuple[tuple[int, ...], ...]
    rows: Mapping[str, int]
    used: Mapping[tuple[int, str], Rows]
    loaded: Mapping[str, Rows]
    begin: frozenset[str]
    last: Mapping[str, int]
    packed: frozenset[str] = frozenset()


def pass_by_pass(program: Program) -> Schedule:
    """Return the schedule that executes a program as it stands, at any pass: one row for each register."""
    numbers = tuple(range(len(program.operations)))
    used = {(k, o.field): (0,) for k in numbers for o in program.operations[k].operands()}
    names = [register.name for register in program.registers]
    parts = (Part(numbers, False),) if numbers else ()
    return Schedule(parts, (), dict.fromkeys(names, 1), used, {}, frozenset(names), dict.fromkeys(names, 0))


def distribute(program: Program, by_pass: Collection[str] = ()) -> Schedule:
    """Return the schedule of a program with an end; by_pass: the inputs of which a row is given before each pass."""
    operations = program.operations
    passes = tuple(tuple(filter(op.time.includes, range(program.steps))) for op in operations)
    history = _History(operations, [register.name for register in program.registers])
    executed: list[list[int]] = [[] for _ in range(program.steps)]
    for number, own in enumerate(passes):
        for t in own:
            executed[t].append(number)
    loaded: dict[str, list[int]] = {name: [] for name in by_pass}
    for t in range(program.steps):
        for name in by_pass:
            loaded[name].append(history.write(name))
        for number in executed[t]:
            history.execute(number, t)
    shift = {name: 0 if name in history.begun(program) else 1 for name in history.current}
    used = {
        (number, field): tuple(row - shift[history.register[number, field]] for row in rows)
        for (number, field), rows in history.used.items()
    }
    parts = tuple(_part(component, history, used) for component in _components(len(operations), history.edges))
    return Schedule(
        tuple(part for part in parts if any(passes[number] for number in part.numbers)),
        passes,
        {name: row + 1 - shift[name] for name, row in history.current.items()},
        used,
        {name: tuple(row - shift[name] for row in rows) for name, rows in loaded.items()},
        frozenset(name for name, by in shift.items() if not by),
        {name: row - shift[name] for name, row in history.current.items()},
    )


class _History:
    """What happens to each register, row by row, and which operation must come before which."""

    def __init__(self, operations: tuple[Operation, ...], names: list[str]) -> None:
        self._operations = operations
        self._operands = [list(operation.operands()) for operation in operations]
        self.register = {(k, o.field): o.register for k, each in enumerate(self._operands) for o in each}
        self.current = dict.fromkeys(names, 0)
        self.used: dict[tuple[int, str], list[int]] = defaultdict(list)
        self.edges: dict[int, set[int]] = defaultdict(set)
        self.serial: set[int] = set()  # operations that must wait for what they did themselves
        self._readers: dict[str, set[int]] = defaultdict(set)  # of the current row of each register
        self._changed: dict[str, set[int]] = defaultdict(set)  # what has changed it
        self._first = set(names)  # whose current row is that from before pass 0
        self._begun: set[str] = set()

    def write(self, name: str) -> int:
        """Begin a new row; return its number."""
        self.current[name] += 1
        self._first.discard(name)
        self._readers[name], self._changed[name] = set(), set()
        return self.current[name]

    def execute(self, number: int, t: int) -> None:
        """Note one operation of one pass."""
        for field, name, role in self._operands[number]:
            if role == "write":
                self.write(name)
                self._changed[name].add(number)
            else:
                if name in self._first:
                    self._begun.add(name)
                self._update(number, name) if role == "update" else self._read(number, name)
            self.used[number, field].append(self.current[name])

    def begun(self, program: Program) -> set[str]:
        """Return the registers whose content before pass 0 matters; so does that of one that nobody writes."""
        return self._begun | {name for name, row in self.current.items() if not row}

    def _read(self, number: int, name: str) -> None:
        self._after(self._changed[name], number)
        self._readers[name].add(number)

    def _update(self, number: int, name: str) -> None:
        commutes = self._commutes(number)
        self._after({m for m in self._changed[name] if not commutes or self._commutes(m) != commutes}, number)
        self._after(self._readers[name], number)
        self._changed[name].add(number)

    def _after(self, earlier: Collection[int], number: int) -> None:
        for one in earlier:
            if one == number:
                self.serial.add(number)
            else:
                self.edges[one].add(number)

    def _commutes(self, number: int) -> str:
        """Return in which way an operation updates a register, if the order among those of one way is all the same."""
        operation = self._operations[number]
        mode = dict(operation.numbers()).get("mode") if operation.name == "collect" else ""
        return "add" if operation.name in _ADDS or mode == "mean" else "max" if mode == "max" else ""


def _part(numbers: tuple[int, ...], history: _History, used: Mapping[tuple[int, str], Rows]) -> Part:
    """Return how a component is executed."""
    (first, *more) = numbers
    if more or first not in history.serial:
        return Part(numbers, not more)
    operands = history._operands[first]
    apart = len({o.register for o in operands}) == len(operands)
    kept = all(len(set(used.get((first, o.field), ()))) <= 1 for o in operands if o.role == "update")
    return Part(numbers, apart and kept)


def _components(count: int, edges: Mapping[int, set[int]]) -> Iterator[tuple[int, ...]]:
    """Yield the strongly connected components in topological order, of those that may come next the first in order."""
    found = list(_strongly_connected(count, edges))
    of = {number: place for place, component in enumerate(found) for number in component}
    waiting = [0] * len(found)
    after: list[set[int]] = [set() for _ in found]
    for number, targets in edges.items():
        after[of[number]] |= {of[target] for target in targets} - {of[number]}
    for targets in after:
        for target in targets:
            waiting[target] += 1
    ready = [(component[0], place) for place, component in enumerate(found) if not waiting[place]]
    heapify(ready)
    while ready:
        _, place = heappop(ready)
        yield found[place]
        for target in after[place]:
            waiting[target] -= 1
            if not waiting[target]:
                heappush(ready, (found[target][0], target))


def _strongly_connected(count: int, edges: Mapping[int, set[int]]) -> Iterator[tuple[int, ...]]:
    """Yield the components, each sorted (Tarjan 1972, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    for root in range(count):
        if root in order:
            continue
        work = [(root, iter(sorted(edges.get(root, ()))))]
        order[root] = low[root] = len(order)
        path.append(root)
        on_path.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in order:
                    order[target] = low[target] = len(order)
                    path.append(target)
                    on_path.add(target)
                    work.append((target, iter(sorted(edges.get(target, ())))))
                    break
                if target in on_path:
                    low[node] = min(low[node], order[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    component: list[int] = []
                    while not component or component[-1] != node:
                        component.append(path.pop())
                        on_path.discard(component[-1])
                    yield tuple(sorted(component))
