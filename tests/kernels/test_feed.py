# SPDX-License-Identifier: Apache-2.0
"""Events on their way into a program, and neurons that are updated only where a current arrives."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import i32

from spikerun.events import EVENT
from spikerun.kernels.cpu.native import Feed, Linear, Program
from spikerun.kernels.executor import SPIKE

quick = settings(max_examples=60, deadline=None)
X, S, PENDING, CURRENT, V, U, WAIT = range(7)


class Layer:
    """An input (H, W, 2), a convolution, and neurons of 3, 8 or 20 channels; tracked or not."""

    def __init__(
        self, seed: int, tracked: bool, graded: int | None = None, late: str = "error", often: int = 7
    ) -> None:
        rng = np.random.default_rng(seed)
        height, width, channels = int(rng.integers(1, 9)), int(rng.integers(1, 9)), int(rng.choice([3, 8, 20]))
        stride, kernel = int(rng.integers(1, 3)), int(rng.choice([1, 3, 5]))
        pad, dilation = kernel // 2, int(rng.choice([1, 1, 2])) if kernel > 1 else 1
        pad = pad * dilation
        out_h, out_w = ((n + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for n in (height, width))
        n_in, n_out = height * width * 2, out_h * out_w * channels
        places, end = [], {"int16": 0, "int32": 0}
        for dtype, size in (("int16", n_in), *[("int16", n_out)] * 2, *[("int32", n_out)] * 4):
            places.append((dtype, size, end[dtype]))
            end[dtype] += -(-size // 32) * 32
        self.program, self.shape, self.n_in = Program(places), (height, width, 2), n_in
        if tracked:
            self.program.track([X, S, CURRENT])
        weight = rng.integers(-128, 128, (kernel, kernel, 2, channels)).astype(np.int8)
        geometry = (2 * [stride], 2 * [pad], 2 * [dilation])
        conv = Linear.conv(weight, self.shape, (out_h, out_w, channels), *geometry)
        self.program.fill(acc=CURRENT, value=i32(0))
        self.program.apply(x=X, acc=CURRENT, map=conv, cut=n_in)
        self._neurons(rng, channels)
        self.program.count(word=X, fan_out=rng.integers(0, 99, n_in).astype(np.int32), mode="nonzero", bits=1, slot=0)
        self.program.count(word=S, fan_out=i32(*range(channels)), mode="nonzero", bits=1, slot=1)
        self.work = self.program.workspace()
        watch, capture = [(X, 2), (S, channels)], [(CURRENT, often, 0, 3)]
        self.feed = Feed(
            self.program, self.work, X, self.shape, graded, 1_000_000, late, watch=watch, capture=capture, threads=1
        )

    def _neurons(self, rng: np.random.Generator, channels: int) -> None:
        def some(*values: Any) -> Any:
            return i32(*rng.choice(values, channels if rng.random() < 0.5 else 1))

        threshold = some(0, 1, 50, 300, 100_000)
        if rng.random() < 0.3:
            reset = str(rng.choice(["zero", "subtract"]))
            least = some(0, -100, -(2**23))
            neurons = {
                "i": CURRENT,
                "v": V,
                "s": S,
                "threshold": np.maximum(threshold, 1),
                "bias": i32(0),
                "v_min": least,
            }
            self.program.if_step(**neurons, reset=reset)
            return
        plain = rng.random() < 0.6
        self.program.lif_step(
            **{"i": CURRENT, "u": U, "v": V, "wait": WAIT, "pending": PENDING, "s": S, "threshold": threshold},
            keep_v=some(0, 100, 60_000, 65_000, 65_536),
            keep_u=some(0) if plain else some(0, 30_000, 65_000),
            bias=some(0, -5, 2, 300) if plain else i32(0),
            bias_u=some(0, -1, 7, 20_000) if plain else i32(0),
            **{"v_reset": some(0, -7, 400), "v_min": some(0, -50, -(2**29) + 1)},
            fraction_bits=int(rng.choice([0, 0, 6, 12])),
            reset=str(rng.choice(["value", "subtract", "subtract_after_leak", "none"])),
            refractory=0 if plain else int(rng.choice([0, 3])),
            limits=str(rng.choice(["wide", "chip"])),
            **{"reset_interval": 0, "reset_offset": 0, "inclusive": bool(rng.random() < 0.5 and threshold.all())},
        )

    def state(self) -> list[Any]:
        return [self.program.read(self.work, k).tolist() for k in range(7)]


def drawn(rng: np.random.Generator, shape: tuple[int, ...], n: int, gap: int) -> Any:
    """Return events of a camera, in time with gaps."""
    height, width, channels = shape
    events = np.zeros(n, EVENT)
    events["t"] = np.cumsum(rng.integers(0, gap, n) * (rng.random(n) < 0.5)) * 1000
    for name, end in (("x", width), ("y", height), ("p", channels)):
        events[name] = rng.integers(0, end, n)
    return events


def plain(found: Any) -> Any:
    """Return what was sent as lists."""
    if found is None or isinstance(found[0], str):
        return found
    watched, captured, error = found
    return [w.view(SPIKE).tolist() for w in watched], [(t.tolist(), c.tolist()) for t, c in captured], error


@quick
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 1, 5]))
def test_neurons_that_are_left_alone_have_the_same_bits(seed: int, graded: int | None) -> None:
    """Steps one by one, with everything updated in each, and chunks whose silence is skipped."""
    lazy, dense = (Layer(seed, tracked, graded) for tracked in (True, False))
    rng = np.random.default_rng(seed)
    events = drawn(rng, lazy.shape, int(rng.integers(1, 60)), int(rng.choice([2, 20, 400])))
    for part in np.split(events, np.sort(rng.integers(0, len(events), 3))):
        assert plain(lazy.feed.push(part)) == plain(dense.feed.push(part))
        assert lazy.work.t == dense.work.t
        if rng.random() < 0.5:
            assert lazy.state() == dense.state()
    end = lazy.work.t + int(rng.choice([1, 2, 50, 3000]))
    assert plain(lazy.feed.run(end)) == plain(dense.feed.run(end))
    assert lazy.state() == dense.state()
    np.testing.assert_array_equal(lazy.work.counters, dense.work.counters)


@quick
@given(st.integers(0, 2**32 - 1))
def test_what_is_written_from_outside_is_seen(seed: int) -> None:
    lazy, dense = (Layer(seed, tracked) for tracked in (True, False))
    rng = np.random.default_rng(seed)
    events = drawn(rng, lazy.shape, 20, 3)
    for one in (lazy, dense):
        one.feed.push(events)
        size = len(one.program.read(one.work, V))
        one.program.write(one.work, V, np.random.default_rng(seed).integers(-(2**20), 2**20, size).astype(np.int32))
        one.work.t = 10**9
    assert plain(lazy.feed.run(10**9 + 9)) == plain(dense.feed.run(10**9 + 9))
    assert lazy.state() == dense.state()


def at_rest(seed: int) -> Layer | None:
    """Return a layer that has come to rest some steps after events, if it has by then."""
    layer = Layer(seed, tracked=True, often=10**12)
    layer.feed.push(drawn(np.random.default_rng(0), layer.shape, 40, 2))
    layer.feed.run(10_000)
    return layer if layer.feed.counts[4] > 5000 else None


def test_silence_is_skipped_once_all_is_at_rest() -> None:
    layer = next(layer for seed in range(99) if (layer := at_rest(seed)))
    computed = int(layer.feed.durations.sum())
    layer.feed.run(10**9)
    assert layer.work.t == 10**9
    assert int(layer.feed.durations.sum()) == computed
    assert layer.feed.counts[4] == 10**9 - computed


@quick
@given(st.integers(0, 2**32 - 1), st.sampled_from(["clamp", "drop"]))
def test_late_events_are_moved_or_dropped_and_counted(seed: int, late: str) -> None:
    rng = np.random.default_rng(seed)
    layer, truth = Layer(seed, True, 99, late), Layer(seed, False, 99)
    events = drawn(rng, layer.shape, 30, 3)
    events["t"] = np.maximum(events["t"] - rng.integers(0, 3, 30) * 1000, 0)
    steps, newest, kept = events["t"] // 1000, -1, []
    for k, step in enumerate(steps):
        kept.append(step >= newest)
        newest = max(newest, step)
        steps[k] = newest
    moved = events.copy()
    moved["t"] = steps * 1000
    expected = moved if late == "clamp" else moved[kept]
    sent: list[Any] = [plain(layer.feed.push(part)) for part in np.split(events, [7, 19])]
    sent.append(plain(layer.feed.run(int(newest) + 1)))
    found = [spike for one in sent if one for spike in one[0][1]]
    first, last = plain(truth.feed.push(expected)), plain(truth.feed.run(int(newest) + 1))
    assert found == (first[0][1] if first else []) + last[0][1]
    n_late = 30 - sum(kept)
    assert layer.feed.counts[:3] == (30, n_late, n_late if late == "drop" else 0)


def test_events_add_up_to_what_the_input_takes() -> None:
    layer = Layer(5, True, graded=3)
    layer.feed.push_steps(np.zeros(5, np.int64), np.array([0, 1, 0, 0, 0]))
    (sent, _), _, _ = plain(layer.feed.run(1))
    assert [spike[2] for spike in sent] == [3, 1]
    assert layer.feed.counts[3] == 1


def test_what_is_held_back_can_be_read_and_set() -> None:
    layer, other = Layer(5, True), Layer(5, True)
    steps, index = np.array([4, 4, 4]), np.array([1, 0, 1])
    assert layer.feed.push_steps(steps, index) is not None  # the silence before
    np.testing.assert_array_equal(layer.feed.held(), [steps, index])
    assert other.feed.hold(*layer.feed.held()) is None
    assert other.feed.newest == 4
    assert other.feed.counts[0] == 0
    refused: Any = layer.feed.hold(np.array([3]), np.array([0]))
    assert refused[0] == "done"


@pytest.mark.parametrize(
    ("t", "x", "kind", "k"),
    [([0, -1], [0, 0], "time", 1), ([0, 2**53 + 1], [0, 0], "time", 1), ([0, 0], [0, 9], "outside", 1),
     ([3000, 2000], [0, 0], "order", 1), ([10**11], [0], "ahead", 1)],
)  # fmt: skip
def test_events_that_cannot_be_are_refused_with_all_others(t: list[int], x: list[int], kind: str, k: int) -> None:
    layer = Layer(5, True)
    events = np.zeros(len(t), EVENT)
    events["t"], events["x"] = t, x
    refused: Any = layer.feed.push(events)
    assert refused[:2] == (kind, k)
    assert (layer.feed.newest, layer.feed.counts[0]) == (-1, 0)


def refused(*registers: tuple[str, int, int], track: int = 0) -> None:
    with pytest.raises(ValueError, match=r"^track: "):
        Program(list(registers)).track([track])


def test_a_tracked_register_has_its_tiles_for_itself() -> None:
    refused(("int16", 1, 8))
    refused(("int16", 1, 0), ("int16", 15, 1))
    refused(("int16", 16, 0), ("int16", 40, 16), ("int16", 3, 60), track=1)
    Program([("int16", 1, 0), ("int16", 15, 16), ("int32", 1, 1)]).track([0, 1])


def test_what_was_appended_before_sets_no_marks() -> None:
    program = Program([("int32", 16, 0)])
    program.fill(acc=0, value=i32(0))
    with pytest.raises(ValueError, match="operations were appended that set no marks"):
        program.track([0])


def test_batches_run_without_marks() -> None:
    layer = Layer(5, True)
    with pytest.raises(ValueError, match="tracks registers, which batches do not"):
        layer.program.run_batch(inputs=[(X, np.zeros((1, layer.n_in), np.int16))], outputs=[S])


def test_many_small_pushes_cost_no_more_than_few() -> None:
    """The room for events that are held back grows by factors: 200,000 pushes take a moment."""
    layer = Layer(5, True)
    one = np.zeros(1, EVENT)
    for _ in range(200_000):
        layer.feed.push(one)
    assert layer.feed.held().shape == (2, 200_000)


def test_events_are_records_of_sixteen_bytes() -> None:
    with pytest.raises(TypeError, match="aligned array of records of 16 bytes"):
        Layer(5, True).feed.push(np.zeros(3))
    with pytest.raises(ValueError, match="not C-contiguous"):
        Layer(5, True).feed.push(np.zeros(6, EVENT)[::2])
    with pytest.raises(TypeError, match="aligned"):
        Layer(5, True).feed.push(np.frombuffer(bytes(33), EVENT, count=2, offset=1))


@pytest.mark.parametrize(
    ("argument", "keywords"),
    [("hwc", {"hwc": (1, 1, 1)}), ("hwc", {"hwc": (2**28, 2**28, 2**28)}), ("graded", {"graded": 0}),
     ("step_ns", {"step_ns": 0}), ("late", {"late": "later"}), ("register", {"register": CURRENT}),
     ("threads", {"threads": 0})],
)  # fmt: skip
def test_arguments_of_a_feed_are_checked(argument: str, keywords: dict[str, Any]) -> None:
    layer = Layer(5, True)
    given_: dict[str, Any] = {"register": X, "hwc": layer.shape, "graded": None, "step_ns": 1, "late": "error"}
    given_ |= {"watch": [], "capture": [], "threads": 1, **keywords}
    with pytest.raises(ValueError, match=f"^{argument}: "):
        Feed(layer.program, layer.work, **given_)
