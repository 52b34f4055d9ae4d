# SPDX-License-Identifier: Apache-2.0
"""Random graphs of Lava's processes, a family for each thing that may go wrong; and bundles of them.

They need not come from a network, so that they reach what no mapping makes: sign modes, few bits, overflow.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sigma_delta_networks import sigma_delta_network

from spikerun.codes import CODES
from spikerun.edge.loihi.graph import Graph, Neurons, Shape, Source, Synapses
from spikerun.edge.loihi.samples import expected, npz
from spikerun.edge.loihi.sigma_delta import sigma_delta_graph
from spikerun.edge.loihi.store import save_graph

Rng = np.random.Generator
IMAGE: Shape = (5, 4, 2)


def weights(rng: Rng, shape: tuple[int, ...], low: int = -160, high: int = 200) -> Any:
    return rng.integers(low, high, shape).astype(np.int32)


def lif(rng: Rng, shape: Shape, window: int, begin: int, model: str = "lif", **given: Any) -> dict[str, Any]:
    """Return parameters: no leaks, and a threshold that is reached now and then, unless they are given."""
    found: dict[str, Any] = {
        "du": 4095, "dv": 0, "vth": int(rng.integers(20, 600)), "v_first": int(rng.integers(-500, 500)),
        "bias_mant": rng.integers(-300, 400, shape).astype(np.int32), "bias_exp": int(rng.integers(0, 6)),
        "reset_interval": window if rng.integers(3) else 0, "reset_offset": begin,
    }  # fmt: skip
    if model != "lif":
        found["taken"] = found["vth"] << 6
    return found | given


class Draft:
    """A graph that grows; every population begins a step behind the last one."""

    def __init__(self, rng: Rng, shape: Shape = IMAGE, message_bits: int = 0) -> None:
        self.rng, self.window = rng, int(rng.integers(6, 20))
        self.sources, self.neurons, self.synapses = (
            [Source("in", shape, message_bits)],
            list[Neurons](),
            list[Synapses](),
        )
        self.shapes = {"in": shape}

    def add(self, shape: Shape, model: str = "lif", **given: Any) -> str:
        name, begin = f"n{len(self.neurons)}", len(self.neurons) + 2
        parameters = lif(self.rng, shape, self.window, begin, model, **given)
        self.neurons.append(Neurons(name, shape, model, parameters, begin))
        self.shapes[name] = shape
        return name

    def dense(self, source: str, target: str, low: int = -160, high: int = 200, **given: Any) -> None:
        size = (int(np.prod(self.shapes[target])), int(np.prod(self.shapes[source])))
        self.synapses.append(Synapses(source, target, "dense", weights(self.rng, size, low, high), **given))

    def sparse(self, source: str, target: str, **given: Any) -> None:
        size = (int(np.prod(self.shapes[target])), int(np.prod(self.shapes[source])))
        mask = self.rng.random(size) < 0.3
        mask[0, 0] = True
        count = int(mask.sum())
        delay = given.pop("delay", 0)
        self.synapses.append(
            Synapses(source, target, "sparse", weights(self.rng, (count,)),
                     indices=np.nonzero(mask)[1].astype(np.int32),
                     delay=delay(count) if callable(delay) else delay,
                     indptr=np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64), **given)
        )  # fmt: skip

    def conv(self, source: str, message_bits: int = 0, **given: Any) -> str:
        """Add a population behind a convolution of random geometry."""
        rng, (w, h, c) = self.rng, self.shapes[source]
        groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
        kernel, stride = (
            (int(rng.integers(1, 4)), int(rng.integers(1, 4))),
            (int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        )
        padding = (int(rng.integers(0, 2)), int(rng.integers(0, 2)))
        dilation = tuple(int(rng.integers(1, 3)) if (k - 1) * 2 + 1 <= n + 2 * p else 1
                         for k, n, p in zip(kernel, (w, h), padding, strict=True))  # fmt: skip
        out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1
                    for n, k, s, p, d in zip((w, h), kernel, stride, padding, dilation, strict=True))  # fmt: skip
        channels = groups * int(rng.integers(1, 3))
        target = self.add((*out, channels), **given)
        weight = weights(rng, (channels, *kernel, c // groups))
        self.synapses.append(
            Synapses(source, target, "conv", weight, message_bits=message_bits, stride=stride, padding=padding,
                     dilation=(dilation[0], dilation[1]), groups=groups)
        )  # fmt: skip
        return target

    def done(self, phased: bool | None = None) -> Graph:
        phased = bool(self.rng.integers(4)) if phased is None else phased
        probed = self.neurons[-1].name if self.rng.integers(2) else ""
        return Graph(
            self.window, tuple(self.sources), tuple(self.neurons), tuple(self.synapses), phased, {"probes": probed}
        )


def dense(rng: Rng) -> Graph:
    draft = Draft(rng, (int(rng.integers(1, 30)),))
    draft.dense("in", draft.add((9,)))
    draft.dense("n0", draft.add((2, 3, 2)))
    return draft.done()


def sparse(rng: Rng) -> Graph:
    draft = Draft(rng)
    draft.sparse("in", draft.add((11,)), exponent=int(rng.integers(-3, 3)))
    draft.sparse("n0", draft.add((6,)), weight_bits=int(rng.integers(4, 9)))
    return draft.done()


def conv(rng: Rng) -> Graph:
    draft = Draft(rng)
    draft.conv("in")
    draft.conv("n0") if min(draft.shapes["n0"][:2]) >= 3 else draft.dense("n0", draft.add((5,)))
    return draft.done()


def delays(rng: Rng) -> Graph:
    """Dense and sparse, one for all and one each, up to the longest."""
    draft = Draft(rng, (12,))
    most = int(rng.choice([1, 3, 7, 62]))
    draft.dense(
        "in",
        draft.add((8,)),
        delay=rng.integers(0, most + 1, (8, 12)).astype(np.int32),
        exponent=int(rng.integers(-2, 2)),
    )
    draft.sparse("n0", draft.add((6,)), delay=lambda n: rng.integers(0, most + 1, n).astype(np.int32))
    draft.dense("in", "n1", delay=int(rng.integers(1, 5)))
    draft.sparse("in", "n1", delay=int(rng.integers(1, 5)), exponent=int(rng.integers(-2, 2)))
    return draft.done()


def recurrent(rng: Rng) -> Graph:
    draft = Draft(rng)
    draft.dense("in", draft.add((3, 3, 1)))
    draft.dense("n0", draft.add((5,)))
    draft.dense("n1", "n0", delay=int(rng.integers(0, 4)))
    draft.sparse("n0", "n0")
    return draft.done()


def held(rng: Rng) -> Graph:
    """All sign modes, bits and exponents, with weights that are clipped and such of the wrong sign."""
    draft = Draft(rng, (16,))
    for mode in (1, 2, 3):
        draft.dense("in" if mode == 1 else f"n{mode - 2}", draft.add((10,), vth=int(rng.integers(5, 100))), -400, 400,
                    sign_mode=mode, weight_bits=int(rng.integers(1, 9)), exponent=int(rng.integers(-5, 5)))  # fmt: skip
    draft.sparse("in", "n2", sign_mode=int(rng.integers(1, 4)), weight_bits=int(rng.integers(1, 9)))
    return draft.done()


def decays(rng: Rng) -> Graph:
    draft = Draft(rng)
    for k in range(3):
        given: dict[str, Any] = {
            "du": int(rng.choice([-1, 0, 1, int(rng.integers(4096)), 4095])),
            "dv": int(rng.choice([0, 1, int(rng.integers(4096)), 4095])),
        }
        exponents = rng.integers(-4, 8, (7,)).astype(np.int32)
        draft.dense("in" if k == 0 else f"n{k - 1}", draft.add((7,), bias_exp=exponents, **given))
    return draft.done()


def subtract(rng: Rng) -> Graph:
    """Our own reset, at once and after the leak; what is taken off need not be the threshold."""
    draft = Draft(rng)
    leaks: dict[str, Any] = {"du": int(rng.choice([4095, 1000])), "dv": int(rng.choice([0, 300]))}
    draft.dense("in", draft.add((9,), "lif_subtract", **leaks))
    draft.dense("n0", draft.add((8,), "lif_subtract_after_leak", taken=int(rng.integers(1, 40000)), **leaks))
    return draft.done()


def graded(rng: Rng) -> Graph:
    """Payloads from outside, into each kind of synapses."""
    draft = Draft(rng, message_bits=8)
    draft.conv("in", message_bits=8, vth=int(rng.integers(200, 5000)))
    for k, add in enumerate((draft.dense, draft.sparse), 1):
        add("in", draft.add((6,), vth=int(rng.integers(200, 9000))), message_bits=8, exponent=int(rng.integers(-3, 2)))
        draft.dense("n0", f"n{k}")
    draft.dense("in", "n2", message_bits=8, delay=rng.integers(0, 3, (6, 40)).astype(np.int32))
    return draft.done()


def fan_in(rng: Rng) -> Graph:
    """Two sources, a population that has no synapses, one that is alone with its biases, and sums of all kinds."""
    draft = Draft(rng)
    draft.sources.append(Source("other", (4,), 0))
    draft.shapes["other"] = (4,)
    draft.conv("in")
    target = draft.add((7,))
    draft.add((3,))
    for source in ("in", "n0", "other"):
        draft.dense(source, target)
    draft.sparse("in", target)
    draft.dense(target, "n0")
    return draft.done()


def overflow(rng: Rng) -> Graph:
    """Currents that wrap and membranes that are clipped."""
    draft = Draft(rng, (20,))
    draft.dense(
        "in",
        draft.add((8,), vth=int(rng.choice([9000, 131071])), bias_exp=7, du=int(rng.integers(-1, 200))),
        100,
        256,
        exponent=int(rng.integers(5, 8)),
    )
    draft.dense(
        "n0",
        draft.add((6,), vth=int(rng.integers(100000)), du=int(rng.integers(-1, 200)), bias_mant=-4095, bias_exp=7),
        -256,
        256,
        exponent=7,
    )
    return draft.done()


def words(rng: Rng) -> Graph:
    """Our own neurons that integrate windows: each code, signed or not, capped, with inputs of each code."""
    draft = Draft(rng, (10,), message_bits=4)
    window = draft.window = int(rng.integers(4, 16))
    code = int(rng.integers(3))
    bits = int(rng.integers(1, 4 if CODES[code] == "ttfs" else 5))
    signed = int(CODES[code] != "ttfs" and bits > 1 and rng.integers(2))
    incoming = {
        "window": window,
        "in_code": int(rng.choice([-1, -1, 0, 1, 2])),
        "in_bits": 3,
        "in_signed": 0,
        "in_lag": int(rng.integers(0, window)),
    }
    first: dict[str, Any] = {
        **incoming, "bias": rng.integers(0, 900, (8,)).astype(np.int32), "first": 2, "bits": bits, "signed": signed,
        "threshold": rng.integers(1, 150, (8,)).astype(np.int32), "kept": int(rng.integers(1, bits + 1)), "code": code,
    }  # fmt: skip
    second = {**incoming, "in_code": code, "in_bits": bits, "in_signed": signed, "in_lag": 1, "bias": 3, "first": 3}
    draft.neurons = [Neurons("n0", (8,), "words", first, 2), Neurons("n1", (3,), "summing", second, 3)]
    draft.shapes |= {"n0": (8,), "n1": (3,)}
    draft.dense("in", "n0", message_bits=4)
    draft.dense("n0", "n1", message_bits=4)
    return draft.done()


def sigma_delta(rng: Rng) -> Graph:
    """Lava's own, ours, and a sum, with all parameters, so that residues are kept and sent later."""
    draft = Draft(rng, message_bits=8)
    kinds = {"sigma_delta": (2, 4, 2), "sigma_delta_exact": (9,), "sigma": (5,)}
    for k, (model, shape) in enumerate(kinds.items()):
        given: dict[str, Any] = {
            "vth": int(rng.integers(0, 4)), "bias": rng.integers(-9, 99, shape).astype(np.int32),
            "act_mode": int(rng.integers(2)), "spike_exp": int(rng.integers(0, 3)),
            "state_exp": int(rng.integers(8, 12)),
        }  # fmt: skip
        draft.neurons.append(Neurons(f"n{k}", shape, model, {} if model == "sigma" else given, k + 2))
        draft.shapes[f"n{k}"] = shape
        (draft.dense, draft.sparse)[k % 2](f"n{k - 1}" if k else "in", f"n{k}", message_bits=16)
    return replace(draft.done(phased=False), meta={"probes": ""})  # they have no v


