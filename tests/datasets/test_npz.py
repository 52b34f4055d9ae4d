import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spikerun import datasets
from spikerun.errors import DataError

SAMPLES = np.arange(24, dtype=np.uint8)


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path / "own.npz", **arrays)  # type: ignore[arg-type]
    return path / "own.npz"


def npy(header: str, body: bytes) -> bytes:
    """Return a .npy file with any header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path / "own.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path / "own.npz"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 3, 2, 2), (2, 3, 2, 2)), ((2, 3, 4), (2, 1, 3, 4)), ((2, 12), (2, 12, 1, 1))],
)
def test_layouts_become_samples_of_channels(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    data = datasets.load(saved(tmp_path, samples=SAMPLES.reshape(shape), labels=np.array([0, 4])))
    assert data.samples.shape == expected
    assert np.array_equal(data.samples.ravel(), SAMPLES)
    assert data.classes == ("0", "1", "2", "3", "4")


def test_labels_and_scale_may_be_missing(tmp_path: Path) -> None:
    data = datasets.load(str(saved(tmp_path, samples=SAMPLES.reshape(2, 12))))
    assert not data.labelled
    assert data.scale == 1 / 255


def test_scale_is_read(tmp_path: Path) -> None:
    assert datasets.load(saved(tmp_path, samples=SAMPLES.reshape(2, 12), scale=0.5)).scale == 0.5


def test_limit_applies(tmp_path: Path) -> None:
    assert len(datasets.load(saved(tmp_path, samples=SAMPLES.reshape(4, 6)), limit=3)) == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": SAMPLES}, "no array 'samples', only: images"),
        ({"samples": SAMPLES.astype(np.float32)}, "float32, expected uint8"),
        ({"samples": SAMPLES}, "has the shape"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array([0.0, 1.0])}, "expected integers"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array([0, -1])}, "class numbers"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array([0, 1 << 40])}, "class numbers"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array([0])}, "1 entries for 2 samples"),
        ({"samples": SAMPLES.reshape(2, 12), "scale": np.nan}, "'scale' is nan"),
        ({"samples": SAMPLES.reshape(2, 12), "scale": np.ones(2)}, "expected one number"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array(["a", "b"])}, "only numbers are read"),
    ],
)
def test_unfit_arrays_are_refused(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        datasets.load(saved(tmp_path, **arrays))


def test_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    objects = np.array([print, print], dtype=object)
    with pytest.raises(DataError, match="nothing is unpickled"):
        datasets.load(saved(tmp_path, samples=objects))


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, samples=SAMPLES.reshape(2, 12))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"own\.npz' is damaged"):
        datasets.load(path)


def test_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, samples=SAMPLES.reshape(2, 12))
    content = bytearray(path.read_bytes())
    content[content.index(bytes(SAMPLES)) + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        datasets.load(path)


@pytest.mark.parametrize("shape", ["(1099511627776,)", "(1048576, 1048576)", "(4096, 4096)", "(-1, 4)"])
def test_sizes_that_the_file_does_not_hold_are_refused_before_allocating(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    with pytest.raises(DataError, match="array 'samples'"):
        datasets.load(zipped(tmp_path, samples=npy(header, bytes(8))))


@pytest.mark.parametrize("content", [b"", b"plain text", npy("{'descr': __import__('os')}", b""), npy("{}", b"")])
def test_member_that_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="is not a NumPy array"):
        datasets.load(zipped(tmp_path, samples=content))


def test_bare_array_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, SAMPLES)
    (tmp_path / "own.npz").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=r"no \.npz file"):
        datasets.load(tmp_path / "own.npz")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file '.*own\.npz'"):
        datasets.load(tmp_path / "own.npz")
