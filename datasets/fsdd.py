# SPDX-License-Identifier: Apache-2.0
"""FSDD: spoken digits of six speakers, 8 kHz (Z. Jackson et al., Free Spoken Digit Dataset), as log-mel spectrograms.

Packed in fsdd.npz or fsdd_train.npz, in a given folder and nowhere else, or in $SPIKERUN_DATA/fsdd and the user's
cache:

pcm:     int16 (samples,), of all recordings one behind the other
offset:  (N + 1,), ascending from 0: recording k has the samples offset[k]..offset[k+1]
label:   (N,), the digit
speaker: (N,), texts or numbers
index:   (N,), the number of the recording, of its digit and speaker

or as it is published, a folder `recordings` of files such as 7_jackson_32.wav: digit, speaker, index.

Recordings of index 0 to 4 test, as its authors say, all others train. Where the file has none of these, the five lowest
indices of each digit and speaker test instead, which is remarked.

A recording becomes 50 frames of 32 values, uint8, a frame each 20 ms: the power spectrum of 256 samples (32 ms, Hann's
window) from sample 160 k on, in 32 triangular bands whose edges are equally far apart in mel = 2595 log10(1 + f / 700)
between 100 and 4000 Hz; in decibels below the loudest value of the recording, from -60 (0) to 0 (255). What comes after
one second is cut, and silence follows what is shorter.
"""

import logging
import os
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.archive import Names, listed, read_arrays
from spikerun.datasets.dataset import Dataset
from spikerun.datasets.found import Found
from spikerun.datasets.packed import offset_of
from spikerun.errors import DataError

__all__ = ["BANDS", "FRAMES", "fetch", "fetch_size", "locate", "read", "spectrogram"]

NAME = "fsdd"
PACKED = ("fsdd.npz", "fsdd_train.npz")
FOLDER = "recordings"
RATE = 8000  # samples a second
WINDOW, HOP = 256, 160  # samples
FRAMES, BANDS = 50, 32
LOWEST, HIGHEST = 100.0, 4000.0  # Hz
RANGE = 60.0  # decibels
QUIET = 1e-3  # added to powers, whose unit is the square of one step of the samples
TEST_INDICES = 5
LONGEST = 60 * RATE  # samples of a recording
ADVICE = "write it with numpy.savez(path, pcm=..., offset=..., label=..., speaker=..., index=...)"
KEYS = ("pcm", "offset", "label", "speaker", "index")

log = logging.getLogger(__name__)

_SET = Found(NAME)
fetch, fetch_size = _SET.fetch, _SET.fetch_size


def locate(folder: Path | None) -> Path | None:
    """Return the first packed file or folder of recordings, or None."""
    for place in _SET.places(folder):
        for name in PACKED:
            if os.path.isfile(place / name):  # Path.is_file raises for long names
                return place / name
        if os.path.isdir(place / FOLDER):
            return place / FOLDER
    return None


def read(folder: Path | None, split: str) -> Dataset:
    """Return the `train` or `test` split."""
    found = locate(folder)
    if found is None:
        raise _SET.missing(f"no file {' or '.join(PACKED)} and no folder {FOLDER}", folder)
    recordings = _recordings(found) if os.path.isdir(found) else _packed(found)
    pcm, labels, speakers, index = recordings
    test = _tests(labels, speakers, index, found)
    chosen = np.flatnonzero(test if split == "test" else ~test)
    if not len(chosen):
        raise DataError(f"data set '{NAME}': '{found}' has no recording of its {split} split")
    bands = _bands()
    return Dataset(
        name=NAME,
        split=split,
        samples=np.stack([spectrogram(pcm(k), bands) for k in chosen.tolist()]),
        labels=labels[chosen],
        classes=tuple(map(str, range(10))),
        scale=1 / 255,
        source=str(found),
    )


def spectrogram(pcm: NDArray[np.int16], bands: NDArray[np.float64] | None = None) -> NDArray[np.uint8]:
    """Return uint8 (FRAMES, BANDS) of a recording, int16 (samples,). bands: those of `_bands`, if they are at hand."""
    padded = np.zeros((FRAMES - 1) * HOP + WINDOW)
    padded[: len(pcm)] = pcm[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW + 1)[:-1]
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))) @ (_bands() if bands is None else bands)
    decibels = 10 * np.log10((power + QUIET) / (power.max() + QUIET))
    if not power.any():
        decibels -= RANGE  # silence throughout has no loudest value
    levels: NDArray[np.uint8] = np.rint(255 * np.clip(1 + decibels / RANGE, 0, 1)).astype(np.uint8)
    return levels


