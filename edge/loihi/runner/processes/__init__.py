# SPDX-License-Identifier: Apache-2.0
"""Processes of our own for Lava, and their models for its simulation in fixed point.

This folder holds nothing else: for each process Lava imports every module that lies beside the one that defines it.
"""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed
from lava.proc.lif.process import LIF

VTH_SHIFT = 6


class LifSubtract(LIF):
    """A LIF whose spike takes the threshold off the membrane; reset_interval, reset_offset are those of LIFReset."""

    def __init__(self, *, reset_interval, reset_offset, **kwargs):
        super().__init__(**kwargs)
        self.proc_params["reset_interval"] = reset_interval
        self.proc_params["reset_offset"] = reset_offset


@implements(proc=LifSubtract, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLifSubtract(AbstractPyLifModelFixed):
    """Lava's own arithmetic, but for the reset."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)

    def scale_threshold(self):
        self.effective_vth = np.left_shift(self.vth, VTH_SHIFT)
        self.isthrscaled = True

    def spiking_activation(self):
        return self.v > self.effective_vth

    def reset_voltage(self, spike_vector):
        self.v[spike_vector] -= self.effective_vth

    def run_spk(self):
        interval = self.proc_params["reset_interval"]
        if interval and self.time_step % interval == self.proc_params["reset_offset"] % interval:
            self.u[:] = 0
            self.v[:] = 0
        super().run_spk()


class Recorder(AbstractProcess):
    """Writes what it receives in each step into the file `path`, (steps, *shape): Var.get takes 50 us an element."""

    def __init__(self, *, shape, path, steps):
        super().__init__(shape=shape, path=path, steps=steps)
        self.a_in = InPort(shape=shape)


class Watcher(AbstractProcess):
    """Writes a variable after each step, or the last one alone, into the file `path`, (steps or 1, *shape)."""

    def __init__(self, *, shape, path, steps, every):
        super().__init__(shape=shape, path=path, steps=steps, every=every)
        self.state = RefPort(shape=shape)


def rows(params, count):
    """Return the file of a process as an array; it lies on disk, so that nothing is left to send at the end."""
    shape = (count, *params["shape"])
    return np.lib.format.open_memmap(params["path"], mode="w+", dtype=np.int32, shape=shape)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyRecorder(PyLoihiProcessModel):
    """Runs on the host, beside a simulation and beside a chip."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.rows = rows(proc_params, proc_params["steps"])

    def run_spk(self):
        self.rows[self.time_step - 1] = self.a_in.recv()


@implements(proc=Watcher, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyWatcher(PyLoihiProcessModel):
    """Reads after the step, when all processes have done it."""

    state: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.every, self.steps = proc_params["every"], proc_params["steps"]
        self.rows = rows(proc_params, self.steps if self.every else 1)

    def post_guard(self):
        return self.every or self.time_step == self.steps

    def run_post_mgmt(self):
        self.rows[self.time_step - 1 if self.every else 0] = self.state.read()
