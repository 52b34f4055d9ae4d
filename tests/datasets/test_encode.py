# SPDX-License-Identifier: Apache-2.0
"""Encoders: what they make of samples, that it does not depend on which are made together, and what they refuse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikerun import datasets
from spikerun.datasets import Bins, Dataset, Encoded, Encoder, Latency, Rate, encoder_meta, encoder_of
from spikerun.datasets.events import Packed
from spikerun.errors import DataError, UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 5)).astype(np.uint8)


def images(samples: npt.NDArray[Any] = IMAGES, scale: float = 1 / 255) -> Dataset:
    return Dataset("mine", "test", samples, np.arange(len(samples)) % 3, ("a", "b", "c"), scale, "memory")


def recordings(count: int = 6, seed: int = 0) -> Dataset:
    """Return recordings of 40 events each, within 10 ms and a frame of (2, 3, 4)."""
    rng, size = np.random.default_rng(seed), 40 * count
    arrays = {"t": rng.integers(0, 10_000, (count, 40))} | {
        key: rng.integers(0, most, size) for key, most in (("x", 4), ("y", 3), ("p", 2))
    }
    arrays["t"] = np.sort(arrays["t"], axis=1).ravel()
    samples = Packed("mine", arrays, np.arange(0, size + 1, 40), np.arange(count), (2, 3, 4))
    return Dataset("mine", "test", samples, np.arange(count) % 2, ("a", "b"), 1.0, "memory")


def encoded(data: Dataset, encoder: Encoder) -> Encoded:
    samples = data.encoded(encoder).samples
    assert isinstance(samples, Encoded)
    return samples


def test_rate_spikes_as_often_as_the_real_value_says() -> None:
    values = np.array([[0, 51, 128, 255]], np.uint8).repeat(50, axis=0)
    spikes = np.asarray(encoded(images(values), Rate(200)))
    assert set(np.unique(spikes)) == {0, 1}
    assert spikes.mean(axis=(0, 1)) == pytest.approx([0, 0.2, 128 / 255, 1], abs=0.02)
    assert not spikes[..., 0].any() and spikes[..., 3].all()


def test_steps_places_and_values_are_drawn_independently() -> None:
    spikes = np.asarray(encoded(images(np.full((30, 20), 128, np.uint8)), Rate(40))).astype(float) - 128 / 255
    for shifted in (spikes[1:] * spikes[:-1], spikes[:, 1:] * spikes[:, :-1], spikes[..., 1:] * spikes[..., :-1]):
        assert abs(shifted.mean()) < 0.01


def test_real_values_beyond_0_and_1_are_clipped() -> None:
    spikes = np.asarray(encoded(images(np.array([[-7, 3]], np.int8), 0.5), Rate(30, 0.5)))
    assert not spikes[..., 0].any() and spikes[..., 1].all()


def test_spikes_of_rate_stay_what_they_are() -> None:
    """Networks in files were measured on these very spikes."""
    spikes = np.asarray(encoded(images(np.full((2, 8), 128, np.uint8)), Rate(3, seed=5)))
    assert np.packbits(spikes).tolist() == [167, 202, 188, 56, 115, 52]


@pytest.mark.parametrize("encoder", [Rate(7), Latency(7)], ids=lambda encoder: encoder.kind)
def test_spikes_do_not_depend_on_what_is_made_together(encoder: Encoder) -> None:
    data = images()
    samples = encoded(data, encoder)
    whole = np.asarray(samples)
    assert whole.shape == samples.shape == (20, 7, 1, 4, 5) and whole.dtype == samples.dtype == np.uint8
    some = np.array([7, 3, 19])
    np.testing.assert_array_equal(samples[3:9], whole[3:9])
    np.testing.assert_array_equal(samples[some], whole[some])
    np.testing.assert_array_equal(samples[4, 2], whole[4, 2])
    np.testing.assert_array_equal(samples[2:4, 5], whole[2:4, 5])
    np.testing.assert_array_equal(samples.part(18, 20), whole[18:20])
    np.testing.assert_array_equal(samples.take(some)[1:], whole[some[1:]])
    np.testing.assert_array_equal(samples.reshape(20, 7, -1)[:2], whole[:2].reshape(2, 7, 20))
    np.testing.assert_array_equal(data.encoded(encoder).first(5).samples, whole[:5])
    np.testing.assert_array_equal(data.first(5).encoded(encoder).samples, whole[:5])


def test_seeds_and_places_give_other_spikes_and_more_steps_the_same_first_ones() -> None:
    data = images(np.full((2, 21), 128, np.uint8))
    first = np.asarray(encoded(data, Rate(5)))
    assert (first != np.asarray(encoded(data, Rate(5, seed=1)))).any()
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(np.asarray(encoded(data, Rate(9)))[:, :5], first)


def test_latency_sends_one_spike_the_earlier_the_brighter() -> None:
    spikes = np.asarray(encoded(images(np.array([[255, 128, 51, 3, 2, 0]], np.uint8)), Latency(6)))[0]
    assert spikes.sum(axis=0).tolist() == [1, 1, 1, 1, 0, 0]
    assert spikes.argmax(axis=0)[:4].tolist() == [0, 2, 4, 5]


@pytest.mark.parametrize("bins", ["count", "binary"])
def test_events_are_in_the_bin_of_their_time_and_place(bins: str) -> None:
    data = recordings()
    found = np.asarray(encoded(data, Bins(5, 1500, bins)))
    expected = np.zeros((6, 5, 2, 3, 4), int)
    assert isinstance(data.samples, Packed)
    for k in range(6):
        events = data.samples.events(k)
        for t, x, y, p in zip(events.t, events.x, events.y, events.p, strict=True):
            if t < 5 * 1500:
                expected[k, t // 1500, p, y, x] += 1
    np.testing.assert_array_equal(found, expected if bins == "count" else expected > 0)
    assert expected.max() > 1


def test_counts_end_at_255() -> None:
    arrays = {key: np.zeros(300, np.int64) for key in ("t", "x", "y", "p")}
    samples = Packed("mine", arrays, np.array([0, 300]), np.arange(1), (1, 1, 1))
    data = Dataset("mine", "test", samples, np.zeros(1, np.int64), ("a",), 1.0, "memory")
    assert np.asarray(encoded(data, Bins(2, 1000))).ravel().tolist() == [255, 0]


def test_bins_may_be_parts_of_a_microsecond() -> None:
    assert Bins(3, 0.125).dt_ns == 125


def test_what_is_cut_is_said(caplog: pytest.LogCaptureFixture) -> None:
    recordings().encoded(Bins(5, 1000))
    assert "first 6 recordings: " in caplog.text and "% of the events come after 5 ms and are cut" in caplog.text
    caplog.clear()
    recordings().encoded(Bins(10, 1000))
    assert caplog.text == ""


def test_times_that_go_backwards_are_said_and_stay_in_their_bins(caplog: pytest.LogCaptureFixture) -> None:
    data = recordings(1)
    forwards = np.asarray(encoded(data, Bins(10, 1000)))
    assert isinstance(data.samples, Packed)
    data.samples.arrays |= {key: values[::-1] for key, values in data.samples.arrays.items()}
    np.testing.assert_array_equal(encoded(data, Bins(10, 1000)), forwards)
    assert "in recording 0 times go backwards; each event is in the bin of its own time" in caplog.text


@pytest.mark.parametrize("encoder", [Rate(25, 1 / 16, 3), Latency(9, 0.25), Bins(300, 1000.5, "binary")])
def test_a_network_says_how_its_samples_are_encoded(encoder: Encoder) -> None:
    meta = encoder_meta(encoder, "eye")
    assert encoder_of(meta, "eye") == encoder
    assert encoder_of(meta, "ear") is None
    assert all(type(value) in (int, float, str) for value in meta.values())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Rate(np.int64(5), np.float32(0.5), np.uint8(3)), Rate(5, 0.5, 3)),  # type: ignore[arg-type]
        (Latency(np.uint8(5), np.float64(1)), Latency(5, 1)),  # type: ignore[arg-type]
        (Bins(np.int32(5), np.int64(1000)), Bins(5, 1000)),  # type: ignore[arg-type]
        (Bins(5, np.float32(0.125)), Bins(5, 0.125)),  # type: ignore[arg-type]
    ],
)
def test_numbers_of_numpy_are_taken_as_pythons(given: Encoder, expected: Encoder) -> None:
    assert given == expected
    assert all(type(value) in (int, float, str) for value in encoder_meta(given, "eye").values())


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"input_encoder": "delta"}, "its encoder is 'delta', known are rate, latency, events"),
        ({"input_encoder": 3}, "its encoder is '3'"),
        ({"input_encoder": [1]}, r"its encoder is '\[1\]', known are"),
        ({"input_encoder": "rate", "input_steps": 5, "input_unit": True}, "a finite number above 0, got True"),
        ({"input_encoder": "rate"}, "missing 1 required positional argument: 'steps'"),
        ({"input_encoder": "rate", "input_steps": 0}, "an integer in 1..1048576, got 0"),
        ({"input_encoder": "rate", "input_steps": 5, "input_seed": "x"}, "the seed is an integer from 0 on, got 'x'"),
        (
            {"input_encoder": "latency", "input_steps": 5, "input_unit": float("nan")},
            "a finite number above 0, got nan",
        ),
        ({"input_encoder": "events", "input_steps": 5, "input_dt_us": -1.0}, "a time above 0"),
    ],
)
def test_meta_that_no_encoder_has_is_refused(meta: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"^the network's meta on its input 'input': .*{message}"):
        encoder_of(meta)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rate(2.5), "the time steps of a sample are an integer"),  # type: ignore[arg-type]
        (lambda: Rate(5, seed=-1), "the seed is an integer from 0 on, got -1"),
        (lambda: Rate(True), "the time steps of a sample are an integer in .*, got True"),
        (lambda: Rate(5, seed=True), "the seed is an integer from 0 on, got True"),
        (lambda: Latency(5, True), "the real value of one integer is a finite number above 0, got True"),
        (lambda: Latency(5, 10**400), "the real value of one integer is a finite number above 0"),
        (lambda: Latency(5, "1"), "the real value of one integer is a finite number above 0, got '1'"),  # type: ignore[arg-type]
        (lambda: Bins(5, True), "a bin takes a time above 0"),
        (lambda: Bins(5, 1000, ["count"]), "unknown way to bin events"),  # type: ignore[arg-type]
        (lambda: Rate(5, 0.0), "the real value of one integer is a finite number above 0"),
        (lambda: Bins(5, 0), "a bin takes a time above 0"),
        (lambda: Bins(5, 0.0001), "whole nanoseconds"),
        (lambda: Bins(5, float("inf")), "a bin takes a time above 0"),
        (lambda: Bins(5, 1000, "sum"), "unknown way to bin events 'sum'"),
        (lambda: images().encoded("rate"), r"'mine' is encoded by a Rate, Latency or Bins, .*; got 'rate'"),  # type: ignore[arg-type]
        (lambda: images().encoded(Rate), r"such as Rate\(steps=25\); got <class"),  # type: ignore[arg-type]
        (lambda: images().encoded(Bins(5, 1000)), r"samples \(1, 4, 5\) and no events: --input events bins event"),
        (
            lambda: recordings().encoded(Rate(5)),
            "holds event recordings: --input events --dt 1ms bins them, not 'rate'",
        ),
        (lambda: images(IMAGES.reshape(5, 4, 1, 4, 5)).encoded(Latency(5)), "have time already: --input frames"),
        (lambda: images(IMAGES.reshape(20, 4, 5)).encoded(Rate(5)), "have time already"),
        (lambda: images().encoded(Rate(5)).encoded(Rate(5)), "is encoded already: a value, as a real number"),
    ],
)
def test_what_cannot_be_encoded_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_recordings_are_no_samples_until_they_are_binned() -> None:
    for use in (np.asarray, Dataset.real, lambda data: data.samples[:3]):
        with pytest.raises(DataError, match="holds event recordings, which are no samples until they are binned"):
            use(recordings().samples if use is np.asarray else recordings())


def test_a_sample_too_large_is_refused_before_it_is_made() -> None:
    with pytest.raises(DataError, match=r"10000 steps of a frame \(1, 100, 100\) are 100000000 values a sample, the"):
        images(np.zeros((1, 1, 100, 100), np.uint8)).encoded(Rate(10_000))


def test_too_many_samples_at_once_are_refused() -> None:
    samples = encoded(images(np.zeros((3000, 1000), np.uint8)), Rate(1000))
    assert samples[:2].shape == (2, 1000, 1000)
    with pytest.raises(DataError, match="take 3000000000 bytes, the limit is 2147483648: take fewer at a time"):
        np.asarray(samples)


def test_another_scale_than_the_encoders_is_said(caplog: pytest.LogCaptureFixture) -> None:
    images(scale=1 / 16).encoded(Rate(5))
    assert "an integer of 'mine' stands for 0.0625, and by the network's encoder for 0.00392157" in caplog.text


def test_load_encodes(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", samples=IMAGES, scale=0.5)
    data = datasets.load(tmp_path / "own.npz", limit=4, encoder=Rate(6, 0.5))
    assert data.samples.shape == (4, 6, 1, 4, 5) and data.scale == 1
    given = datasets.load_inputs(tmp_path / "own.npz", ["x"], limit=4, meta=encoder_meta(Rate(6, 0.5), "x"))["x"]
    np.testing.assert_array_equal(given.samples, data.samples)
