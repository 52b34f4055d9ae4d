# SPDX-License-Identifier: Apache-2.0
"""From a network to what firmware consists of: its programs, and where their registers lie.

A network of words is one program that takes a frame (`run`). Any other is two, on the same memory: one that takes a
frame from rest, and one that goes on step by step (`step`).
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.edge.mcu import kernels, maps
from spikerun.edge.mcu.kernels import Call
from spikerun.edge.mcu.overlap import overlaps
from spikerun.edge.mcu.rows import Loop, by_row, each_alone
from spikerun.edge.mcu.table import shape_of
from spikerun.edge.mcu.workspace import with_memory
from spikerun.errors import UnsupportedError, UsageError
from spikerun.kernels.liveness import lifetimes, place
from spikerun.kernels.operations import Operation
from spikerun.kernels.program import Program, Register
from spikerun.network import Network
from spikerun.plan import blockable, lower
from spikerun.plan.common import dtype_of
from spikerun.plan.past import delayed, past

__all__ = ["ALIGNMENT", "Model", "Port", "Printed", "compose", "require_name", "require_network", "total"]

ALIGNMENT = 4
MAX_NEURONS = 2**24
SEEN = ("word", "v")  # what an observer sees of a population, of all that its traces offer
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
HERE = Path(__file__).parent
HEADERS = (  # of C libraries
    *("alloca", "assert", "complex", "ctype", "endian", "errno", "fenv", "features", "float"),
    *("inttypes", "iso646", "limits", "locale", "malloc", "math", "memory", "newlib", "pthread"),
    *("reent", "sched", "setjmp", "signal", "stdalign", "stdarg", "stdatomic", "stdbool", "stddef"),
    *("stdint", "stdio", "stdlib", "stdnoreturn", "string", "strings", "tgmath", "threads", "time"),
    *("uchar", "unistd", "wchar", "wctype"),
)
# names of files that are there already: of the bundle, of its examples, and of C libraries
TAKEN = frozenset(
    {path.name.split(".")[0] for folder in ("port", "templates/c") for path in (HERE / folder).glob("*.[ch]*")}
    | {"arduino", "events", "frames", *HEADERS}
)


@dataclass(frozen=True)
class Port:
    """An input or output as the caller has it: where it begins among all, and how many values there are.

    width: of inputs, the bytes of a value, in which `offset` is counted too; outputs are counted in values.
    """

    offset: int
    count: int
    width: int = 1


@dataclass(frozen=True, eq=False)
class Printed:
    """A program ready to print: the loops of its calls, and the byte at which each register lies.

    at_once: whether it is one pass over whole windows; windowed: inputs that are given anew in each step of a frame;
    in_place: registers of inputs that lie as the caller's values do, so that these are read where they are.
    """

    program: Program
    loops: tuple[Loop, ...]
    registers: Mapping[str, Register]
    places: Mapping[str, int]
    bytes: int
    at_once: bool
    windowed: frozenset[str]
    in_place: frozenset[str]

    @property
    def calls(self) -> tuple[Call, ...]:
        """Return the calls of all loops."""
        return tuple(call for loop in self.loops for call in loop.calls)


@dataclass(frozen=True, eq=False)
class Model:
    """A network as firmware.

    name: the prefix of its symbols; frames, events, outputs: how its inputs lie in a frame and in a step's events, and
    its outputs among the results; traces: number of each (population, key) that an observer sees; owners: the
    population of each register, which for the ring of a projection is its source.
    """

    net: Network
    name: str
    run: Printed
    step: Printed | None
    frames: Mapping[str, Port]
    events: Mapping[str, Port]
    outputs: Mapping[str, Port]
    traces: Mapping[tuple[str, str], int]
    owners: Mapping[str, str]

    @property
    def programs(self) -> tuple[Printed, ...]:
        """Return its programs."""
        return (self.run,) if self.step is None else (self.run, self.step)

    @property
    def binary(self) -> bool:
        """Return whether it goes on step by step, and each event that it is given is 0 or 1."""
        return self.step is not None and _binary(self.net)

    @property
    def event_type(self) -> str:
        """Return the C type of the place of an event among those of a step."""
        return "uint16_t" if total(self.events.values()) <= 2**16 else "uint32_t"

    @property
    def memory(self) -> int:
        """Return the bytes of all registers."""
        return max(ALIGNMENT, *(-(-printed.bytes // ALIGNMENT) * ALIGNMENT for printed in self.programs))

    @property
    def scales(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return what the integers of each output are worth, in C order; one number where all neurons agree."""
        outputs = {name: self.net.populations[name] for name in self.outputs}
        found = {name: p.real(np.ones(p.shape, np.int32)).ravel() for name, p in outputs.items()}
        return {name: scale[:1] if (scale == scale[0]).all() else scale for name, scale in found.items()}


