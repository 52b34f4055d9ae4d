"""The compiled kernels, as bindings.cpp defines them; kernels/README.md says what each operation computes."""

from collections.abc import Sequence
from typing import final

import numpy as np
import numpy.typing as npt

ABI: int

_Int16 = npt.NDArray[np.int16]
_Int32 = npt.NDArray[np.int32]
_Int64 = npt.NDArray[np.int64]
_Int8 = npt.NDArray[np.int8]
# Any sequence of so many numbers; the number is checked when called.
_Pair = Sequence[int]
_Hwc = Sequence[int]

@final
class Linear:
    @staticmethod
    def dense(weight: _Int8) -> Linear: ...
    @staticmethod
    def sparse(indptr: _Int64, indices: _Int32, data: _Int8, n_out: int) -> Linear: ...
    @staticmethod
    def conv(
        weight: _Int8,
        in_hwc: _Hwc,
        out_hwc: _Hwc,
        stride: _Pair = (1, 1),
        padding: _Pair = (0, 0),
        dilation: _Pair = (1, 1),
        groups: int = 1,
        channel_offset: int = 0,
    ) -> Linear: ...
    @staticmethod
    def diagonal(gain: _Int32, n_out: int, target_index: _Int32) -> Linear: ...
    @staticmethod
    def sum_pool(
        in_hwc: _Hwc,
        out_hwc: _Hwc,
        kernel: _Pair,
        stride: _Pair,
        padding: _Pair,
        gain: _Int32,
        channel_offset: int = 0,
    ) -> Linear: ...
    def apply_event(self, x: _Int16, acc: _Int32) -> None: ...
    def apply_dense(self, x: _Int16, acc: _Int32) -> None: ...
    @property
    def n_in(self) -> int: ...
    @property
    def n_out(self) -> int: ...
    @property
    def bytes(self) -> int: ...

@final
class Workspace:
    t: int
    def word(self, index: int) -> _Int16: ...
    def acc(self, index: int) -> _Int32: ...
    @property
    def counters(self) -> _Int64: ...
    def reset(self) -> None: ...

@final
class Program:
    def __init__(self, words: Sequence[int], accs: Sequence[int]) -> None: ...
    def fill(
        self,
        acc: int,
        bias: _Int32,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def linear(
        self,
        linear: Linear,
        x: int,
        acc: int,
        cut: int,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def fire(
        self,
        acc: int,
        word: int,
        threshold: _Int32,
        bits: int,
        signed: bool,
        max_spikes: int,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def latch(
        self,
        v: int,
        u: int,
        left: int,
        limit: int,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def send(
        self,
        u: int,
        left: int,
        threshold: _Int32,
        s: int,
        significance: _Int32,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def send_graded(
        self,
        u: int,
        threshold: _Int32,
        bits: int,
        signed: bool,
        max_spikes: int,
        s: int,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def weigh(
        self,
        x: int,
        y: int,
        significance: _Int32,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def delay(
        self,
        x: int,
        ring: int,
        y: int,
        steps: int,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def if_step(
        self,
        i: int,
        v: int,
        s: int,
        threshold: _Int32,
        bias: _Int32,
        v_min: _Int32,
        reset: str,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def lif_step(
        self,
        i: int,
        u: int,
        v: int,
        wait: int,
        pending: int,
        s: int,
        threshold: _Int32,
        bias: _Int32,
        du: _Int32,
        dv: _Int32,
        reset: str,
        refractory: int = 0,
        reset_interval: int = 0,
        reset_offset: int = 0,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def max_pool(
        self,
        x: int,
        y: int,
        in_hwc: _Hwc,
        out_hwc: _Hwc,
        kernel: _Pair,
        stride: _Pair,
        padding: _Pair = (0, 0),
        dilation: _Pair = (1, 1),
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def max_pool_step(
        self,
        x: int,
        alive: int,
        y: int,
        in_hwc: _Hwc,
        out_hwc: _Hwc,
        kernel: _Pair,
        stride: _Pair,
        padding: _Pair = (0, 0),
        dilation: _Pair = (1, 1),
        restart_at: int = 0,
        sign_at: int = -1,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def count(
        self,
        word: int,
        fan_out: _Int32,
        mode: str,
        bits: int,
        slot: int,
        *,
        period: int = 1,
        begin: int = 0,
        first: int = 0,
        last: int | None = None,
        end: int | None = None,
    ) -> None: ...
    def initial(self, acc: int, values: _Int32) -> None: ...
    def workspace(self) -> Workspace: ...
    def step(self, workspace: Workspace, n: int = 1) -> None: ...
    def run_batch(
        self,
        inputs: Sequence[tuple[int, _Int16]],
        outputs_words: Sequence[int],
        outputs_accs: Sequence[int],
        threads: int = 1,
        steps: int = 1,
        step_inputs: Sequence[tuple[int, _Int16]] = (),
    ) -> tuple[list[_Int16], list[_Int32], _Int64]: ...
    @property
    def done(self) -> int: ...
