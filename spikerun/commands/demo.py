# SPDX-License-Identifier: Apache-2.0
"""`spikerun demo`: the main job end to end, on data that comes with the installation."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from spikerun import edge
from spikerun.console import ForceOption, JsonOption, QuietOption, emit, progress, suggest, table, talk
from spikerun.datasets import load
from spikerun.edge.target import parse
from spikerun.errors import CheckFailed, UsageError
from spikerun.file import save
from spikerun.network import Network
from spikerun.reference import blocked
from spikerun.session import Result, Session

if TYPE_CHECKING:
    from torch import nn

__all__ = ["demo"]

EPOCHS, BATCH = 12, 48
CHECKED = 16  # samples compared with the reference and with the microcontroller
TARGET = "generic-cortex-m4"


def demo(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Keep the network and the firmware in this new folder.")
    ] = None,
    bits: Annotated[int, typer.Option("--bits", "--steps", min=2, max=8, help="T: bits of the activations.")] = 4,
    emulator: Annotated[str, typer.Option(help="qemu, unicorn, or auto.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a small CNN on digits, convert it to spikes, run it, and run it again on an emulated Cortex-M4.

    No network connection is needed, and it takes about ten seconds.
    """
    target = edge.load(TARGET)
    options = parse(TARGET, target.options, {"emulator": emulator})
    target.require(options)  # what is missing is said before the work begins
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"'{output}' is a file; give the name of a folder")
    if output is not None and output.is_dir() and any(output.iterdir()) and not force:
        raise UsageError(f"'{output}' is not empty; use --force to write into it, or another name")
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"cannot write '{output}': there is no folder '{output.parent}'; create it first")
    with tempfile.TemporaryDirectory(prefix="spikerun-") as scratch:
        folder = output or Path(scratch)
        folder.mkdir(exist_ok=True)
        found = _demo(folder, bits, target, options, seed, force, json, quiet)
    emit("spikerun.demo/1", found, json, lambda: _text(found))
    if not found["identical"]:
        raise CheckFailed(
            "CPU, reference and microcontroller differ; please report it, with the output of spikerun info"
        )
    if output is not None and not json:
        suggest(f"spikerun inspect {output / 'digits.snn'}", quiet)


def _demo(
    folder: Path,
    bits: int,
    target: edge.Target,
    options: edge.Options,
    seed: int,
    force: bool,
    json: bool,
    quiet: bool,
) -> dict[str, Any]:
    from spikerun.converters import Encoding, convert

    say = quiet or json
    train, test = load("digits", split="train"), load("digits", split="test")
    model = _trained(np.asarray(train.samples), train.labels, train.scale, seed, quiet, json)
    talk(f"convert to few-spikes neurons with {bits}-bit activations", say)
    evaluation = (test.samples, test.labels)
    conversion = convert(model, train.samples, bits=bits, encoding=Encoding(train.scale), evaluation=evaluation)
    net, accuracy = conversion.network, conversion.report.accuracy
    assert accuracy is not None
    save(net, folder / "digits.snn", force)
    talk(f"run {len(test.samples)} samples, and compare {CHECKED} with the reference", say)
    session = Session(net)
    result = session.run(test.samples)
    few = test.samples[:CHECKED]
    on_cpu = session.run(few, trace=True)
    same_as_reference = all(_equal(net, on_cpu, k, sample) for k, sample in enumerate(few))
    talk(f"deploy to {TARGET}, build, and run the firmware in an emulator", say)
    bundle = target.deploy(net, folder / "firmware", few, options, run=True, force=force)
    assert bundle.run is not None
    readout = on_cpu.outputs[net.outputs[0]].reshape(CHECKED, -1)
    same_on_board = bundle.run.identical and np.array_equal(bundle.run.outputs, readout)
    return {
        "ann_accuracy": accuracy.ann,
        "snn_accuracy": 100 * float(np.mean(result.classes == test.labels)),
        "bits": bits,
        "window": net.window,
        "samples": len(test.samples),
        "spikes_per_neuron": result.activity.spikes_per_neuron,
        "synops_per_mac": result.activity.synops_per_mac,
        "latency_ms": 1000 * _latency(session, test.samples[:1]),
        "flash_bytes": bundle.measures["flash_bytes"],
        "ram_bytes": bundle.measures["ram_bytes"],
        "target": TARGET,
        "where": bundle.run.where,
        "compared_samples": CHECKED,
        "identical": same_as_reference and same_on_board,
    }


def _model() -> "nn.Sequential":
    from torch import nn

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(*block(1, 12), *block(12, 24), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24 * 16, 10))


def _trained(
    samples: npt.NDArray[Any], labels: npt.NDArray[Any], scale: float, seed: int, quiet: bool, json: bool
) -> "nn.Sequential":
    """Return a small CNN trained on the samples; the same for the same seed on the same machine."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)  # images of 8 x 8 are too small to be shared out: more threads only wait for each other
    model = _model().train()
    images, targets = torch.from_numpy(samples).float() * scale, torch.from_numpy(labels)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    batches = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=EPOCHS * batches)
    with progress("train a CNN on digits", EPOCHS, quiet=quiet, json=json) as advance:
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(images))[: batches * BATCH].view(batches, BATCH):
                loss = torch.nn.functional.cross_entropy(model(images[batch]), targets[batch])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
            advance(1)
    return model.eval()


def _equal(net: Network, result: Result, k: int, sample: npt.NDArray[Any]) -> bool:
    """Return whether all words and membranes of a sample are those of the reference."""
    turns = blocked(net, {net.inputs[0]: sample})
    return all(
        (not net.populations[name].neuron.fires or np.array_equal(result.words[name][k], turn.word))
        and (turn.membrane is None or np.array_equal(result.membranes[name][k], turn.membrane))
        for name, turn in turns.items()
    )


def _latency(session: Session, sample: npt.NDArray[Any], repetitions: int = 200) -> float:
    """Return the median time of a run of one sample, in seconds."""
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        session.run(sample)
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def _text(found: dict[str, Any]) -> str:
    rows = [
        ("ANN accuracy", f"{found['ann_accuracy']:.2f} % of {found['samples']} test digits"),
        ("SNN accuracy", f"{found['snn_accuracy']:.2f} %"),
        ("spiking network", f"{found['bits']}-bit activations, {found['window']} time steps"),
        ("spikes per neuron", f"{found['spikes_per_neuron']:.3f}"),
        ("synaptic operations", f"{found['synops_per_mac']:.3f} per MAC of the ANN"),
        ("latency", f"{found['latency_ms']:.3f} ms for one sample on this CPU"),
        ("flash", f"{found['flash_bytes']:,} bytes"),
        ("RAM", f"{found['ram_bytes']:,} bytes"),
        ("identical on CPU, reference and Cortex-M4", "yes" if found["identical"] else "NO"),
    ]
    return table((), rows)