def require_name(name: str) -> None:
    """Refuse what cannot begin the names of C symbols and files. Raises UsageError."""
    said = f"name '{name}' cannot begin the symbols and files of a network: "
    if not NAME.fullmatch(name):
        fitting = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("0123456789_")[:32]
        such = f", such as '{fitting}'" if NAME.fullmatch(fitting) else ""
        raise UsageError(f"{said}take 1 to 32 small letters, digits and _, a letter first{such}")
    if name in TAKEN or name.startswith("spikerun"):
        raise UsageError(f"{said}it is taken, as are spikerun..., the files of a bundle and the headers of C")


def require_network(net: object) -> None:
    """Refuse what is no network. Raises UsageError."""
    if not isinstance(net, Network):
        raise UsageError(f"a target takes a Network, as spikerun.load returns it; got {net!r:.80}")


def compose(
    net: Network,
    name: str = "model",
    features: Collection[str] = (),
    packing: str = "auto",
    activity: Mapping[str, float] = kernels.NOTHING,
) -> Model:
    """Return a network as firmware for a core that has `features`, its weights packed as `packings.best` says.

    activity: the share of active neurons of populations, where it was measured.

    Raises UnsupportedError, naming the population, for what has no kernel in C; UsageError for an impossible name, and
    for what is no network.
    """
    require_network(net)
    require_name(name)
    for population, found in net.populations.items():
        if found.size > MAX_NEURONS:
            raise UnsupportedError(f"population '{population}' has {found.size} neurons, too many for any board here")
    inputs, words = net.inputs, blockable(net)
    windowed = frozenset(n for n in inputs if (word := net.sender_of(n)) is not None and word.stepwise)
    sizes = {n: net.populations[n].size for n in inputs}
    widths = {n: np.dtype(dtype_of(net, n)).itemsize for n in inputs}
    programs = [lower(net, "blocked" if words else "frame"), *([] if words else [lower(net, "stream")])]
    owners = _owners(net, programs)
    choose = partial(kernels.choose, owners=owners, features=features, packing=packing, activity=activity)
    run = _printed(programs[0], choose, words, windowed, net.window)
    seen = [(label, key) for label, key, _ in run.program.traces if label not in inputs and key in SEEN]
    step = None if words else _printed(programs[1], choose, False, frozenset(), net.window, _binary(net))
    return Model(
        net,
        name,
        run,
        step=step,
        frames=_stack({n: size * (net.window if n in windowed else 1) for n, size in sizes.items()}, widths),
        events=_stack(sizes, widths),
        outputs=_stack({n: net.populations[n].size for n in net.outputs}, {}),
        traces={trace: number for number, trace in enumerate(seen)},
        owners=_owners(net, [printed.program for printed in (run, step) if printed is not None]),
    )


def _binary(net: Network) -> bool:
    """Return whether each event that a network is given in a step is 0 or 1."""
    words = [net.sender_of(name) for name in net.inputs]
    return all(word is not None and word.event_range == (0, 1) for word in words)


def _owners(net: Network, programs: Iterable[Program]) -> dict[str, str]:
    """Return the population that each register belongs to."""
    rings = {name: link.source for link in net.links for name in (past(link), delayed(link))}
    names = (register.name for program in programs for register in program.registers)
    return {name: rings.get(name) or name.partition(":")[0] for name in names}


def _trimmed(operation: Any) -> Operation:
    trimmed: Operation = operation
    if operation.name == "apply":
        trimmed = replace(operation, map=maps.without_empty_taps(operation.map))
    return trimmed


def _printed(
    program: Program,
    choose: Callable[[Program], list[Call]],
    at_once: bool,
    windowed: frozenset[str],
    window: int,
    listed: bool = False,
) -> Printed:
    """Return a program ready to print; listed: whether its inputs may be given as lists of events."""
    program = replace(program, operations=tuple(map(_trimmed, program.operations)))
    program, calls = with_memory(program, choose(program))
    program, loops = by_row(program, calls) if at_once else (program, each_alone(calls))
    registers = {register.name: register for register in program.registers}
    written = {register for call in calls for register in call.writes}
    silent_later = windowed if program.steps > window else frozenset()  # their frame ends before the program does
    in_place = frozenset(
        name
        for label, name in program.inputs
        if name not in written
        and label not in silent_later
        and 1 in shape_of(registers[name].shape).values()
        and not listed
    )

    def size(register: Register) -> int:
        return 0 if register.name in in_place else register.size * kernels.bytes_of(register)

    spans = lifetimes(program)
    places, end = place(program, spans, size, ALIGNMENT, overlaps(program, loops, spans))
    return Printed(program, loops, registers, places, end, at_once, windowed, in_place)


def _stack(sizes: Mapping[str, int], widths: Mapping[str, int]) -> dict[str, Port]:
    """Return the ports of things that lie one after the other."""
    ports, offset = {}, 0
    for name, size in sizes.items():
        ports[name] = Port(offset, size, widths.get(name, 1))
        offset += size * ports[name].width
    return ports


def total(ports: Iterable[Port]) -> int:
    """Return how many values outputs have together, how many bytes inputs."""
    return sum(port.count * port.width for port in ports)
