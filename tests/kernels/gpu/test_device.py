# SPDX-License-Identifier: Apache-2.0
"""The device `cuda`: what it takes, what it says of memory, and which GPUs it refuses."""

import contextlib
import copy
import gc
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import triton

from spikerun import Session
from spikerun.connections import Conv, Dense, Random
from spikerun.errors import DataError, UnsupportedError, UsageError
from spikerun.kernels.executor import Footprint
from spikerun.kernels.gpu import device, memory
from spikerun.kernels.gpu.batch import Batch
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, FewSpikes, Input, Readout

PLACE = "cpu" if triton.knobs.runtime.interpret else "cuda"


def network(bits: int = 8) -> Network:
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-20, 21, shape).astype(np.int8) for shape in ((12, 9), (9, 4)))
    populations = {
        "in": Population((12,), Input(bits)),
        "h": Population((9,), FewSpikes(4, 300)),
        "out": Population((4,), Readout(np.array([0.5, 0.25, 1.5, 3], np.float32))),
    }
    return Network(populations, [Projection("in", "h", Dense(a)), Projection("h", "out", Dense(b))], ["out"], 8)


def samples(count: int, high: int = 256) -> Any:
    return np.random.default_rng(count).integers(0, high, (count, 12)).astype(np.uint8)


def test_a_tensor_on_the_device_gives_what_an_array_gives() -> None:
    session, x = Session(network(), device="cuda"), samples(7)
    one, other = session.run(x), session.run(torch.from_numpy(x).to(PLACE))
    np.testing.assert_array_equal(one.logits, other.logits)
    assert one.activity == other.activity


@pytest.mark.parametrize("wrong", [torch.full((2, 12), 16), torch.full((2, 12), -1), torch.zeros(2, 12)])
def test_values_of_a_tensor_that_the_input_does_not_take_are_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"input 'in' takes integers of 0\.\.15"):
        Session(network(4), device="cuda").run(wrong.to(PLACE))


class Elsewhere:
    """What another library has on the device: all that DLPack asks for, and a shape."""

    def __init__(self, values: torch.Tensor) -> None:
        self._values, self.shape = values, tuple(values.shape)

    def __dlpack__(self, **how: Any) -> Any:
        return self._values.__dlpack__(**how)

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()


@pytest.mark.parametrize("given", [Elsewhere, *(torch.uint16, torch.uint32, torch.uint64)])
def test_arrays_of_other_libraries_and_unsigned_ones_are_taken(given: Any) -> None:
    session, x = Session(network(4), device="cuda"), torch.from_numpy(samples(3, 16)).to(PLACE)
    there = given(x) if given is Elsewhere else x.to(given)
    np.testing.assert_array_equal(session.run(there).logits, session.run(samples(3, 16)).logits)


def test_unsigned_values_beyond_the_input_are_refused() -> None:
    for given, value in ((torch.uint16, 2**16 - 1), (torch.uint32, 2**32 - 1), (torch.uint64, 2**64 - 1)):
        with pytest.raises(DataError, match=r"takes integers of 0\.\.15"):
            Session(network(4), device="cuda").run(torch.full((2, 12), value, dtype=given, device=PLACE))


def test_tensors_that_hold_no_dense_values_are_refused() -> None:
    session, x = Session(network(4), device="cuda"), torch.zeros(2, 12, dtype=torch.int64, device=PLACE)
    with pytest.raises(DataError, match=r"layout torch\.sparse_coo: take its \.to_dense"):
        session.run(x.to_sparse())
    with pytest.raises(DataError, match="on the device 'meta'"):
        session.run(x.to("meta"))


def test_a_tensor_of_another_shape_is_refused() -> None:
    with pytest.raises(DataError, match=r"takes values of shape \(B, 12\), got \(2, 11\)"):
        Session(network(), device="cuda").run(torch.zeros(2, 11, dtype=torch.uint8, device=PLACE))


def test_threads_that_share_a_session_do_not_mix_their_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    session, given = Session(network(), device="cuda"), [samples(7), samples(7)[::-1].copy()]
    expected, run, there = [session.run(x).logits for x in given], Batch.run, threading.Barrier(2)

    def slow(batch: Batch) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            there.wait(0.2)  # for another thread that has loaded its samples
        run(batch)

    monkeypatch.setattr(Batch, "run", slow)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda x: session.run(x).logits, given))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_of_any_size_give_the_same_bits() -> None:
    x, whole = samples(11), Session(network(), device="cpu").run(samples(11))
    for size in (1, 4, 11, 50):
        found = Session(network(), device="cuda", batch=size).run(x)
        np.testing.assert_array_equal(found.logits, whole.logits)
        assert found.activity == whole.activity


def test_no_samples_have_no_answers() -> None:
    found = Session(network(), device="cuda").run(samples(0))
    assert found.logits.shape == (0, 4) and found.activity.samples == 0


