# SPDX-License-Identifier: Apache-2.0
"""Running a network on a device: batches of samples, or streams of events."""

import logging
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun import kernels as devices
from spikerun.errors import DataError, UnsupportedError, UsageError, unknown_name
from spikerun.inputs import NO_INPUT, Given, Lazy, in_parts, part, taken
from spikerun.kernels.executor import Apart, Device, Executor, Footprint, Prepares, Single
from spikerun.live import Live, live
from spikerun.live_async import drive
from spikerun.network import Network
from spikerun.outputs import Outputs
from spikerun.plan import STEPS, EarlyExit, Plan, Schedule, blockable, check_early_exit, check_lead, lower, lower_frame
from spikerun.result import Result
from spikerun.stream import Stream

__all__ = ["Result", "Session"]

CHUNK_BYTES = 2**26  # of inputs handed to the device at a time
CHUNK_SAMPLES = 256

log = logging.getLogger("spikerun")


class Session:
    """A network made ready to run on a device, `cpu` unless another is named; `torch.device("cuda")` names one, too.

    schedule: `blocked` (whole windows at once; feed-forward networks of words), `stepped`, or `auto`, which takes
    `blocked` where it can. Further options are the device's; for the CPU `kernels` (`event`, `dense`, or `auto`),
    `layout` of weights, and `threads` (`spikerun.kernels.cpu.executor.Cpu` explains them). None changes a result.

    early_exit: a run of the stepped schedule stops each sample once its class is known. `exact`: when no spike that may
    still come can change it, so classes are those of whole runs; a number: when the largest logit leads all others by
    so much, whatever may come. Outputs and activity are then those of the steps done, `Result.steps`. Streams have no
    end to come early: it changes nothing there.

    Raises UsageError for an unknown choice, UnsupportedError for what has no kernel.
    """

    def __init__(
        self,
        net: Network,
        *,
        device: Any = "cpu",
        schedule: str = "auto",
        early_exit: EarlyExit = None,
        **options: Any,
    ) -> None:
        if not isinstance(net, Network):
            raise UsageError(f"a session runs a Network, such as spikerun.load('model.snn') returns, got {net!r:.80}")
        if schedule not in ("auto", "blocked", "stepped"):
            raise unknown_name("schedule", str(schedule), ("auto", "blocked", "stepped"))
        if schedule == "blocked" and not blockable(net):
            raise UnsupportedError(
                "the blocked schedule needs few-spikes words in every population, and no delays: use schedule='stepped'"
            )
        self.net = net
        self.schedule = ("blocked" if blockable(net) else "stepped") if schedule == "auto" else schedule
        if early_exit is not None:
            check_lead(early_exit)
            if self.schedule == "blocked":
                raise UnsupportedError(
                    "the blocked schedule takes whole windows at once, and has no step to stop after: leave early_exit "
                    "out, which is faster, or take schedule='stepped'"
                )
            check_early_exit(net, early_exit)
        self.device: Device = devices.load(str(device), **options)
        self._lowered: Schedule = "blocked" if self.schedule == "blocked" else "frame"
        frame = lower(net, self._lowered) if early_exit is None else lower_frame(net, early_exit)
        self._executor = self.device.compile(frame) if net.inputs else self._endless  # which is all that can run
        program = self._executor.program
        self._inputs, self._outputs = dict(program.inputs), dict(program.outputs)
        self._single = self._prepared()
        if log.isEnabledFor(logging.INFO):
            for row in self.plan.maps:
                log.info("%s", row)

    @property
    def threads(self) -> int:
        """Return how many threads of this computer the device uses."""
        return self.device.threads

    @property
    def steps(self) -> int:
        """Return the steps of a whole run; 1 in the blocked schedule, which takes all windows at once."""
        return self._executor.program.steps

    @property
    def plan(self) -> Plan:
        """Return what a run does, operation by operation: kernels, layouts and bytes of weights, and what they cost.

        After a run also how active the inputs of each layer were; `print(session.plan)` is a table.
        """
        return Plan.of(self._executor.program, self._executor.choices(), self.schedule, self.footprint)

    @property
    def footprint(self) -> Footprint | None:
        """Return the memory that runs take of a device that has its own; None: it has none."""
        return self._executor.footprint() if isinstance(self._executor, Apart) else None

    @cached_property
    def _traced(self) -> Executor:
        """Return the executor that keeps the word and membrane of every population to the end."""
        program = self._executor.program
        return self.device.compile(program, keep=[register for _, _, register in program.traces])

    @cached_property
    def _endless(self) -> Executor:
        program = lower(self.net, "stream")
        return self.device.compile(program, keep=[register for _, _, register in program.traces])

    def run(self, samples: Given, *, trace: bool = False, on_progress: Callable[[int], None] | None = None) -> Result:
        """Run a batch, every sample from rest, and return the outputs of each.

        samples: integers (B, *shape of the input); events (B, W, *shape) where the input's code is `spikes` or
        `frames`; a dict by name where there are several inputs. What makes its samples when it is asked for some
        (`spikerun.inputs.Lazy`), as encoded data sets do, is never whole in memory. What lies in the memory of the
        device already, a tensor of torch or any array with `__dlpack__`, stays there. on_progress is called with the
        number of samples done since the last call.
        trace: keep the word and membrane of every population (blocked schedule only).

        Raises DataError where the samples do not fit.
        """
        if self._single is not None and type(samples) is np.ndarray and not trace and on_progress is None:
            only = self._single(samples)
            if only is not None:
                outputs, counted, largest = only
                steps = outputs.pop(STEPS, None)
                done = None if steps is None else steps[:, 0]
                return Result(self.net, 1, outputs, counted, steps=done, _class=largest)
        if trace and self.schedule != "blocked":
            raise UnsupportedError(
                "a trace needs the blocked schedule: step through a stream instead, and read its state"
            )
        given = self._given(samples)
        count = next(iter(given.values())).shape[0]
        executor = self._traced if trace else self._executor
        registers = [register for _, _, register in executor.program.traces] if trace else list(self._outputs.values())
        chunk = self._chunk(given)
        parts = []
        for first in range(0, count, chunk) or (0,):
            end = min(first + chunk, count)
            taken = {self._inputs[name]: part(self.net, name, values, first, end) for name, values in given.items()}
            parts.append(executor.run(taken, registers))
            if on_progress is not None:
                on_progress(min(chunk, count - first))
        found = parts[0][0] if len(parts) == 1 else _joined([arrays for arrays, _ in parts])
        counters = np.sum([counted for _, counted in parts], axis=0) if len(parts) > 1 else parts[0][1]
        return self._result(count, found, counters, trace)

    def as_torch(self) -> Any:
        """Return the network as a module of torch: from samples on the device, as `run` takes them, to logits there.

        It sits inside programs of torch, torch.compile included, and waits for nothing; shape, type and device of
        samples are checked, values are not, and no gradient flows. Raises UnsupportedError for devices without torch,
        or several inputs.
        """
        if not isinstance(self._executor, Apart):
            raise UnsupportedError("as_torch needs a device that torch has, too: Session(net, device='cuda')")
        if len(self._inputs) != 1:
            raise UnsupportedError(f"as_torch takes networks of one input, this one has {', '.join(self._inputs)}")
        ((given, register),), (name, output) = self._inputs.items(), next(iter(self._outputs.items()))
        population = self.net.populations[name]
        scale = population.spread(population.neuron.real_scale).astype(np.float32)
        return self._executor.as_torch(register, output, taken(self.net, given), scale)

    def stream(self, step_us: float = 1000.0, late: str = "error", counts: str | None = None) -> Stream:
        """Open a stream: the network at rest, to be fed events or frames.

        step_us: the duration of a step; late, counts: what becomes of events that come late, or together (`Stream`).
        """
        return Stream(self.net, self._endless, step_us, late, counts)

    def live(
        self,
        source: Iterable[npt.NDArray[Any]],
        *,
        step_us: float = 1000.0,
        late: str = "error",
        counts: str | None = None,
        **how: Any,
    ) -> Live:
        """Open a stream that a source of events drives; iterate over it for what its outputs send.

        how: `warm`, `clock`, `overload`, `max_lag_us`, ...: `spikerun.live.live` explains them; the rest `stream`.
        """
        return live(self.stream(step_us, late, counts), source, **how)

    def astream(
        self,
        source: Iterable[npt.NDArray[Any]] | AsyncIterable[npt.NDArray[Any]],
        *,
        queue: int = 64,
        **how: Any,
    ) -> AsyncIterator[Outputs]:
        """Open a stream as `live` does, of a plain or an asynchronous source, and yield what its outputs send.

        A thread does the work. It waits where `queue` lists of outputs have not been fetched, and ends when the
        iterator is closed.
        """
        return drive(lambda plain: self.live(plain, **how), source, queue)

    def _prepared(self) -> Single | None:
        """Return what runs a single array in one call, where network and device allow that."""
        words = [self.net.sender_of(name) for name in self.net.inputs]
        if len(words) != 1 or words[0] is None or words[0].stepwise or not isinstance(self._executor, Prepares):
            return None
        first = self.net.populations[self.net.outputs[0]]
        scale = None if first.one_scale else first.spread(first.neuron.real_scale)
        return self._executor.prepared(*words[0].range, scale)

    def _given(self, samples: Given) -> dict[str, npt.NDArray[Any] | Lazy]:
        """Return the samples of each input, checked."""
        if not self.net.inputs:
            raise UsageError(NO_INPUT)
        given = in_parts(self.net, samples, self._executor if isinstance(self._executor, Apart) else None)
        if len(given) > 1 and len({values.shape[0] for values in given.values()}) != 1:
            raise DataError(f"inputs differ in length: { ({name: v.shape[0] for name, v in given.items()}) }")
        return given

    def _chunk(self, given: dict[str, npt.NDArray[Any] | Lazy]) -> int:
        if next(iter(given.values())).shape[0] <= 1:
            return 1
        per_sample = sum(2 * math.prod(values.shape[1:]) for values in given.values())
        return max(1, min(CHUNK_SAMPLES, CHUNK_BYTES // per_sample))

    def _result(self, count: int, found: dict[str, Any], counters: npt.NDArray[np.int64], trace: bool) -> Result:
        program = self._executor.program
        counted = dict(zip(program.counters, map(tuple, counters.tolist()), strict=True))
        outputs = {name: found[register].astype(np.int32, copy=False) for name, register in self._outputs.items()}
        if not trace:
            steps = outputs.pop(STEPS, None)
            return Result(self.net, count, outputs, counted, steps=None if steps is None else steps[:, 0])
        kept = {key: {n: found[r] for n, k, r in program.traces if k == key} for key in ("word", "v")}
        return Result(self.net, count, outputs, counted, kept["word"], kept["v"])


def _joined(parts: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