def _bands() -> NDArray[np.float64]:
    """Return the share of each frequency in each band, (WINDOW // 2 + 1, BANDS)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST, HIGHEST))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(WINDOW, 1 / RATE)[:, None]
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    shares: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return shares


Recordings = tuple[Callable[[int], NDArray[np.int16]], NDArray[np.int64], NDArray[Any], NDArray[np.int64]]


def _packed(path: Path) -> Recordings:
    """Return what reads a recording by its place, then labels, speakers and indices, of a packed file."""

    def choose(found: Names) -> dict[str, str]:
        if missing := [key for key in KEYS if key not in found]:
            raise DataError(f"'{path}' has no array '{missing[0]}', only: {listed(found)}; {ADVICE}")
        return {key: key for key in KEYS}

    arrays, _ = read_arrays(path, choose, ADVICE)
    pcm = arrays["pcm"]
    if pcm.ndim != 1 or pcm.dtype != np.int16:
        raise DataError(f"'{path}', array 'pcm': is {pcm.dtype} {pcm.shape}, expected int16 (samples,)")
    offset = offset_of(arrays["offset"], len(pcm), "samples", f"'{path}', array 'offset'")
    for key, kinds in (("label", "iu"), ("index", "iu"), ("speaker", "iuU")):
        if arrays[key].shape != (len(offset) - 1,) or arrays[key].dtype.kind not in kinds:
            got = f"{arrays[key].dtype} {arrays[key].shape}"
            raise DataError(f"'{path}', array '{key}': is {got}, expected one of each of {len(offset) - 1} recordings")
    if arrays["label"].max() > 9 or arrays["label"].min() < 0:
        raise DataError(f"'{path}', array 'label': holds other numbers than the digits 0..9")
    label, index = (arrays[key].astype(np.int64) for key in ("label", "index"))
    return lambda k: pcm[offset[k] : offset[k + 1]], label, arrays["speaker"], index


def _recordings(folder: Path) -> Recordings:
    """Return the same of a folder of .wav files, in the order of their names."""
    found = sorted(_names(folder), key=lambda one: (one[1], one[2], one[3]))
    if not found:
        raise DataError(f"data set '{NAME}': no recordings such as 7_jackson_32.wav in '{folder}': {_SET.hint}")
    paths, digits, speakers, index = zip(*found, strict=True)
    return lambda k: _wav(paths[k]), np.array(digits), np.array(speakers), np.array(index)


def _names(folder: Path) -> Iterator[tuple[Path, int, str, int]]:
    """Yield path, digit, speaker and index of each recording."""
    with os.scandir(folder) as entries:
        for entry in entries:
            digit, _, rest = entry.name.removesuffix(".wav").partition("_")
            speaker, _, index = rest.rpartition("_")
            if entry.name.endswith(".wav"):
                if not (digit.isdecimal() and len(digit) == 1 and speaker and index.isdecimal() and len(index) < 10):
                    raise DataError(f"'{entry.path}' is not called DIGIT_SPEAKER_INDEX.wav, such as 7_jackson_32.wav")
                yield Path(entry.path), int(digit), speaker, int(index)


def _wav(path: Path) -> NDArray[np.int16]:
    try:
        with wave.open(str(path), "rb") as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            if form != (1, 2, RATE) or file.getnframes() > LONGEST:
                raise wave.Error(
                    f"it has {form[0]} channels of {8 * form[1]} bits, {form[2]} Hz, {file.getnframes()} samples"
                )
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise DataError(
            f"'{path}' is no .wav file of one channel, 16 bits, {RATE} Hz, at most a minute: {error}"
        ) from error
    return np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.int16)


def _tests(
    labels: NDArray[np.int64], speakers: NDArray[Any], index: NDArray[np.int64], path: Path
) -> NDArray[np.bool_]:
    """Return which recordings test."""
    test = index < TEST_INDICES
    if test.any():
        return test
    log.warning(
        "'%s' has no recordings of index 0 to 4, which are those that test: of each digit and speaker the five of the "
        "lowest index test instead",
        path,
    )
    for label, speaker in sorted(set(zip(labels.tolist(), speakers.tolist(), strict=True))):
        members = np.flatnonzero((labels == label) & (speakers == speaker))
        test[members[np.argsort(index[members], kind="stable")[:TEST_INDICES]]] = True
    return test
