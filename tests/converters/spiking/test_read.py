# SPDX-License-Identifier: Apache-2.0
"""Networks of three frameworks become one step: its spikes and results are those of the module itself."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from spiking_networks import CASES, REFUSED, STEPS, Case, Loop, dense, leaky, recorded
from torch import nn

from spikerun.converters.spiking.step import Readout, Step, cells, outputs, simulate
from spikerun.converters.torch.export import named
from spikerun.converters.torch.spiking import read_step
from spikerun.converters.torch.spiking.neurons import find
from spikerun.errors import ConversionError

Array = npt.NDArray[Any]
BATCH = 5
ROOT = Path(__file__).resolve().parents[3]


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
        spikes += int(np.count_nonzero(expected))
    assert spikes > 20


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_step_is_refused(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(ConversionError, match=re.escape(message)):
        read(build().eval(), (8,))


def test_a_module_stays_what_it_was() -> None:
    import snntorch as snn

    other, model = leaky(init_hidden=True), CASES["snntorch: hidden states"].build().train()
    model(torch.ones(2, 8))
    other(torch.ones(2, 12))
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    states = {name: buffer.clone() for name, buffer in model.named_buffers()}
    instances, kept = list(snn.SpikingNeuron.instances), other.mem
    read(model, (8,))
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before
    assert all(torch.equal(buffer, states[name]) for name, buffer in model.named_buffers())
    assert list(map(id, snn.SpikingNeuron.instances)) == list(map(id, instances))
    assert other.mem is kept


def test_a_module_stays_what_it_was_when_it_is_refused() -> None:
    model = REFUSED["a branch on data"][0]()
    before = dict(vars(model.lif1))
    with pytest.raises(ConversionError):
        read(model, (8,))
    assert dict(vars(model.lif1)) == before
    assert model.training


def test_states_of_earlier_samples_are_forgotten() -> None:
    from spikingjelly.activation_based import functional

    case = CASES["spikingjelly: sequential"]
    model = case.build().eval()
    first = read(model, case.shape)
    model(torch.ones(7, 8))
    functional.reset_net(model)
    model(torch.ones(7, 8))
    again = read(model, case.shape)
    assert [cell.v_init.tolist() for cell in cells(again.graph).values()] == [
        cell.v_init.tolist() for cell in cells(first.graph).values()
    ]


def test_the_length_of_the_samples_may_be_told() -> None:
    model = CASES["snntorch: steps of its own, time first"].build()
    assert read(model, (8,), STEPS + 3).steps == STEPS


def test_inputs_with_and_without_time_are_told_apart() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.still, self.moving, self.lif = nn.Linear(4, 6), nn.Linear(3, 6), leaky()

        def forward(self, image: torch.Tensor, events: torch.Tensor) -> torch.Tensor:
            mem, out = self.lif.reset_mem(), []
            for x in events.unbind(1):
                spk, mem = self.lif(self.still(image) + self.moving(x), mem)
                out.append(spk)
            return torch.stack(out).sum(0)

    model = Two().eval()
    step = read_step(model, {"image": (4,), "events": (3,)}, None, {})
    assert step.timed == {"events"}
    samples = {"image": np.full((2, 4), 2.0), "events": np.full((2, 9, 3), 1.5)}
    with torch.no_grad():
        expected = model(*(torch.from_numpy(x).float() for x in samples.values())).numpy()
    np.testing.assert_array_equal(outputs(step, samples, 9)["output"], expected)


class OneStep(nn.Module):
    """One step whose states are arguments and results, one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(8, 12), leaky(), nn.Linear(12, 6), leaky()

    def forward(self, x: torch.Tensor, mem1: Any = None, mem2: Any = None) -> Any:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