def test_the_plan_says_what_memory_a_run_takes() -> None:
    session = Session(network(), device="cuda")
    assert session.footprint is not None
    assert session.footprint.fixed >= 12 * 9 + 9 * 4 and session.footprint.sample > 0
    assert f"memory of the device: {session.footprint}" in str(session.plan)


@pytest.mark.skipif(PLACE != "cpu", reason="of Triton's interpreter")
@pytest.mark.parametrize(
    ("kernels", "kernel", "reason"),
    [("auto", "torch", "Triton's interpreter is slow"), ("event", "tensor cores", "no event-driven kernel")],
)
def test_the_plan_says_what_the_interpreter_runs(kernels: str, kernel: str, reason: str) -> None:
    for row in Session(network(), device="cuda", kernels=kernels).plan.maps:
        assert row.choice is not None
        assert row.choice.kernel == kernel and reason in row.choice.reason


def test_a_footprint_says_what_is_asked_for_and_what_is_free() -> None:
    assert str(Footprint(10, 20)) == "10 bytes, and 20 for each sample that is run at a time"
    assert str(Footprint(10, 20, 100, 4)).endswith(
        "at a time, 80 for the 4 that were asked for; 100 are free, in which 5 samples fit"
    )


def test_a_device_of_torch_names_a_device() -> None:
    assert Session(network(), device=torch.device("cuda")).footprint is not None


LATE = Dense(np.ones((6, 5), np.int8), np.arange(30, dtype=np.uint8).reshape(6, 5) % 4)
DRAWN = Random(6, 5, 30, 1, np.array([1], np.int8))


@pytest.mark.parametrize("synapses", [LATE, DRAWN])
def test_memory_of_synapses_that_are_kept_one_by_one_is_counted(synapses: Any) -> None:
    populations = {"in": Population((6,), Input(1, "spikes")), "h": Population((5,), IF(9))}
    session = Session(Network(populations, [Projection("in", "h", synapses)], ["h"], 6), device="cuda")
    before = session.footprint
    session.run(np.ones((2, 6, 6), np.uint8))
    assert before is not None and before.fixed >= 30 * 40 and before.sample >= 30 * 20
    assert before.fixed >= session._executor._constants.bytes  # type: ignore[attr-defined]


def test_more_samples_than_fit_are_run_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    session, x = Session(network(), device="cuda"), samples(9)
    each = session.footprint
    assert each is not None
    monkeypatch.setattr(memory, "free", lambda _: 3 * each.sample * 10 // 9 + 1)
    np.testing.assert_array_equal(session.run(x).logits, Session(network()).run(x).logits)


def test_a_batch_that_does_not_fit_is_refused_with_one_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(network(), device="cuda", batch=8)
    each = session.footprint
    assert each is not None
    monkeypatch.setattr(memory, "free", lambda _: 3 * each.sample * 10 // 9 + 1)
    said = (
        f"8 samples at a time take {8 * each.sample:,} bytes of the device, {3 * each.sample:,} are free: at most 3 fit"
    )
    with pytest.raises(UnsupportedError, match=re.escape(said)):
        session.run(samples(8))


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
def test_a_batch_is_a_positive_number(batch: Any) -> None:
    with pytest.raises(UsageError, match="batch must be a positive integer"):
        Session(network(), device="cuda", batch=batch)


def test_options_of_the_cpu_are_not_those_of_a_gpu() -> None:
    with pytest.raises(UsageError, match="unknown option of device 'cuda' 'threads'"):
        Session(network(), device="cuda", threads=2)


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(triton.knobs.runtime, "interpret", False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    return monkeypatch


def test_a_torch_without_cuda_is_named(no_interpreter: pytest.MonkeyPatch) -> None:
    no_interpreter.setattr(torch.version, "cuda", None)
    with pytest.raises(UnsupportedError, match="needs a torch that was built with CUDA"):
        Session(network(), device="cuda")


def test_a_machine_without_a_gpu_is_told_so(no_interpreter: pytest.MonkeyPatch) -> None:
    no_interpreter.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnsupportedError, match="needs a GPU of NVIDIA's and its driver, and torch finds none"):
        Session(network(), device="cuda")


def test_a_gpu_that_is_too_old_is_told_what_is_needed(no_interpreter: pytest.MonkeyPatch) -> None:
    no_interpreter.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    with pytest.raises(UnsupportedError, match=r"the GPU Old GPU is too old.*capability 7\.5, and 8\.0 is needed"):
        Session(network(), device="cuda")


def test_the_gpu_of_this_process_is_taken(no_interpreter: pytest.MonkeyPatch) -> None:
    assert device.found() == torch.device("cuda", 0)


# --- inside programs of torch ----------------------------------------------------------------------------------------


def test_a_module_of_torch_gives_the_logits() -> None:
    session, x = Session(network(), device="cuda"), samples(5)
    found = session.as_torch()(torch.from_numpy(x).to(PLACE))
    np.testing.assert_array_equal(found.cpu().numpy(), session.run(x).logits)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_module_runs_the_same_network_when_the_first_is_gone(copied: Callable[[Any], Any]) -> None:
    session, x = Session(network(), device="cuda"), torch.from_numpy(samples(3)).to(PLACE)
    module, logits = session.as_torch(), session.run(samples(3)).logits
    other = copied(module)
    del module
    gc.collect()
    for run in (other, torch.compile(other, fullgraph=True, backend="eager")):
        np.testing.assert_array_equal(run(x).cpu().numpy(), logits)


def test_a_module_is_not_pickled() -> None:
    with pytest.raises(UnsupportedError, match=r"cannot be pickled: save the network, spikerun\.save"):
        pickle.dumps(torch.nn.Sequential(Session(network(), device="cuda").as_torch()))


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (np.zeros((2, 12), np.uint8), UsageError, "takes a tensor, got ndarray"),
        (torch.zeros(2, 12), DataError, r"takes integers of 0\.\.15, got torch\.float32: multiply by 1 / scale"),
        (torch.zeros(2, 12, dtype=torch.complex64), DataError, "got torch.complex64"),
        (torch.zeros(2, 11, dtype=torch.uint8), DataError, r"takes values of shape \(B, 12\), got \(2, 11\)"),
        (torch.zeros(12, dtype=torch.uint8), DataError, r"takes values of shape \(B, 12\), got \(12,\)"),
        (torch.zeros((), dtype=torch.uint8), DataError, r"takes values of shape \(B, 12\), got \(\)"),
        (torch.zeros(2, 12, dtype=torch.uint8, device="meta"), UsageError, "got one on 'meta': move it there"),
    ],
)
def test_a_module_refuses_what_the_input_cannot_take(wrong: Any, error: type[Exception], said: str) -> None:
    module = Session(network(4), device="cuda").as_torch()
    on_place = isinstance(wrong, torch.Tensor) and wrong.device.type != "meta"
    with pytest.raises(error, match=said):
        module(wrong.to(PLACE) if on_place else wrong)


