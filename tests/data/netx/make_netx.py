# SPDX-License-Identifier: Apache-2.0
"""Record spikes.npz from netx of lava-dl 0.6.0 on lava-nc 0.10.0: python make_netx.py FOLDER (see ../README.md)."""

import sys
import types
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SAMPLES = 2


def module(name: str, **members: Any) -> None:
    """Put a module in the place of one that netx imports and does not need here."""
    made: Any = types.ModuleType(name)
    made.__path__, made.__file__ = [], "empty/__init__.py"
    vars(made).update(members)
    sys.modules[name] = made


sys.path.insert(0, str(Path(__file__).parents[3] / "edge/loihi/runner"))

import lavacompat  # type: ignore[import-not-found]  # noqa: E402

lavacompat.install()
module("torch", Tensor=type("Tensor", (), {}), tensor=None)
module("torch.nn", Module=object, Linear=object, Conv2d=object)
sys.modules["torch"].nn = sys.modules["torch.nn"]  # type: ignore[attr-defined]
for part in ("slayer", "slayer.neuron", "slayer.neuron.rf"):
    module(f"lava.lib.dl.{part}", neuron_params=None)

from lava.lib.dl.netx.hdf5 import Network  # noqa: E402
from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402


def turned(x: Any) -> Any:
    """Return (steps, C, H, W) or (steps, N) as Lava lays it out, (W, H, C, steps), and that the other way."""
    return x.transpose(*range(x.ndim)[::-1])


def record(path: Path, sample: Any, layers: int) -> Any:
    """Return what the last layer sends in each step of a sample (steps, *shape), however late.

    Of one that has no neurons and sums up, its membranes after the last step, (1, *shape), in units of the weights.
    """
    steps = len(sample)
    late = np.concatenate([sample, np.zeros((layers, *sample.shape[1:]), np.int32)])
    # the first layer begins in step 2, as a synapse takes a step; netx expects it to begin in step 1
    net = Network(net_config=str(path), reset_interval=steps, reset_offset=1)
    source, sink = Source(data=turned(late)), Sink(shape=net.out.shape, buffer=len(late))
    source.s_out.connect(net.inp)
    net.out.connect(sink.a_in)
    net.run(condition=RunSteps(num_steps=len(late)), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    sent = turned(sink.data.get())[layers:].astype(np.uint8)
    last = net.net_config["layer"][len(net.net_config["layer"]) - 1]
    if "neuron" not in last.keys():  # noqa: SIM118  # no mapping
        assert not sent.any()
        sent = turned(net.layers[-1].neuron.v.get()[..., None]).astype(np.int32) >> 6
    net.stop()
    return sent


def main(folder: Path) -> None:
    """Record all files of the folder."""
    rng, kept = np.random.default_rng(11), {}
    for path in sorted(folder.glob("*.net")):
        with h5py.File(path) as file:
            shape, steps = file["layer/0/shape"][()], int(file["simulation/tSample"][()])
            layers = sum("weight" in layer for layer in file["layer"].values())
        x = (rng.random((SAMPLES, steps, *shape)) < 0.4).astype(np.int32)
        kept[f"{path.stem}_in"] = x.astype(np.uint8)
        kept[f"{path.stem}_out"] = np.stack([record(path, sample, layers) for sample in x])
    np.savez_compressed(folder / "spikes.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
