# SPDX-License-Identifier: Apache-2.0
"""Stands in for the adapters of lava-loihi: what leaves the cores is three steps late, what enters them on demand."""

import os

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

LATE = 3


class PyToNxAdapter(AbstractProcess):
    def __init__(self, *, shape, num_message_bits=0):
        super().__init__(shape=shape, late=int(os.environ.get("STANDIN_LATE", "0")))
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


class NxToPyAdapter(AbstractProcess):
    def __init__(self, *, shape, num_message_bits=0):
        super().__init__(shape=shape, late=LATE)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


class Late(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.waiting = [np.zeros(proc_params["shape"], np.int32)] * proc_params["late"]

    def run_spk(self):
        self.waiting.append(self.inp.recv().astype(np.int32))
        self.out.send(self.waiting.pop(0))


@implements(proc=PyToNxAdapter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyPyToNx(Late):
    pass


@implements(proc=NxToPyAdapter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyNxToPy(Late):
    pass