def test_nothing_of_a_module_has_a_gradient() -> None:
    module, x = Session(network(), device="cuda").as_torch(), torch.from_numpy(samples(2)).to(PLACE)
    assert not module(x).requires_grad
    assert not torch.compile(module, fullgraph=True, backend="aot_eager")(x).requires_grad


def test_the_operator_is_one_that_torch_takes() -> None:
    module = Session(network(), device="cuda").as_torch()
    x = torch.from_numpy(samples(3)).to(PLACE)
    torch.library.opcheck(torch.ops.spikerun.run.default, (x, module._number, 4))


def test_a_compiled_program_keeps_the_network_in_one_graph() -> None:
    module, x = Session(network(), device="cuda").as_torch(), torch.from_numpy(samples(4)).to(PLACE)
    compiled = torch.compile(lambda values: module(values) * 2 + 1, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), module(x) * 2 + 1, rtol=0, atol=0)


def test_the_cpu_is_no_part_of_torch() -> None:
    with pytest.raises(UnsupportedError, match=r"Session\(net, device='cuda'\)"):
        Session(network()).as_torch()


def test_a_dense_map_into_an_image_counts_the_fan_out_of_each_of_its_positions() -> None:
    rng = np.random.default_rng(2)
    dense, kernel = (rng.integers(-60, 90, shape).astype(np.int8) for shape in ((7, 18), (3, 2, 2, 2)))
    populations = {
        "in": Population((7,), Input(bits=4)),
        "image": Population((2, 3, 3), FewSpikes(bits=4, threshold=90)),
        "out": Population((3, 2, 2), Readout()),
    }
    projections = [Projection("in", "image", Dense(dense)), Projection("image", "out", Conv(kernel))]
    net = Network(populations, projections, ["out"], 4)
    x = rng.integers(0, 16, (3, 7)).astype(np.uint8)
    on_gpu, on_cpu = (Session(net, device=device, kernels="dense").run(x) for device in ("cuda", "cpu"))
    assert on_gpu.activity == on_cpu.activity
    np.testing.assert_array_equal(on_gpu.logits, on_cpu.logits)


# --- without the compiled kernels ------------------------------------------------------------------------------------

ALONE = """
import sys
sys.modules["_spikerun_cpu"] = None  # what a package built with wheel.cmake=false lacks
import numpy as np
from spikerun import Session
from spikerun.connections import Dense
from spikerun.errors import UnsupportedError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import Input, Readout
populations = {"in": Population((2,), Input(4)), "out": Population((2,), Readout())}
net = Network(populations, [Projection("in", "out", Dense(np.array([[1, 2], [3, 4]], np.int8)))], ["out"], 4)
print(Session(net, device="cuda").run(np.array([[1, 2]])).logits.tolist())
try:
    Session(net)
except UnsupportedError as error:
    print(error)
"""


def test_a_gpu_needs_no_compiled_kernels_and_the_cpu_says_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True)
    logits, said = done.stdout.splitlines()
    assert logits == "[[7.0, 10.0]]"
    assert said.startswith("device 'cpu' cannot be used here: the compiled kernels of spikerun are missing")
    assert said.endswith("install spikerun again where there is a C++17 compiler")
