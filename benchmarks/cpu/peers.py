# SPDX-License-Identifier: Apache-2.0
"""Other packages for spiking networks beside ours, one image of Fashion-MNIST at a time, one thread.

SpikingJelly and sinabs convert the network of `examples/fashion_average.py`, each in its best setting and in the steps
after which it has our accuracy at T = 5 to 0.1 points (93.6 % of 1,000 images; `peers_accuracy.py`). Each
runs its steps one after the other and all at once, layer by layer; the faster way counts. snnTorch and Norse convert
nothing: they run networks that were trained in them, with us, in the same 25 steps (`spiking_latency.py`). sinabs lies
in a folder of its own, as `peers_accuracy.py` says; what is not installed is left out, and said.
"""

import copy
from collections.abc import Callable

import numpy as np
import spiking_latency
import torch
from peers_accuracy import fashion
from record import record
from torch import nn
from turns import Call, in_turns, over

from spikerun import Session, convert, datasets
from spikerun.converters import Encoding

__all__ = ["measure"]

BITS, ROUNDS, IMAGES = 5, 7, 4
JELLY_STEPS, SINABS_STEPS = 32, 16
Steps = Callable[[torch.Tensor], torch.Tensor]


def spikingjelly(model: nn.Module, calibration: torch.Tensor) -> dict[str, Steps]:
    """Return SpikingJelly's network: the 99.9th percentile of channels, half a threshold to begin with."""
    from spikingjelly.activation_based import ann2snn, functional

    batches = [(batch, torch.zeros(len(batch))) for batch in calibration.split(100)]
    recipe = ann2snn.RateCodingRecipe(batches, mode="99.9%", channel_wise=True, half_threshold=True)
    one = ann2snn.Converter(recipe=recipe, device=torch.device("cpu")).convert(model).eval()
    every = copy.deepcopy(one)
    functional.set_step_mode(every, "m")

    def stepwise(x: torch.Tensor) -> torch.Tensor:
        functional.reset_net(one)
        return torch.stack([one(x) for _ in range(JELLY_STEPS)]).sum(0)

    def layerwise(x: torch.Tensor) -> torch.Tensor:
        functional.reset_net(every)
        y: torch.Tensor = every(x.repeat(JELLY_STEPS, 1, 1, 1, 1))
        return y.sum(0)

    return {"step by step": stepwise, "layer by layer": layerwise}


def sinabs(model: nn.Module, calibration: torch.Tensor) -> dict[str, Steps]:
    """Return sinabs's network, whose neurons send several spikes in a step."""
    from sinabs.from_torch import from_model

    snn = from_model(model, input_shape=(1, 28, 28), batch_size=1, add_spiking_output=False).spiking_model

    def reset() -> None:
        for module in snn.modules():
            if hasattr(module, "reset_states"):
                module.reset_states()

    def stepwise(x: torch.Tensor) -> torch.Tensor:
        reset()
        return torch.stack([snn(x) for _ in range(SINABS_STEPS)]).sum(0)

    def layerwise(x: torch.Tensor) -> torch.Tensor:
        reset()
        y: torch.Tensor = snn(x.repeat(SINABS_STEPS, 1, 1, 1))
        return y.sum(0, keepdim=True)

    return {"step by step": stepwise, "layer by layer": layerwise}


def measure(benchmark: str, named: Callable[[str, int], str]) -> None:
    """Record our time, and theirs over it."""
    train, test = (datasets.load("fashion-mnist", split=split) for split in ("train", "test"))
    samples = [np.asarray(test.samples[k : k + 1]) for k in range(IMAGES)]
    reals = [torch.from_numpy(x).float() * test.scale for x in samples]
    calibration = torch.from_numpy(np.asarray(train.samples[:1000])).float() * train.scale
    net = convert(fashion(), train.samples[:512], bits=BITS, encoding=Encoding(train.scale)).network
    session = Session(net, threads=1)
    torch.set_num_threads(1)
    calls: dict[str, Call] = {f"spikerun, T = {BITS}": lambda k: session.run(samples[k])}
    for name, make, steps in (("SpikingJelly", spikingjelly, JELLY_STEPS), ("sinabs", sinabs, SINABS_STEPS)):
        try:
            ways = make(copy.deepcopy(fashion()), calibration)
        except ImportError as error:
            print(f"{name} is left out: {error}")
            continue
        with torch.inference_mode():
            one, other = (run(reals[0]) for run in ways.values())
        if not torch.allclose(one, other, atol=1e-3):
            raise RuntimeError(f"{name} gives {one} step by step, and {other} layer by layer")
        calls |= {f"{name}, T = {steps}, {way}": _inferring(run, reals) for way, run in ways.items()}
    times = in_turns(list(calls.values()), ROUNDS, IMAGES)
    what = named("fashion_average", 1)
    for k, name in enumerate(calls):
        record(benchmark, f"{what}: {name}", float(np.median(times[:, k])), "us")
        if k:
            record(benchmark, f"{what}: {name} over spikerun", over(times, k, 0), "x")
    spiking_latency.main()


def _inferring(run: Steps, reals: list[torch.Tensor]) -> Call:
    def call(k: int) -> torch.Tensor:
        with torch.inference_mode():
            return run(reals[k])

    return call
