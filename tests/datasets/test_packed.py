# SPDX-License-Identifier: Apache-2.0
"""Event recordings packed in an .npz file: which train, what is checked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import packed
from spikerun.datasets.events import Recordings
from spikerun.errors import DataError

LABELS = np.array([0, 1, 0, 0, 1, 0, 0, 1, 1, 1])  # five of each


def arrays(labels: Any = LABELS, events: int = 7, **changes: Any) -> dict[str, Any]:
    """Return recordings of some events each: those of the k-th are at x = k % 4."""
    count = len(labels)
    x = np.arange(count).repeat(events) % 4
    t = np.tile(np.arange(events) * 100, count)
    found = {"t": t, "x": x, "y": x % 3, "p": t % 200 // 100, "offset": np.arange(count + 1) * events, "label": labels}
    return {key: value for key, value in (found | changes).items() if value is not None}


def saved(folder: Path, **content: Any) -> Path:
    np.savez(folder / "events.npz", **content)
    return folder / "events.npz"


def test_the_first_four_fifths_of_each_label_train(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(tmp_path, **arrays())
    train, test = (datasets.load(path, split=split) for split in ("train", "test"))
    assert isinstance(train.samples, Recordings) and isinstance(test.samples, Recordings)
    assert (train.samples.places.tolist(), test.samples.places.tolist()) == ([0, 1, 2, 3, 4, 5, 7, 8], [6, 9])
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 0, 0, 1, 0, 1, 1], [0, 1])
    assert "of each label the first 80 % of its recordings train, the others test" in caplog.text
    assert (train.recorded, train.shape, train.classes, train.scale) == (True, (2, 3, 4), ("0", "1"), 1.0)


def test_a_file_of_two_splits_keeps_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    both = {f"train_{key}": value for key, value in arrays().items()}
    both |= {f"test_{key}": value for key, value in arrays(np.array([1, 1])).items()}
    path = saved(tmp_path, **both, shape=np.array([2, 3, 4]))
    assert len(datasets.load(path, split="train")) == 10
    assert datasets.load(path, split="test").labels.tolist() == [1, 1]
    assert caplog.text == ""


def test_a_frame_that_the_file_does_not_say_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert datasets.load(saved(tmp_path, **arrays())).shape == (2, 3, 4)
    assert "taken as far as its events reach, (2, 3, 4)" in caplog.text
    assert datasets.load(saved(tmp_path, **arrays(shape=np.array([2, 34, 34])))).shape == (2, 34, 34)


def test_events_of_a_recording_are_its_own(tmp_path: Path) -> None:
    samples = datasets.load(saved(tmp_path, **arrays()), limit=1).samples
    assert isinstance(samples, Recordings) and len(samples) == 1
    events = samples.events(6)
    assert (events.x.tolist(), events.t.tolist()) == ([2] * 7, [0, 100, 200, 300, 400, 500, 600])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": None}, "has event recordings, and no array 'label', only: offset, p, t, x, y; write it with"),
        ({"offset": None}, "no array 'offset'"),
        ({"label": np.arange(9)}, r"array 'label': is int64 \(9,\), expected a class number for 10 recordings"),
        ({"label": np.full(10, -1)}, "expected class numbers 0.."),
        ({"label": np.full(10, 0.5)}, "expected a class number for 10 recordings"),
        (
            {"offset": np.arange(11) * 8},
            "must ascend from 0 to 70, the number of events; it begins with 0, ends with 80",
        ),
        ({"offset": np.arange(11) * 7 + 1}, "it begins with 1"),
        ({"offset": np.array([0, 9, 5, *range(21, 77, 7)])}, "and descends between"),
        ({"offset": np.array(0)}, r"expected integers \(recordings \+ 1,\)"),
        ({"offset": np.array([0, 2**63 + 5], np.uint64)}, "array 'offset': reaches"),
        ({"x": np.zeros(69, int)}, r"array 'x': is int64 \(69,\), expected integers, one an event, \(70,\)"),
        ({"t": np.zeros(70)}, "array 't': is float64"),
        ({"t": np.full(70, -5)}, "holds times from -5 to -5, expected microseconds"),
        ({"p": np.tile([1, -1], 35)}, r"event 1 \(x = 0, y = 0, p = -1\) lies outside of the frame .*: polarities are"),
        ({"shape": np.array([2, 3, 3])}, r"event 21 \(x = 3, y = 0, p = 0\) lies outside of the frame \(2, 3, 3\)"),
        ({"shape": np.array([3, 3])}, r"array 'shape': is \[3, 3\], expected three integers"),
        ({"shape": np.array([2, 2**40, 2**40])}, "has too many places"),
        ({"x": np.full(70, 2**31)}, "has too many places"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        datasets.load(saved(tmp_path, **arrays(**changes)))


def test_a_split_without_recordings_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, **arrays(np.array([0, 1])))
    assert len(datasets.load(path, split="test")) == 2
    with pytest.raises(DataError, match="has no recording in its train split"):
        datasets.load(path, split="train")


def test_arrays_too_large_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LARGEST_FILE", 1000)
    with pytest.raises(DataError, match="the limit is 1000"):
        datasets.load(saved(tmp_path, **arrays()))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, **arrays())
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        datasets.load(path)


def test_real_recordings_of_n_mnist(shared: Any) -> None:
    data = datasets.load(shared("data/nmnist-train/train1000.npz"), split="test", encoder=datasets.Bins(60, 5000))
    assert data.samples.shape == (204, 60, 2, 34, 34)
    assert 3000 < data.samples[:64].sum() / 64 < 6000