def sigma_delta_networks(rng: Rng) -> Graph:
    """Those that networks are mapped to."""
    return sigma_delta_graph(sigma_delta_network(int(rng.integers(2**31))), exact=bool(rng.integers(2)))


FAMILIES: Mapping[str, Callable[[Rng], Graph]] = {
    f.__name__: f
    for f in (
        dense,
        sparse,
        conv,
        delays,
        recurrent,
        held,
        decays,
        subtract,
        graded,
        fan_in,
        overflow,
        words,
        sigma_delta,
        sigma_delta_networks,
    )
}


def random_graph(family: str, seed: int) -> Graph:
    return FAMILIES[family](np.random.default_rng([seed, *family.encode()]))


def random_samples(graph: Graph, seed: int) -> dict[str, Any]:
    """Return samples (N, W, *shape) of all sources, few where each is a run of its own; payloads may be negative."""
    count = 4 if graph.phased else 2
    rng = np.random.default_rng(seed)
    found = {}
    for source in graph.sources:
        shape = (count, graph.window, *source.shape)
        values = (
            rng.integers(-(2 ** (source.message_bits - 1)), 2 ** (source.message_bits - 1), shape)
            if source.message_bits
            else 1
        )
        found[source.name] = (values * (rng.random(shape) < 0.3)).astype(np.int32)
    return found


def write_bundle(folder: Path, graph: Graph, inputs: Mapping[str, Any], **changes: Any) -> Path:
    """Write what a runner reads, with states at the end; changes: arrays of samples.npz to be replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    save_graph(graph, folder / "graph.h5")
    (folder / "samples.npz").write_bytes(npz({**expected(graph, inputs, last=True), **changes}))
    return folder
