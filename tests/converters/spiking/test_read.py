# SPDX-License-Identifier: Apache-2.0
"""Networks of three frameworks become one step: its spikes and results are those of the module itself."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from spiking_networks import CASES, REFUSED, STEPS, Case
from torch import nn

from spikerun.converters.spiking.step import Readout, Step, cells, outputs, simulate
from spikerun.converters.torch.export import named
from spikerun.converters.torch.spiking import read_step
from spikerun.converters.torch.spiking.neurons import find
from spikerun.errors import ConversionError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

Array = npt.NDArray[Any]
BATCH = 5


def read(model: nn.Module, shape: tuple[int, ...], steps: int | None = None) -> Step:
    return read_step(model, {"input": shape}, steps, {})


class Ran:
    """The module itself: what each of its neurons sent, and its results, all of them time first."""

    def __init__(self, case: Case, model: nn.Module, x: Array) -> None:
        self.sent: dict[str, list[Array]] = {}
        for name, neuron in find(model).items():
            neuron.module.register_forward_hook(lambda _, given, out, name=name: self._note(name, out))
        self.results = self._run(case, model, torch.from_numpy(x).float())

    def _note(self, name: str, out: Any) -> None:
        out = out[0] if isinstance(out, tuple) else out
        self.sent.setdefault(name, []).append(out.numpy().copy())

    def _run(self, case: Case, model: nn.Module, x: torch.Tensor) -> dict[str, Array]:
        with torch.no_grad():
            if not case.states:
                out = model(x.transpose(0, 1) if case.time == 0 else x)
                # Norse returns (result, states).
                out = out[0] if isinstance(out, tuple) and not isinstance(out[1], torch.Tensor) else out
                return {name: y.numpy() for name, y in named(out, torch.Tensor).items()}
            steps, state = [], None
            for _ in range(STEPS):
                if case.states == "passed":
                    out, state = model(x, state)
                else:
                    out = model(x)
                steps.append({name: y.numpy().copy() for name, y in named(out, torch.Tensor).items()})
        return {name: np.stack([one[name] for one in steps]) for name in steps[0]}


def run(case: Case, name: str) -> tuple[Step, nn.Module, Array]:
    torch.manual_seed(sum(map(ord, name)))
    model = case.build().eval()
    rng = np.random.default_rng(1)
    shape = case.shape if case.time is None else (STEPS, *case.shape)
    x = rng.uniform(-0.3, 1, (BATCH, *shape)).astype(np.float32).astype(np.float64) * case.gain
    return read(model, case.shape), model, x


@pytest.mark.parametrize("name", CASES)
def test_a_step_computes_what_the_module_does(name: str) -> None:
    case = CASES[name]
    step, model, x = run(case, name)
    assert step.timed == (frozenset() if case.time is None else {"input"})
    assert step.steps == (STEPS if case.fixed and not case.states else None)
    assert step.readouts == {name: Readout(*given) for name, given in case.readouts.items()}
    values = list(simulate(step, {"input": x}, STEPS))
    ran = Ran(case, model, x)
    _compare_spikes(step, values, ran, case)
    ends = {node.op.name: node.name for node in step.graph.nodes.values() if node.name.endswith("=")}  # type: ignore[attr-defined]
    assert ends.keys() == ran.results.keys()
    found = {name: np.stack([one[end] for one in values]) for name, end in ends.items()}
    found |= outputs(step, {"input": x}, STEPS)
    for output, expected in ran.results.items():
        if output not in case.readouts and case.time == 1:
            expected = expected.swapaxes(0, 1)
        np.testing.assert_allclose(found[output], expected, atol=1e-4, err_msg=output)


def _compare_spikes(step: Step, values: list[dict[str, Array]], ran: Ran, case: Case) -> None:
    populations = {name for name, cell in cells(step.graph).items() if cell.fires}
    spikes = 0
    for name in populations:
        path, _, second = name.partition("_")
        sent = ran.sent[path]
        expected = sent[0] if len(sent) == 1 else np.stack(sent[int(second or 1) - 1 :: len(sent) // STEPS])
        np.testing.assert_array_equal(np.stack([one[name] for one in values]), expected, err_msg=name)
        spikes += np.count_nonzero(expected)
    assert spikes > 20


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_step_is_refused(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(ConversionError, match=re.escape(message)):
        read(build().eval(), (8,))
