# SPDX-License-Identifier: Apache-2.0
"""Processes of our own for Lava, and their models for its simulation in fixed point.

This folder holds nothing else: for each process Lava imports every module that lies beside the one that defines it.
"""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed
from lava.proc.lif.process import LIF
from lava.proc.sdn.models import AbstractSigmaDeltaModel
from lava.proc.sdn.process import SigmaDelta

VTH_SHIFT = 6


class LifSubtract(LIF):
    """A LIF whose spike takes `taken` off the membrane, at once or in the next step `after_leak`.

    reset_interval, reset_offset: as those of LIFReset; an interval of 0 never comes.
    """

    def __init__(self, *, taken, after_leak, reset_interval, reset_offset, **kwargs):
        super().__init__(**kwargs)
        own = {"taken": taken, "after_leak": after_leak, "interval": reset_interval, "offset": reset_offset}
        for key, value in own.items():
            self.proc_params[key] = value


@implements(proc=LifSubtract, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLifSubtract(AbstractPyLifModelFixed):
    """Lava's own arithmetic, but for the reset."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.taken, self.after_leak, self.interval, self.offset = (
            proc_params[key] for key in ("taken", "after_leak", "interval", "offset")
        )
        self.pending = False

    def scale_bias(self):
        super().scale_bias()
        self.effective_bias = self.effective_bias - np.int32(self.taken) * self.pending

    def scale_threshold(self):
        self.effective_vth = np.left_shift(self.vth, VTH_SHIFT)
        self.isthrscaled = True

    def spiking_activation(self):
        return self.v > self.effective_vth

    def reset_voltage(self, spike_vector):
        if self.after_leak:
            self.pending = spike_vector
        else:
            self.v[spike_vector] -= self.taken

    def run_spk(self):
        if self.interval and self.time_step % self.interval == self.offset % self.interval:
            self.u[:] = 0
            self.v[:] = 0
            self.pending = False
        super().run_spk()


class SigmaDeltaExact(SigmaDelta):
    """A SigmaDelta whose `act` is what it has sent, so that what the shift takes off is sent later."""


@implements(proc=SigmaDeltaExact, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySigmaDeltaExact(AbstractSigmaDeltaModel):
    """Lava's own arithmetic, but for what is remembered."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    sigma: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    act: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    residue: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    error: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    bias: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=16)
    spike_exp: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=3)
    state_exp: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=3)
    cum_error: np.ndarray = LavaPyType(np.ndarray, bool, precision=1)

    def run_spk(self):
        self.sigma = self.sigma_dynamics(self.a_in.recv())
        delta = self.activation_dynamics(self.sigma) - self.act
        sent = np.where(np.abs(delta) >= self.vth, delta, 0) >> self.state_exp
        self.act = self.act + (sent << self.state_exp)
        self.s_out.send(sent)


class Summing(AbstractProcess):
    """Adds up windows, `v = bias + sum g(r) i(r)`, and sends nothing: `spikerun/edge/loihi/words.py` says more."""

    def __init__(self, *, shape, **given):
        super().__init__(shape=shape, **given)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=0)


class Words(AbstractProcess):
    """Adds up windows, and sends in each the word that the last one made."""

    def __init__(self, *, shape, **given):
        super().__init__(shape=shape, **given)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=0)
        self.u = Var(shape=shape, init=0)


class WindowModel(PyLoihiProcessModel):
    """What both have in common; codes are numbered as in `spikerun.codes`."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    v: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.shape, self.window, self.first = (proc_params[key] for key in ("shape", "window", "first"))
        self.bias = proc_params["bias"]
        g = np.ones(self.window, np.int64)
        if proc_params["in_code"] >= 0:
            g = significance(*(proc_params[key] for key in ("in_code", "in_bits", "in_signed")), self.window)
        self.weighs = np.roll(g, proc_params["in_lag"])

    def run_spk(self):
        currents = self.a_in.recv()
        sent = np.zeros(self.shape, np.int64)
        if self.time_step >= self.first:
            r = (self.time_step - self.first) % self.window
            if r == 0:
                self.begin(self.time_step == self.first)
                self.v[:] = self.bias
            self.v += currents * self.weighs[r]
            sent = self.send(r)
        self.s_out.send(sent.astype(np.int32))

    def begin(self, first):
        """Begin a window."""

    def send(self, r):
        """Return what is sent at step r of a window."""
        return np.zeros(self.shape, np.int64)


@implements(proc=Summing, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySumming(WindowModel):
    """Never sends."""


@implements(proc=Words, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyWords(WindowModel):
    """Sends by restoring division, the most significant spike first; graded words at once."""

    u: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.code, self.bits, self.signed = (proc_params[key] for key in ("code", "bits", "signed"))
        self.threshold, self.kept = np.asarray(proc_params["threshold"], np.int64), proc_params["kept"]
        self.sends = significance(self.code, self.bits, self.signed, self.window)
        self.left = np.zeros(self.shape, np.int64)

    def begin(self, first):
        if not first:
            self.u[:] = self.v
            self.left[:] = 1 if self.code == TTFS else self.kept

    def send(self, r):
        g = int(self.sends[r])
        if g == 0:
            return np.zeros(self.shape, np.int64)
        if self.code == GRADED:
            return self.words()
        s = ((self.u < 0) if g < 0 else (self.u >= self.threshold * g)) & (self.left > 0)
        self.u -= self.threshold * g * s
        self.left -= s
        return s.astype(np.int64)

    def words(self):
        """Return the integers of the last window, with the most significant of their set bits."""
        low, high = (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.signed else (0, (1 << self.bits) - 1)
        q = np.clip(self.u // self.threshold, low, high)
        word, left = np.zeros_like(q), np.full(q.shape, self.kept)
        for g in significance(BITS, self.bits, self.signed, self.bits):
            bit = ((q & abs(g)) != 0) & (left > 0)
            word, left = word + g * bit, left - bit
        return word


BITS, TTFS, GRADED = range(3)


def significance(code, bits, signed, window):
    """Return what a spike at each step of a window is worth, int64 (window,); 0: none is sent."""
    left = window - np.arange(window, dtype=np.int64)
    if code == GRADED:
        return np.where(left == 1, 1, 0)
    if code == TTFS:
        return np.where(left < 1 << bits, left, 0)
    g = np.where(left <= bits, 1 << np.minimum(left - 1, 62), 0)
    return np.where(left == bits, -g, g) if signed else g


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
