"""Running a network on this machine: batches of samples, or streams of events."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.activity import Activity, network_macs
from spikerun.errors import DataError, UnsupportedError, UsageError, unknown_name
from spikerun.inputs import Given, by_name, checked, events
from spikerun.kernels import Linear
from spikerun.kernels.cost import calibrate
from spikerun.network import Network
from spikerun.neurons import Readout
from spikerun.plan import Plan, blockable, from_kernel, lower, plan_blocked, plan_stepped, to_kernel
from spikerun.stream import Stream

__all__ = ["Result", "Session", "default_threads"]

CHUNK_BYTES = 2**26  # of input words handed to the kernels at a time
CHUNK_SAMPLES = 256
MAX_THREADS = 1024


@dataclass(frozen=True, eq=False)
class Result:
    """What a run returns, for B samples.

    outputs: for each output population, int32 (B, *shape): the membrane of a readout, or the words of a spiking one;
    logits: float32 (B, K), of the first output, scaled; classes: int64 (B,), the index of the largest logit;
    words, membranes: of every population, where a trace was asked for.
    """

    outputs: dict[str, npt.NDArray[np.int32]]
    logits: npt.NDArray[np.float32]
    activity: Activity
    words: dict[str, npt.NDArray[np.int16]] = field(default_factory=dict)
    membranes: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict)

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """Return the index of the largest logit of each sample; the smallest index where several are equal."""
        classes: npt.NDArray[np.int64] = self.logits.argmax(axis=1)
        return classes


class Session:
    """A network made ready to run on the CPU.

    schedule: `blocked` (whole windows at once; feed-forward networks of words), `stepped`, or `auto`, which takes
    `blocked` where it can. kernels: `event`, `dense`, or `auto`: for each projection, by the activity it meets and
    the times measured on this machine while the session is built (some milliseconds a layer). threads: default
    $SPIKERUN_NUM_THREADS, or the physical cores. None of these changes a result.

    Raises UsageError for an unknown choice, UnsupportedError for what has no kernel.
    """

    def __init__(
        self,
        net: Network,
        *,
        device: str = "cpu",
        schedule: str = "auto",
        kernels: str = "auto",
        threads: int | None = None,
    ) -> None:
        if device != "cpu":
            raise UnsupportedError(f"device '{device}' is not available in this version: use device='cpu'")
        if schedule not in ("auto", "blocked", "stepped"):
            raise unknown_name("schedule", schedule, ("auto", "blocked", "stepped"))
        if kernels not in _CUTS:
            raise unknown_name("choice of kernels", kernels, _CUTS)
        if schedule == "blocked" and not blockable(net):
            raise UnsupportedError(
                "the blocked schedule needs few-spikes words in every population, and no delays: use schedule='stepped'"
            )
        self.net = net
        self.threads = threads if threads is not None else default_threads()
        if not isinstance(self.threads, int) or not 1 <= self.threads <= MAX_THREADS:
            raise UsageError(f"threads must be an integer in 1..{MAX_THREADS}, got {self.threads!r}")
        self.schedule = ("blocked" if blockable(net) else "stepped") if schedule == "auto" else schedule
        self._cut = _CUTS[kernels]
        self._kernels: dict[int, tuple[Linear, int]] = {}
        self._macs = network_macs(net)
        blocked = self.schedule == "blocked"
        self.plan: Plan = plan_blocked(net, self._kernel) if blocked else plan_stepped(net, self._kernel, endless=False)

    def _kernel(self, k: int) -> tuple[Linear, int]:
        """Return the kernel object of the k-th projection, and its cut; all plans of the session share it."""
        if k not in self._kernels:
            linear = lower(self.net, self.net.projections[k])
            self._kernels[k] = linear, self._cut(linear)
        return self._kernels[k]

    @cached_property
    def _endless(self) -> Plan:
        return plan_stepped(self.net, self._kernel, endless=True)

    def run(self, samples: Given, *, trace: bool = False, on_progress: Callable[[int], None] | None = None) -> Result:
        """Run a batch, every sample from rest, and return the outputs of each.

        samples: integers (B, *shape of the input); events (B, W, *shape) where the input's code is `spikes`; a dict by
        name where there are several inputs. on_progress is called with the number of samples done since the last call.
        trace: keep the word and membrane of every population (blocked schedule only).

        Raises DataError where the samples do not fit.
        """
        if trace and self.schedule != "blocked":
            raise UnsupportedError(
                "a trace needs the blocked schedule: step through a stream instead, and read its state"
            )
        given = self._given(samples)
        count = len(next(iter(given.values())))
        words, accs = self._wanted(trace)
        collected: list[tuple[list[Any], list[Any]]] = []
        counters = np.zeros((len(self.plan.slots), 2), np.int64)
        chunk = self._chunk()
        for first in range(0, count, chunk) or (0,):
            part = {name: values[first : first + chunk] for name, values in given.items()}
            out_words, out_accs, counted = self._run_chunk(part, words, accs)
            collected.append((out_words, out_accs))
            counters += counted.sum(axis=0)
            if on_progress is not None:
                on_progress(len(next(iter(part.values()))))
        totals = dict(zip(self.plan.slots, counters.tolist(), strict=True))
        return self._result(collected, words, accs, Activity.of(self.net, count, totals, self._macs), trace)

    def stream(self, step_us: float = 1000.0) -> Stream:
        """Open a stream: the network at rest, to be fed events or frames. step_us: the duration of a step."""
        return Stream(self._endless, step_us, self._macs)

    def _given(self, samples: Given) -> dict[str, npt.NDArray[Any]]:
        """Return the samples of each input, checked."""
        given = {name: checked(self.net, name, v, batch=True) for name, v in by_name(self.net, samples).items()}
        if len({len(values) for values in given.values()}) != 1:
            raise DataError(f"inputs differ in length: { ({name: len(v) for name, v in given.items()}) }")
        return given

    def _wanted(self, trace: bool) -> tuple[list[str], list[str]]:
        """Return the names of the word and accumulator registers that a run hands back."""
        if trace:
            return list(self.plan.words), list(self.plan.accs)
        if self.schedule == "stepped":
            return [], [f"{name}:result" for name in self.net.outputs]
        readouts = [n for n in self.net.outputs if isinstance(self.net.populations[n].neuron, Readout)]
        return [n for n in self.net.outputs if n not in readouts], [f"{n}:v" for n in readouts]

    def _chunk(self) -> int:
        per_sample = sum(self.net.populations[name].size for name in self.net.inputs) * 2
        per_sample *= self.plan.steps if self.schedule == "stepped" else 1
        return max(1, min(CHUNK_SAMPLES, CHUNK_BYTES // per_sample))

    def _run_chunk(self, part: Mapping[str, npt.NDArray[Any]], words: list[str], accs: list[str]) -> Any:
        plan, inputs, step_inputs = self.plan, [], []
        for name, values in part.items():
            population = self.net.populations[name]
            register = plan.words[name]
            if self.schedule == "blocked":
                inputs.append((register, to_kernel(values.astype(np.int16), population.shape)))
                continue
            rows = np.zeros((len(values), plan.steps, population.size), np.int16)
            rows[:, : self.net.window] = to_kernel(events(self.net, name, values, batch=True), population.shape)
            step_inputs.append((register, rows))
        return plan.program.run_batch(
            inputs,
            [plan.words[name] for name in words],
            [plan.accs[name] for name in accs],
            self.threads,
            plan.steps,
            step_inputs,
        )

    def _result(
        self, collected: list[Any], words: list[str], accs: list[str], activity: Activity, trace: bool
    ) -> Result:
        def gather(index: int, names: list[str]) -> dict[str, Any]:
            parts = ([part[index][k] for part in collected] for k in range(len(names)))
            whole = (part[0] if len(part) == 1 else np.concatenate(part) for part in parts)
            return {name: from_kernel(v, self.plan.shapes[name]) for name, v in zip(names, whole, strict=True)}

        found_words, found_accs = gather(0, words), gather(1, accs)
        integrated = {name.partition(":")[0]: v for name, v in found_accs.items()}
        readout = {n: isinstance(self.net.populations[n].neuron, Readout) for n in self.net.outputs}
        integers = {n: integrated if readout[n] or self.schedule == "stepped" else found_words for n in readout}
        outputs = {name: source[name].astype(np.int32) for name, source in integers.items()}
        first = self.net.populations[self.net.outputs[0]]
        logits = first.real(outputs[self.net.outputs[0]]).reshape(activity.samples, first.size)
        if not trace:
            return Result(outputs, logits, activity)
        return Result(outputs, logits, activity, found_words, integrated)


def _always(kind: str) -> Callable[[Linear], int]:
    return lambda linear: linear.n_in if kind == "event" else 0


_CUTS: dict[str, Callable[[Linear], int]] = {
    "auto": calibrate,
    "event": _always("event"),
    "dense": _always("dense"),
}


def default_threads() -> int:
    """Return $SPIKERUN_NUM_THREADS, or the number of physical cores that this process may use.

    Raises UsageError where the variable is no positive number.
    """
    value = os.environ.get("SPIKERUN_NUM_THREADS")
    if value is not None:
        if not value.isdecimal() or not value.isascii() or not 1 <= int(value) <= MAX_THREADS:
            raise UsageError(f"SPIKERUN_NUM_THREADS must be a number in 1..{MAX_THREADS}, got '{value}'")
        return int(value)
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = set()
    for cpu in usable:
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as siblings:
                cores.add(siblings.read().strip())
        except OSError:
            cores.add(str(cpu))
    return max(1, len(cores))
