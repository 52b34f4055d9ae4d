# SPDX-License-Identifier: Apache-2.0
"""Loihi 2 itself, on hosts of the INRC that have lava-loihi. Written after public examples, NEVER RUN ON SILICON.

The examples are the tutorials of Lava and lava-dl: adapters between Python and the cores, a host that is chosen by
SLURM or by its address, and profilers as callbacks of the run configuration.
"""

import os

import lavanet
import numpy as np
from bundle import Refused
from lava.proc.io.source import PySendModelFixed, RingBuffer

UNTRIED = "written after public examples, never run on silicon"
LATEST = 32  # steps by which adapters may delay what comes out


def choose_host():
    """Tell Lava which host has the chip, from environment variables, and return it in words.

    NXSDKHOST: its address; else SLURM chooses, within BOARD or PARTITION. LOIHI_GEN: N3B2, N3B3 (default), N3C1, N3D1.
    """
    from lava.utils import loihi

    if not loihi.is_installed():
        raise Refused("lava-loihi is not installed; Intel gives it to members of the INRC, or leave out --hardware")
    name = os.environ.get("LOIHI_GEN", "N3B3")
    try:
        generation = loihi.ChipGeneration(name)
    except ValueError as error:
        known = ", ".join(one.value for one in loihi.ChipGeneration)
        raise Refused(f"LOIHI_GEN is {name!r}; known are {known}") from error
    address, board, partition = (os.environ.get(key) or None for key in ("NXSDKHOST", "BOARD", "PARTITION"))
    if board and partition:
        raise Refused("BOARD and PARTITION are both set; unset one of them")
    try:
        if address:
            loihi.use_ethernet_host(host_address=address, loihi_gen=generation)
            return f"Loihi 2 {name} at {address}"
        loihi.use_slurm_host(loihi_gen=generation)
    except (ValueError, ImportError, OSError) as error:  # OSError: there is no `ping`, no `sinfo`
        raise Refused(f"{error} (set NXSDKHOST, or SLURM's BOARD or PARTITION)") from error
    # Not given to that function: Lava 0.10.0 stumbles over the empty last line of what `sinfo` lists.
    os.environ.update({key: value for key, value in (("BOARD", board), ("PARTITION", partition)) if value})
    return f"Loihi 2 {name}, SLURM, {board or partition or 'any partition'}"


class Chip(lavanet.Direct):
    """How the cores are entered and left, and what is measured there. Raises Refused for what they cannot run."""

    def __init__(self, graph, profile, own_models):
        if not own_models and (
            strange := [f"{n.name} ({n.model})" for n in graph.neurons if n.model not in lavanet.STOCK]
        ):
            raise Refused(
                f"no chip has the models of {', '.join(strange)}; convert with a reset to zero, simulate, or bring "
                "models of your own for the chip (--own-models)"
            )
        self.where = choose_host()
        self.profile = profile
        self.profilers = []

    def enter(self, port, source):
        from lava.proc.embedded_io.spike import PyToNxAdapter

        adapter = PyToNxAdapter(shape=tuple(source.shape), num_message_bits=source.message_bits)
        port.connect(adapter.inp)
        return adapter.out

    def leave(self, port, neurons):
        from lava.proc.embedded_io.spike import NxToPyAdapter

        adapter = NxToPyAdapter(shape=tuple(neurons.shape))
        port.connect(adapter.inp)
        return adapter.out

    def config(self, steps):
        from lava.magma.core.run_configs import Loihi2HwCfg

        # Of what runs on the host, the source alone has a model of floats too, which would be taken.
        given = {"exception_proc_model_map": {RingBuffer: PySendModelFixed}}
        if self.profile:
            from lava.utils import loihi2_profiler

            power = loihi2_profiler.Loihi2Power(num_steps=steps)
            time = loihi2_profiler.Loihi2ExecutionTime()
            self.profilers.append((power, time))
            given["callback_fxs"] = [power, time]
        return Loihi2HwCfg(**given)

    def measures(self):
        """Return what was measured, mean over the runs: power in W, time of a step in us."""
        named = {"total_power_w": (0, "total_power"), "us_per_step": (1, "avg_time_per_step")}
        return {
            name: float(np.mean([getattr(pair[which], attribute) for pair in self.profilers]))
            for name, (which, attribute) in named.items() if self.profilers
        }  # fmt: skip


def lateness(graph, runs, expected, early):
    """Return by how many steps what came out is late: where most of it is what was expected.

    runs: a list of {population: events (steps + LATEST, *shape)}, one a run; expected: {`events/population`: values};
    early: {population: by how many steps less it is late}, all alike.
    """

    def score(late):
        total = 0
        for name in runs[0]:
            if f"events/{name}" in expected:
                own = late - early.get(name, 0)
                steps = [one[name][own : len(one[name]) - LATEST + own] for one in runs]
                got = np.concatenate([graph.samples(name, x) for x in steps])
                wanted = expected[f"events/{name}"][: len(got)]
                total += int(((got == wanted) & (wanted != 0)).sum()) - int(((got != 0) & (wanted == 0)).sum())
        return total

    return max(range(max(early.values(), default=0), LATEST + 1), key=score)