def test_states_of_one_step_may_be_passed_one_by_one() -> None:
    torch.manual_seed(0)
    model, x = OneStep().eval(), np.full((2, 8), 1.5)
    step = read(model, (8,))
    assert step.graph.outputs == ("output",) and step.steps is None and not step.readouts
    given: tuple[Any, ...] = ()
    for values in simulate(step, {"input": x}, STEPS):
        with torch.no_grad():
            out, *given = model(torch.from_numpy(x).float(), *given)  # type: ignore[assignment]
        np.testing.assert_array_equal(values["lif2"], out.numpy())


def test_an_option_of_forward_is_no_state() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(8, 6), leaky(init_hidden=True)

        def forward(self, x: torch.Tensor, loud: bool = False) -> torch.Tensor:
            result: torch.Tensor = self.lif(self.fc(x) * (2 if loud else 1))
            return result

    assert read(Net(), (8,)).graph.outputs == ("output",)


@pytest.mark.parametrize("shape", [(4, 1, 1), (6,), (6, 6), (1, 4, 1, 6)])
def test_parameters_spread_over_images_as_torch_spreads_them(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), leaky(beta=torch.rand(shape), init_hidden=True)).eval()
    x = np.random.default_rng(0).uniform(0, 4, (2, 1, 8, 8)).astype(np.float32).astype(np.float64)
    step = read(model, (1, 8, 8))
    found = [values["1"] for values in simulate(step, {"input": x}, STEPS)]
    with torch.no_grad():
        expected = [model(torch.from_numpy(x).float()).numpy() for _ in range(STEPS)]
    assert np.any(expected)
    np.testing.assert_array_equal(found, expected)


def test_what_is_taken_for_granted_is_said() -> None:
    late = Loop(recorded(lambda s, m: (s, m)), **dense(lambda: leaky(reset_mechanism="zero")))
    assert read(late, (8,)).assumed == (
        "'lif2': its membrane is read after the reset to zero; snnTorch's is, in the step of a spike, the one before",
    )
    at_once = Loop(recorded(lambda s, m: s), **dense(lambda: leaky(reset_delay=False)))
    assert [sentence.partition(":")[0] for sentence in read(at_once, (8,)).assumed] == ["'lif1'", "'lif2'"]


def test_a_class_that_only_sets_parameters_is_its_base() -> None:
    import snntorch as snn

    class Slow(snn.Leaky):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(beta=0.99)

    assert read(Loop(recorded(lambda s, m: s), **dense(Slow)), (8,)).graph.outputs == ("output",)


def test_a_class_that_changes_the_equation_is_refused() -> None:
    import snntorch as snn

    class Other(snn.Leaky):  # type: ignore[misc]
        def mem_reset(self, mem: torch.Tensor) -> torch.Tensor:
            return mem * 0

    message = "'lif1' (Other): a class of your own that changes mem_reset of snntorch._neurons.leaky.Leaky"
    with pytest.raises(ConversionError, match=re.escape(message)):
        read(Loop(recorded(lambda s, m: s), **dense(lambda: Other(beta=0.9))), (8,))


def test_all_neurons_that_are_refused_are_told_at_once() -> None:
    import snntorch as snn

    model = nn.Sequential(nn.Linear(8, 12), snn.SLSTM(12, 12), leaky(threshold=-1.0))
    with pytest.raises(ConversionError) as caught:
        read(model, (8,))
    assert "'1' (SLSTM)" in str(caught.value) and "'2' (Leaky)" in str(caught.value)


def test_frameworks_that_a_model_does_not_use_are_not_loaded() -> None:
    code = (
        "import sys, snntorch; from torch import nn; from spikerun.converters.torch.spiking.neurons import find;"
        "find(nn.Sequential(snntorch.Leaky(beta=0.9))); print({'norse', 'spikingjelly', 'sinabs'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == "set()"


def test_reading_four_steps_takes_seconds() -> None:
    model = CASES["snntorch: batch first"].build()
    read(model, (8,), 4)  # torch loads its tracer
    begin = time.process_time()
    read(model, (8,), 4)
    assert time.process_time() - begin < 5
