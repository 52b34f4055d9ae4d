# SPDX-License-Identifier: Apache-2.0
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import fsdd
from spikerun.errors import DataError, UnsupportedError


def tone(hertz: float, seconds: float = 0.5, loud: float = 9000) -> Any:
    return (loud * np.sin(2 * np.pi * hertz * np.arange(round(8000 * seconds)) / 8000)).astype(np.int16)


def packed(folder: Path, index: Any = (0, 4, 5, 9), **changes: Any) -> Path:
    """Write recordings of one tone each, of two digits and one speaker."""
    label = [0, 1] * (len(index) // 2)
    sounds = [tone(300 * (k + 1)) for k in range(len(index))]
    content = {
        "pcm": np.concatenate(sounds),
        "offset": np.cumsum([0, *map(len, sounds)]),
        "label": np.array(label),
        "speaker": np.array(["theo"] * len(index)),
        "index": np.array(index),
    }
    np.savez(folder / "fsdd.npz", **{k: v for k, v in (content | changes).items() if v is not None})
    return folder


def test_a_tone_is_loudest_in_the_band_of_its_frequency_while_it_lasts() -> None:
    loudest = []
    for hertz in (150, 400, 1000, 2500, 3800):
        levels = fsdd.spectrogram(tone(hertz))
        assert levels.shape == (50, 32) and levels.dtype == np.uint8
        loudest.append(int(levels[5].argmax()))
        assert levels[:24].max(axis=1).min() > 250 and not levels[26:].any()
    assert loudest == sorted(set(loudest))


def test_a_spectrogram_fits_a_network_of_images_of_one_channel(tmp_path: Path) -> None:
    found = datasets.load("fsdd", packed(tmp_path), "test")
    assert found.fitted((1, 50, 32)).shape == (len(found), 1, 50, 32)
    with pytest.raises(DataError, match=r"samples of shape \(50, 32\), the input of the network takes \(2, 50, 32\)"):
        found.fitted((2, 50, 32))


def test_every_band_hears_something() -> None:
    whole = fsdd.spectrogram(np.random.default_rng(0).integers(-9999, 9999, 8000).astype(np.int16))
    assert (whole.mean(axis=0) > 100).all()


def test_loudness_does_not_matter_and_silence_is_silent() -> None:
    loud, quiet = (fsdd.spectrogram(tone(700, loud=loud)) for loud in (20000, 2000))
    assert np.abs(loud[:24].astype(int) - quiet[:24]).mean() < 3
    assert not fsdd.spectrogram(np.zeros(4000, np.int16)).any()
    assert not fsdd.spectrogram(np.zeros(0, np.int16)).any()


def test_levels_stay_what_they_are() -> None:
    """Networks in files were trained on these very levels; another window moves some of them by one."""
    k = np.arange(8000)
    assert fsdd.spectrogram((k * k % 4001 - 2000).astype(np.int16))[49].tolist() == [
        230, 207, 216, 224, 220, 212, 181, 204, 192, 199, 177, 184, 196, 175, 166, 186,
        179, 159, 180, 169, 167, 173, 166, 167, 167, 164, 165, 163, 165, 165, 163, 164,
    ]  # fmt: skip


def test_what_comes_after_a_second_is_cut() -> None:
    np.testing.assert_array_equal(fsdd.spectrogram(tone(500, 2)), fsdd.spectrogram(tone(500, 1.2)))


def test_the_first_five_of_each_test(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train, test = (datasets.load("fsdd", packed(tmp_path), split=part) for part in ("train", "test"))
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1], [0, 1])
    assert (test.shape, test.scale, test.classes) == ((50, 32), 1 / 255, tuple("0123456789"))
    np.testing.assert_array_equal(test.samples[1], fsdd.spectrogram(tone(600)))
    assert caplog.text == ""


def test_without_those_the_five_lowest_test_which_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    packed(tmp_path, [k for k in range(5, 13) for _ in range(2)])
    assert len(datasets.load("fsdd", tmp_path, split="test")) == 10
    assert len(datasets.load("fsdd", tmp_path, split="train")) == 6
    assert "has no recordings of index 0 to 4" in caplog.text


def test_the_published_files_are_read_as_the_packed_ones(tmp_path: Path) -> None:
    for digit, index in ((0, 0), (1, 4), (0, 5), (1, 9)):
        path = tmp_path / "fsdd" / "recordings" / f"{digit}_theo_{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(tone(200 + 100 * digit + 10 * index).tobytes())
    (path.parent / "readme.md").touch()
    data = datasets.load("fsdd", tmp_path)
    assert data.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(data.samples[1], fsdd.spectrogram(tone(340)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("7_theo.wav", b"", r"7_theo.wav' is not called DIGIT_SPEAKER_INDEX.wav"),
        ("77_theo_1.wav", b"", "is not called"),
        ("7_theo_1.wav", b"RIFF", r"7_theo_1.wav' is no .wav file of one channel, 16 bits, 8000 Hz"),
        ("readme.md", b"", "no recordings such as 7_jackson_32.wav in"),
    ],
)
def test_files_that_are_no_recordings_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        datasets.load("fsdd", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speaker": None}, "has no array 'speaker', only: index, label, offset, pcm; write it with"),
        ({"pcm": np.zeros(16000)}, r"array 'pcm': is float64 \(16000,\), expected int16"),
        ({"offset": np.array([0, 5, 4, 6, 16000])}, "must ascend from 0 to 16000, the number of samples"),
        ({"offset": np.array([0, 1, 2, 3, 4])}, "it begins with 0, ends with 4"),
        (
            {"offset": np.array([0, 5, 6, 7, 2**63 + 5], np.uint64)},
            "array 'offset': reaches .*, there are 16000 samples",
        ),
        ({"offset": np.zeros(5)}, r"array 'offset': is float64 \(5,\)"),
        ({"label": np.array([0, 1])}, r"array 'label': is int64 \(2,\), expected one of each of 4 recordings"),
        ({"label": np.array([0, 1, 2, 11])}, "other numbers than the digits"),
        ({"index": np.array([9, 9, 9, 9]), "label": np.arange(4)}, "has no recording of its train split"),
    ],
)
def test_packed_files_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        datasets.load("fsdd", packed(tmp_path, **changes), split="train")


def test_what_is_missing_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file fsdd.npz or fsdd_train.npz and no folder recordings in .*: get the"):
        datasets.load("fsdd", tmp_path)
    with pytest.raises(UnsupportedError, match="is not downloaded: get the folder 'recordings'"):
        fsdd.fetch(None, lambda n: None)


def test_real_recordings(shared: Any) -> None:
    data = datasets.load("fsdd", shared("data/fsdd"))
    assert data.samples.shape == (300, 50, 32)
    assert np.bincount(data.labels).tolist() == [30] * 10
