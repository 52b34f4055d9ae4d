# SPDX-License-Identifier: Apache-2.0
"""From a network to a program: what is to be done, as operations on registers, for one of three schedules.

`blocked`: one pass, whole windows at once, words as operands (feed-forward networks of words). `frame`: step by step,
one frame from rest to its results. `stream`: step by step without end; input registers are filled before each pass.

Every executor runs or prints such programs (`spikerun.kernels.operations` is their vocabulary). A population's words or
spikes live in a register of its name, its state in registers `NAME:v`, `NAME:u`, ... as its kind names them.
"""

from typing import Literal

from spikerun.kernels.program import Program
from spikerun.network import Network
from spikerun.plan.blocked import blockable, lower_blocked
from spikerun.plan.early import STEPS, EarlyExit, check_early_exit, check_lead
from spikerun.plan.stepped import lower_frame, lower_stream
from spikerun.plan.table import Plan, Row

__all__ = [
    "SCHEDULES",
    "STEPS",
    "EarlyExit",
    "Plan",
    "Row",
    "Schedule",
    "blockable",
    "check_early_exit",
    "check_lead",
    "describe",
    "lower",
    "lower_frame",
]

Schedule = Literal["blocked", "frame", "stream"]
SCHEDULES = {"blocked": lower_blocked, "frame": lower_frame, "stream": lower_stream}


def lower(net: Network, schedule: Schedule) -> Program:
    """Return the program of a network. `blocked` needs a network that is `blockable`."""
    return SCHEDULES[schedule](net)


def describe(net: Network) -> str:
    """Return the programs that a run and a stream execute, as text."""
    programs: dict[str, Schedule] = {"a run, schedule 'stepped': each step of a sample": "frame"}
    if blockable(net):
        programs = {"a run, schedule 'blocked': all windows of a sample at once": "blocked"}
    programs["a stream: each step, without end"] = "stream"
    return "\n\n".join(f"{title}\n\n{lower(net, schedule)}" for title, schedule in programs.items())
