# SPDX-License-Identifier: Apache-2.0
"""`.net` files: what netx of lava-dl made of them, there and back, and what is refused.

The files of tests/data/netx are `write_net` of the networks of `chains` here.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikerun.cli import main
from spikerun.connections import Connection, Conv, Dense, Diagonal, SumPool
from spikerun.edge.loihi.deployment import targets
from spikerun.edge.loihi.netx import changed, read_net, split
from spikerun.edge.loihi.netx_write import write_net
from spikerun.edge.loihi.synapses import held, sign_mode_of
from spikerun.errors import FileFormatError, UnsupportedError
from spikerun.file import load, save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, Input, Readout
from spikerun.reference import Stepper, stepped

DATA = Path(__file__).resolve().parents[2] / "data" / "netx"
SPIKES = Input(1, "spikes")
Part = tuple[Any, LIF | Readout, list[tuple[Any, ...]]]


def chain(shape: Any, *parts: Part, window: int = 10) -> Network:
    """Return layers in a row: shape, neuron, and (connection, exponent, delay) of what leads there."""
    populations = {"in": Population(shape, SPIKES)}
    projections = []
    for k, (size, neuron, several) in enumerate(parts):
        name, before = f"l{k}", list(populations)[-1]
        populations[name] = Population(size, neuron)
        for connection, exponent, delay, *own in several:
            projections.append(Projection(name if own else before, name, connection, delay, None, exponent))
    return Network(populations, projections, [list(populations)[-1]], window)


def chains() -> dict[str, Network]:
    """Return a network for each thing that a file can say."""
    rng = np.random.default_rng(3)

    def w(*shape: int, low: int = -128, high: int = 128) -> np.ndarray:
        return rng.integers(low, high, shape).astype(np.int8)

    hidden, last = LIF.loihi(90, dv=300, du=2000), LIF.loihi(40, 640, dv=100)
    sums = Readout(bias=np.array([5, -70, 900, 0, 1], np.int32))
    delays = rng.integers(0, 5, (12, 9))
    late = w(12, 9)
    wide = rng.integers(0, 256, (12, 9))
    conv = Conv(w(4, 1, 3, 3), (2, 1), (1, 1), 1, 2)
    biased = LIF.loihi(60, np.array([64, -128, 1920, 0], np.int32), dv=400)
    halves = [(Dense((wide >> 1).astype(np.int8)), 1, 0), (Dense((wide & 1).astype(np.int8)), 0, 0)]
    back = (Dense(w(9, 9, low=-40, high=40)), 0, 1, "itself")
    spread = [(Dense(np.where(delays == d, late, 0)), 0, d) for d in range(5)]
    return {
        "dense": chain((12,), (9, hidden, [(Dense(w(12, 9)), 1, 0)]), (5, last, [(Dense(w(9, 5)), 0, 0)])),
        "conv": chain((2, 5, 6), ((4, 3, 6), biased, [(conv, 0, 0)]), (5, last, [(Dense(w(72, 5)), 0, 0)])),
        "recurrent": chain((12,), (9, hidden, [(Dense(w(12, 9)), 0, 0), back])),
        "delays": chain((12,), (9, hidden, spread), (5, last, [(Dense(w(9, 5)), 0, 3)])),
        "excitatory": chain((12,), (9, LIF.loihi(700, dv=300), halves)),
        "inhibitory": chain((12,), (5, LIF.loihi(300, 25600, dv=10), [(Dense(w(12, 5, low=-128, high=0)), 0, 0)])),
        "even": chain(
            (2, 5, 6),
            ((4, 5, 6), LIF.loihi(200, 64, dv=400), [(Conv(w(4, 2, 3, 3), 1, 1), 1, 0)]),
            ((6, 3, 6), LIF.loihi(240, dv=100), [(Conv(w(6, 2, 3, 2), (2, 1), (1, 1), (1, 2), 2), 1, 0)]),
            (5, last, [(Dense(w(108, 5)), 0, 0)]),
        ),
        "sums": chain((12,), (9, hidden, [(Dense(w(12, 9)), 1, 0)]), (5, sums, [(Dense(w(9, 5)), 0, 0)])),
    }


CHAINS = chains()


def spikes(net: Network, sample: np.ndarray) -> np.ndarray:
    """Return what the output sends at each step of a sample of the input, (steps, *shape)."""
    stepper = Stepper(net)
    return np.stack([stepper.step({net.inputs[0]: x})[net.outputs[0]] for x in sample])


def summed(net: Network, sample: np.ndarray) -> np.ndarray:
    """Return the sums of the output after a sample, (1, *shape)."""
    (found,) = (turn.membrane for name, turn in stepped(net, {"in": sample}).items() if name in net.outputs)
    assert found is not None
    return found[None]


def assert_same(a: Network, b: Network) -> None:
    assert a.window == b.window and list(a.outputs) == list(b.outputs)
    assert {n: p.shape for n, p in a.populations.items()} == {n: p.shape for n, p in b.populations.items()}
    for name, p in a.populations.items():
        values, others = vars(p.neuron), vars(b.populations[name].neuron)
        assert type(p.neuron) is type(b.populations[name].neuron)
        assert all(np.array_equal(np.broadcast_to(v, np.shape(others[k])), others[k]) for k, v in values.items()), name
    ends = [[(p.source, p.target, p.delay, p.exponent) for p in net.projections] for net in (a, b)]
    assert ends[0] == ends[1]
    for mine, other in zip(a.projections, b.projections, strict=True):
        found = dict(other.connection.parameters())
        assert all(np.array_equal(value, found[key]) for key, value in mine.connection.parameters())


@pytest.mark.parametrize("name", CHAINS)
def test_spikes_are_those_of_netx_in_lava(name: str) -> None:
    with np.load(DATA / "spikes.npz") as kept:
        given, sent = kept[f"{name}_in"], kept[f"{name}_out"]
    net = read_net(DATA / f"{name}.net")
    assert sent.any()
    fires = net.populations[net.outputs[0]].neuron.fires
    for x, s in zip(given, sent, strict=True):
        assert np.array_equal(spikes(net, x) if fires else summed(net, x), s)


@pytest.mark.parametrize("name", CHAINS)
def test_every_recorded_file_runs_on_the_chip_but_for_odd_weights_of_convolutions(name: str, tmp_path: Path) -> None:
    target, net = targets()["loihi2"], read_net(DATA / f"{name}.net")
    if name == "conv":
        with pytest.raises(UnsupportedError, match=r"in -> l0: .*odd.*2 is the step of lava-dl's quantisation"):
            target.check(net)
        return
    assert target.check(net).fits
    with np.load(DATA / "spikes.npz") as kept:
        target.deploy(net, tmp_path / "bundle", kept[f"{name}_in"])  # refuses what is not the reference's


@pytest.mark.parametrize("name", CHAINS)
def test_what_is_read_is_what_was_written(name: str, tmp_path: Path) -> None:
    write_net(CHAINS[name], tmp_path / "a.net")
    assert_same(CHAINS[name], read_net(tmp_path / "a.net"))
    assert_same(CHAINS[name], read_net(DATA / f"{name}.net"))


def test_currents_into_neurons_of_the_input_are_read_as_they_were_written(tmp_path: Path) -> None:
    first, second = LIF.loihi(25, dv=1024), LIF.loihi(2**17 - 1)
    net = Network(
        {
            "l0_current": Population((2, 3, 3), Input(8, "current")),
            "l0": Population((2, 3, 3), first),
            "l1": Population((4,), replace(second, answer="last")),
        },
        [
            Projection("l0_current", "l0", Diagonal(np.array(1, np.int32))),
            Projection("l0", "l1", Dense(np.ones((18, 4), np.int8)), exponent=1),
        ],
        ["l1"],
        8,
        {"net.input_weight": 76.0, "net.input_bias": 64.0},
    )
    write_net(net, tmp_path / "a.net")
    assert_same(net, read_net(tmp_path / "a.net"))
    assert dict(read_net(tmp_path / "a.net").meta) == dict(net.meta)
    assert targets()["loihi2"].deploy(read_net(tmp_path / "a.net"), tmp_path / "bundle", 4).verdict.fits


def test_odd_gains_of_images_run_on_the_chip(tmp_path: Path) -> None:
    populations = {"in": Population((2, 3, 2), Input(8, "current")), "out": Population((2, 3, 2), LIF.loihi(300))}
    net = Network(populations, [Projection("in", "out", Diagonal(np.array([1, 3], np.int32)))], ["out"], 8)
    samples = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 2))
    assert targets()["loihi2"].deploy(net, tmp_path / "bundle", samples).verdict.fits


WEIGHTS = st.integers(-256, 255)


@given(st.lists(WEIGHTS, min_size=1, max_size=9))
def test_split_adds_up_to_the_weights(weights: list[int]) -> None:
    given = np.array(weights)
    parts = list(split(given))
    assert np.array_equal(sum(part.astype(int) << exponent for part, exponent in parts), given)
    assert len(parts) <= 2
    assert any(w % 2 for w in weights) or parts[0][1] == 1


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=9) | st.lists(st.integers(-127, 127).map(lambda n: 2 * n)))
def test_weights_that_the_chip_holds_are_not_changed(weights: list[int]) -> None:
    given = np.array(weights, np.int64)
    least = -int(given.min(initial=0))
    if given.max(initial=0) <= 0 and least and not least & (least - 1):  # shifted to -256, which Lava makes -255
        assert "no power of two" in changed(given)
    else:
        assert changed(given) == ("" if given.any() else "all weights are 0, which netx cannot load")


def test_weights_that_netx_would_change_are_noticed() -> None:
    assert "would change" in changed(np.array([-200, 131]))
    assert "would change" in changed(np.array([0, -128]))  # as netx, then Lava have it: -64
    assert held(np.array([0, -256]), 1, sign_mode_of(np.array([0, -256]))).tolist() == [0, -128]
    assert "would change" in changed(np.array([-2, 4]), np.array([0, -256]))


def layers(path: Path, change: Callable[[Any], None]) -> Path:
    """Write the convolutional network to `path`, changed."""
    write_net(CHAINS["conv"], path, force=True)
    with h5py.File(path, "a") as file:
        change(file["layer"])
    return path


def put(name: str, value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        if name in file:
            del file[name]
        file[name] = value

    return change


def recurrent_and_delayed(file: Any) -> None:
    for name, value in {"type": "dense_rec", "weight_rec": np.eye(5, dtype=np.int16), "delay": 1}.items():
        put(f"3/{name}", value)(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("1/type", np.array([b"pool"], "S10")), "/layer/1: layers of type 'pool' are not read"),
        (put("1/neuron/type", "SDNN"), "/layer/1/neuron: neurons of type 'SDNN' are not read"),
        (put("1/neuron/refDelay", 2), "/layer/1/neuron: refDelay must be 1"),
        (put("1/neuron/vThMant", np.array([1, 2])), "vThMant must be one number"),
        (put("1/neuron/vDecay", 4097), "/layer/1: .*vDecay in 0..4096"),
        (put("1/shape", np.array([4, 3, 5])), r"/layer/1: its shape is \(4, 3, 5\), and \(2, 5, 6\) becomes"),
        (put("1/weight", np.full((4, 1, 3, 3), 0.5)), "weight must hold integers"),
        (put("1/weight", np.full((4, 1, 3, 3), 131)), "as the chip holds them"),
        (put("3/weight", np.full((5, 72), 257)), "/layer/3: netx would change weights in 0..257"),
        (put("3/delay", 63), r"/layer/3: delays must be in 0\.\.62"),
        (put("3/delay", np.zeros(7, int)), "delay has shape"),
        (recurrent_and_delayed, "/layer/3: netx does not add up recurrent synapses with delays right"),
        (put("3/bias", np.zeros(4, int)), r"/layer/3: bias has shape \(4,\)"),
        (put("3/odd", 1), "/layer/3: does not belong here: 'odd'"),
        (put("2/type", np.array([b"input"], "S10")), "/layer/2"),
        (lambda file: file.pop("2"), "/layer/2: is missing"),
        (lambda file: file.move("2", "4"), "/layer/2: is missing"),
        (put("1/weight", h5py.SoftLink("/layer/3/weight")), "link"),
    ],
)
def test_what_cannot_be_read_is_named(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_net(layers(tmp_path / "a.net", change))


def test_dense_after_an_image_needs_flatten(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        del file["2"]
        file.move("3", "2")

    with pytest.raises(FileFormatError, match="without a layer 'flatten'"):
        read_net(layers(tmp_path / "a.net", change))


def test_steps_of_a_sample_are_asked_for_where_the_file_does_not_say_them(tmp_path: Path) -> None:
    path = layers(tmp_path / "a.net", lambda file: file.parent.pop("simulation"))
    with pytest.raises(FileFormatError, match="--window"):
        read_net(path)
    assert read_net(path, 7).window == 7


@pytest.mark.parametrize("of", ["all", "targets", "sources"])
def test_delays_of_a_layer_are_of_all_or_of_each_target_or_source(of: str, tmp_path: Path) -> None:
    delay = {"all": np.array(3), "targets": np.arange(5), "sources": np.arange(72) % 4}[of]
    each = np.broadcast_to(delay[:, None] if of == "targets" else delay, (5, 72))
    net = read_net(layers(tmp_path / "a.net", put("3/delay", delay)))
    found = {p.delay: p.connection.weight.T for p in net.projections if p.target == "l1"}  # type: ignore[attr-defined]
    weight = CHAINS["conv"].projections[-1].connection.weight.T  # type: ignore[attr-defined]
    assert set(found) == set(np.unique(each).tolist())
    assert all(np.array_equal(part, np.where(each == steps, weight, 0)) for steps, part in found.items())


def own(decay: int) -> Callable[[Any], None]:
    """Give the last layer the neurons that netx gives it where it has none, but for a decay of its membranes."""

    def change(file: Any) -> None:
        for key, value in {"vThMant": 2**17, "iDecay": 0, "vDecay": decay}.items():
            put(f"3/neuron/{key}", value)(file)

    return change


@pytest.mark.parametrize("change", [lambda file: file.pop("3/neuron"), own(4096)], ids=["none", "those of netx"])
def test_last_layer_without_neurons_sums_up_and_never_fires(change: Callable[[Any], None], tmp_path: Path) -> None:
    net = read_net(layers(tmp_path / "a.net", change))
    neuron: Any = net.populations["l1"].neuron
    assert isinstance(neuron, Readout) and neuron.bias.tolist() == 5 * [10]
    stepper, weight = Stepper(net), net.projections[-1].connection.weight.astype(int)  # type: ignore[attr-defined]
    found = np.full(5, 10)
    for x in np.random.default_rng(0).integers(0, 2, (10, 2, 5, 6)):
        found = found + stepper.step({"in": x})["l0"].ravel() @ weight
    assert np.array_equal(stepper.state["l1"]["v"], found)


def test_a_last_layer_that_never_fires_but_leaks_has_neurons(tmp_path: Path) -> None:
    neuron = read_net(layers(tmp_path / "a.net", own(100))).populations["l1"].neuron
    assert isinstance(neuron, LIF) and neuron.answer == "last"


@pytest.mark.parametrize("layer", ["1", "3"])
def test_layers_without_neurons_are_last_and_dense_and_send_nothing_back(layer: str, tmp_path: Path) -> None:
    def change(file: Any) -> None:
        del file[f"{layer}/neuron"]
        put("3/type", "dense_rec")(file)
        put("3/weight_rec", np.eye(5, dtype=np.int16))(file)

    with pytest.raises(FileFormatError, match=f"/layer/{layer}: has no 'neuron', as only a last layer 'dense' can do"):
        read_net(layers(tmp_path / "a.net", change))


def dense(neuron: Any = None, connection: Connection | None = None, **projection: Any) -> Network:
    neuron = LIF.loihi(9) if neuron is None else neuron
    connection = connection or Dense(np.full((3, 2), 2, np.int8))
    populations = {"in": Population((3,), SPIKES), "out": Population((2,), neuron)}
    return Network(populations, [Projection("in", "out", connection, **projection)], ["out"], 8)


def pooled() -> Network:
    populations = {"in": Population((1, 4, 4), SPIKES), "out": Population((1, 2, 2), LIF.loihi(9))}
    return Network(populations, [Projection("in", "out", SumPool((2, 2), (2, 2)))], ["out"], 8)


def images(neuron: Any) -> Network:
    populations = {"in": Population((1, 4, 4), SPIKES), "out": Population((1, 4, 4), neuron)}
    conv = Conv(np.full((1, 1, 3, 3), 2, np.int8), 1, 1)
    return Network(populations, [Projection("in", "out", conv)], ["out"], 8)


def twice() -> Network:
    net = dense()
    again = Projection("in", "out", Dense(np.full((3, 2), 2, np.int8)), 1)
    return Network(net.populations, [*net.projections, again], ["out"], 8)


def residual() -> Network:
    net = dense()
    populations = {**net.populations, "last": Population((2,), LIF.loihi(9))}
    more = [
        Projection("out", "last", Dense(np.eye(2, dtype=np.int8))),
        Projection("in", "last", Dense(np.ones((3, 2), np.int8))),
    ]
    return Network(populations, [*net.projections, *more], ["last"], 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dense(IF(9)), "population 'out': the neurons of a .net file are LIF.loihi, not if"),
        (lambda: dense(LIF.loihi(9, reset="subtract")), "population 'out': reset cannot be said"),
        (lambda: dense(LIF.loihi(9, refractory=2)), "refractory cannot be said"),
        (lambda: dense(LIF.loihi(9, reset_interval=8)), "reset_interval cannot be said"),
        (lambda: dense(LIF.loihi(np.array([3, 9], np.int32))), "threshold differs between neurons"),
        (lambda: dense(LIF.loihi(9, bias=65)), "whole units of the weights"),
        (lambda: dense(LIF.loihi(9, bias=4096 * 64)), "whole units of the weights, in -4096..4095"),
        (lambda: dense(replace(LIF.loihi(9), threshold=577)), "thresholds in units of the weights"),
        (lambda: dense(connection=Dense(np.zeros((3, 2), np.int8))), "projection in -> out: all weights are 0"),
        (lambda: dense(exponent=7, connection=Dense(np.full((3, 2), 3, np.int8))), "netx would change weights"),
        (lambda: dense(delay=63), "one delay, of at most 62 steps"),
        (twice, "projection in -> out: a synapse of a .net file has one delay"),
        (lambda: images(Readout()), "population 'out': a layer of a .net file without neurons is dense"),
        (lambda: dense(Readout(bias=np.array(5000))), "whole units of the weights, in -4096..4095"),
        (pooled, "layers of a .net file are conv or dense, not sum_pool"),
        (residual, "feeds last, out: a .net file is a chain"),
    ],
)
def test_what_a_file_cannot_say_is_named(make: Callable[[], Network], message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=message):
        write_net(make(), tmp_path / "a.net")
    assert not (tmp_path / "a.net").exists()


def test_the_scale_of_sums_is_said_to_be_left_out(tmp_path: Path) -> None:
    scaled = Readout(np.array(0.5, np.float32))
    assert [len(write_net(dense(n), tmp_path / "a.net", force=True)) for n in (Readout(), scaled)] == [1, 2]


def test_command_imports_and_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snn, net = tmp_path / "a.snn", tmp_path / "a.net"
    save(CHAINS["conv"], snn)
    assert main(["net", str(snn), "-o", str(net)]) == 0
    assert "reset_interval=10" in capsys.readouterr().out
    assert main(["net", str(net), "-o", str(snn)]) == 2  # it is there already
    assert main(["net", str(net), "-o", str(snn), "--force", "--json"]) == 0
    assert_same(CHAINS["conv"], load(snn))
    assert main(["net", str(snn), "-o", str(tmp_path / "b.snn")]) == 2
    assert "one file is a .net file and the other a .snn file" in capsys.readouterr().err


def test_command_says_what_is_wrong_with_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = layers(tmp_path / "a.net", put("1/neuron/type", "RF"))
    assert main(["net", str(path), "-o", str(tmp_path / "a.snn")]) == 3
    assert "/layer/1/neuron: neurons of type 'RF' are not read" in capsys.readouterr().err
