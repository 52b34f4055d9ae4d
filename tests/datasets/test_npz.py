# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets.npz import read_npz
from spikerun.errors import DataError, UsageError

SAMPLES = np.arange(24, dtype=np.uint8)


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path / "own.npz", **arrays)  # type: ignore[arg-type]
    return path / "own.npz"


def npy(header: str, body: bytes) -> bytes:
    """Return a .npy file with any header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def array(shape: str, body: bytes, kind: str = "|u1") -> bytes:
    """Return a .npy file that claims any shape."""
    return npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}", body)


def zipped(path: Path, method: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    with zipfile.ZipFile(path / "own.npz", "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path / "own.npz"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [(shape, shape) for shape in ((2, 3, 2, 2), (2, 12), (2, 3, 1, 2, 2))] + [((2, 3, 4), (2, 1, 3, 4))],
)
def test_images_get_a_channel_and_all_others_stay_as_they_are(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    data = datasets.load(saved(tmp_path, samples=SAMPLES.reshape(shape), labels=np.array([0, 4])))
    assert data.samples.shape == expected
    assert np.array_equal(np.asarray(data.samples).ravel(), SAMPLES)
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
        ({"samples": np.zeros((0, 28, 28), np.uint8)}, r"holds no values, its shape is \(0, 28, 28\); store at least"),
        ({"x_train": SAMPLES, "X_train": SAMPLES}, "two arrays of one name"),
        ({"samples": SAMPLES.reshape(2, 12) / 24, "scale": 0.1}, "and there is a scale; store .*round"),
        ({"samples": np.full((2, 12), np.nan)}, "24 of 24 values are NaN or infinite"),
        ({"samples": np.array([[0, 1 << 16]])}, r"values from 0 to 65536, expected 0\.\.65535 or -32768\.\.32767"),
        ({"samples": np.array([[-1, 1 << 15]])}, "values from -1 to 32768"),
        ({"samples": SAMPLES.reshape(2, 12) > 3}, "has the type bool"),
        ({"samples": SAMPLES.reshape(2, 12).astype("S1")}, "has the type"),
        ({"samples": SAMPLES}, "has the shape"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array([0.0, np.nan])}, "expected finite numbers"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array([0.5])}, "'targets' is .1, 1., expected finite"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array(3)}, "one-hot labels take the argmax"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array([0, -1])}, "class numbers"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array([0, 1 << 40])}, "class numbers"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array([0])}, "1 entries for 2 samples"),
        ({"samples": SAMPLES.reshape(2, 12), "scale": np.nan}, "'scale' is nan"),
        ({"samples": SAMPLES.reshape(2, 12), "scale": np.ones(2)}, "expected one number"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.array(["a", "b"])}, "expected class numbers"),
        ({"samples": SAMPLES.reshape(2, 12), "labels": np.eye(2, dtype=np.int64)}, "expected class numbers"),
    ],
)
def test_unfit_arrays_are_refused(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        datasets.load(saved(tmp_path, **arrays))


@pytest.mark.parametrize(
    ("values", "dtype", "scale"),
    [
        ([[0, 255]], np.uint8, 1 / 255),
        ([[-1, 127]], np.int8, 1 / 255),
        ([[0, 4095]], np.uint16, 1.0),
        ([[0.0, 4095.0]], np.uint16, 1.0),
        ([[-1, 200]], np.int16, 1.0),
        ([[-0.5, 2.25]], np.float32, 1.0),
        ([[0.25, 11.5]], np.float32, 1.0),
    ],
)
def test_samples_become_the_smallest_type_that_holds_them_and_other_real_numbers_stay(
    tmp_path: Path, values: list[list[float]], dtype: Any, scale: float
) -> None:
    data = datasets.load(saved(tmp_path, samples=np.array(values)))
    assert (data.samples.dtype, data.scale, data.whole) == (dtype, scale, dtype is not np.float32)
    np.testing.assert_array_equal(np.asarray(data.samples), values)


def test_no_encoder_makes_spikes_of_real_numbers(tmp_path: Path) -> None:
    data = datasets.load(saved(tmp_path, samples=np.array([[-0.5, 2.25]])))
    with pytest.raises(UsageError, match="holds real numbers, of which 'rate' makes no spikes"):
        data.encoded(datasets.Rate(4))


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


@pytest.mark.parametrize(
    "shape",
    [
        "(1099511627776,)",
        "(1048576, 1048576)",
        "(4096, 4096)",
        "(-1, 4)",
        "(0, 4)",
        f"({'1, ' * 70})",
        "(1, 1, 1, 1, 2, 4)",
        "(2.0, 4.0)",
        f"(0, {1 << 62}, {1 << 62}, 1)",
    ],
)
def test_shape_that_the_file_cannot_hold_is_refused(tmp_path: Path, shape: str) -> None:
    with pytest.raises(DataError, match=r"own\.npz'"):
        datasets.load(zipped(tmp_path, samples=array(shape, bytes(8))))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain text",
        npy("{'descr': __import__('os')}", b""),
        npy("{}", b""),
        npy("(((((", b""),
        npy("-" * 9000 + "1", b""),
        npy("{'descr': (), 'fortran_order': False, 'shape': (1, 1)}", b"0"),
        npy(" " * 20_000, b""),
    ],
    ids=["empty", "text", "code", "nothing", "brackets", "deep", "descr", "long"],
)
def test_member_that_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"own\.npz'.*numpy\.savez"):
        datasets.load(zipped(tmp_path, samples=content))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_inflates_without_limit_is_refused(tmp_path: Path, method: int) -> None:
    with pytest.raises(DataError, match=r"own\.npz': is compressed by method \d+, only deflate"):
        datasets.load(zipped(tmp_path, method, samples=array("(2, 4)", bytes(8))))


def test_size_of_the_directory_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path, zipfile.ZIP_DEFLATED, samples=array("(2, 4)", bytes(8)))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 2**31)
    path.write_bytes(content)
    with pytest.raises(DataError, match="its arrays take 2147483648 bytes, the limit is"):
        datasets.load(path)


def test_compressed_zeros_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "own.npz", samples=np.zeros((1, 1 << 20), np.uint8))
    assert datasets.load(tmp_path / "own.npz").samples.shape == (1, 1 << 20)


def test_limit_counts_all_arrays(tmp_path: Path) -> None:
    path = saved(tmp_path, samples=SAMPLES.reshape(2, 12), labels=np.array([0, 1], np.uint8))
    assert len(read_npz(path, largest=282)) == 2
    with pytest.raises(DataError, match="its arrays take 282 bytes, the limit is 281"):
        read_npz(path, largest=281)


def test_missing_scale_is_remarked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(tmp_path, samples=SAMPLES.reshape(2, 12))
    datasets.load(path)
    assert caplog.messages == [
        f"'{path}', array 'samples': there is no array 'scale', so one integer is taken as 1/255"
    ]


def test_scale_that_is_there_is_not_remarked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    datasets.load(saved(tmp_path, samples=SAMPLES.reshape(2, 12), scale=0.1))
    assert caplog.messages == []


def test_int8_stays_int8(tmp_path: Path) -> None:
    samples = np.array([[-128, 127], [0, 1]], np.int8)
    data = datasets.load(saved(tmp_path, samples=samples, scale=1.0))
    assert data.samples.dtype == np.int8
    assert np.array_equal(data.samples, samples)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 255]], np.int64), np.array([[0, 255]], np.uint8)),
        (np.array([[-3, 127]], np.int32), np.array([[-3, 127]], np.int8)),
        (np.array([[0.0, 255.0]], np.float32), np.array([[0, 255]], np.uint8)),
        (np.array([[-3.0, 4.0]]), np.array([[-3, 4]], np.int8)),
    ],
)
def test_whole_numbers_of_other_types_are_taken_exactly(tmp_path: Path, values: object, expected: object) -> None:
    found, wanted = np.asarray(datasets.load(saved(tmp_path, samples=values)).samples), np.asarray(expected)
    assert (found.dtype, found.tolist()) == (wanted.dtype, wanted.tolist())


def test_real_numbers_up_to_1_are_taken_in_units_of_1_255_with_a_remark(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(2, 128)
    data = datasets.load(saved(tmp_path, samples=pixels.astype(np.float32) / 255))
    assert np.array_equal(data.samples, pixels)
    assert data.scale == 1 / 255
    assert "taken as round(255 x), each at most" in caplog.text


def test_names_of_keras_are_two_splits(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        x_train=SAMPLES[:16].reshape(4, 2, 2),
        y_train=np.array([[0], [1], [2], [3]]),
        x_test=SAMPLES[16:].reshape(2, 2, 2),
        y_test=np.array([3, 2], np.uint8),
    )
    train, test = (datasets.load(path, split=split) for split in ("train", "test"))
    assert (train.shape, train.labels.tolist()) == ((1, 2, 2), [0, 1, 2, 3])
    assert (test.split, test.labels.tolist()) == ("test", [3, 2])


def test_names_of_arrays_may_be_in_upper_case(tmp_path: Path) -> None:
    path = saved(tmp_path, X_train=SAMPLES.reshape(4, 6), y_train=np.arange(4))
    found = datasets.load(path, split="train")
    assert (found.shape, found.labels.tolist()) == ((6,), [0, 1, 2, 3])
    with pytest.raises(DataError, match="no array 'x_test', only: X_train, y_train; add it, or take the split 'train'"):
        datasets.load(path)


def test_channels_of_keras_come_first_with_a_remark(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = SAMPLES.reshape(1, 4, 2, 3)
    found = datasets.load(saved(tmp_path, x_test=np.repeat(images, 2, axis=1))).samples
    assert np.array_equal(found, np.repeat(images, 2, axis=1).transpose(0, 3, 1, 2))
    assert "(N, H, W, C) is turned into (N, C, H, W)" in caplog.text


def test_any_altered_byte_is_an_error_of_ours_or_none(tmp_path: Path) -> None:
    path = saved(tmp_path, samples=SAMPLES.reshape(2, 12), labels=np.array([0, 1]))
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        with contextlib.suppress(DataError):
            datasets.load(path)


def test_one_file_may_have_two_splits(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        train_samples=SAMPLES[:16].reshape(4, 4),
        train_labels=np.array([0, 1, 2, 3]),
        test_samples=SAMPLES[16:].reshape(2, 4),
        test_labels=np.array([3, 2]),
        scale=0.5,
    )
    train, test = (datasets.load(path, split=split) for split in ("train", "test"))
    assert (train.split, test.split, train.scale, test.scale) == ("train", "test", 0.5, 0.5)
    assert np.array_equal(np.concatenate([train.samples, test.samples]).ravel(), SAMPLES)
    assert test.labels.tolist() == [3, 2]


def test_plain_samples_serve_as_both_splits(tmp_path: Path) -> None:
    path = saved(tmp_path, samples=SAMPLES.reshape(2, 12))
    train, test = (datasets.load(path, split=split) for split in ("train", "test"))
    assert train.split == test.split == "all"
    assert np.array_equal(train.samples, test.samples)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train_samples",), "has no array 'test_samples', only: train_samples; add it, or take the split 'train'"),
        (("samples", "train_samples"), "has the arrays samples, train_samples; have either"),
        (("samples", "x_train"), "has the arrays samples, x_train; have either"),
        (("test_samples", "labels"), "has the arrays labels, test_samples; have either"),
    ],
)
def test_splits_in_part_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        datasets.load(saved(tmp_path, **dict.fromkeys(names, SAMPLES.reshape(2, 12))))


def test_bare_array_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, SAMPLES)
    (tmp_path / "own.npz").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=r"no \.npz file"):
        datasets.load(tmp_path / "own.npz")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file '.*own\.npz'"):
        datasets.load(tmp_path / "own.npz")


@pytest.mark.parametrize("targets", [np.array([0.5, -2.0]), np.array([[0.5, 1.0], [-2.0, 3.0]], np.float32)])
def test_real_labels_are_the_targets_of_a_regression(tmp_path: Path, targets: Any) -> None:
    data = datasets.load(saved(tmp_path, samples=SAMPLES.reshape(2, 12), labels=targets))
    assert not data.labelled
    assert np.array_equal(data.targets, targets.reshape(2, -1))
    assert np.array_equal(data.first(1).targets, data.targets[:1])


def test_several_inputs_are_read_by_their_names(tmp_path: Path) -> None:
    path = saved(tmp_path, left=SAMPLES.reshape(4, 6), Right=SAMPLES.reshape(4, 2, 3), y=np.array([0, 1, 2, 0]))
    found = datasets.load_inputs(path, ["left", "Right"], limit=3)
    assert {name: data.samples.shape for name, data in found.items()} == {"left": (3, 6), "Right": (3, 1, 2, 3)}
    assert all(data.labels.tolist() == [0, 1, 2] and data.split == "all" for data in found.values())


def test_each_of_several_inputs_may_have_a_scale_of_its_own(tmp_path: Path) -> None:
    samples = {"left": SAMPLES.reshape(4, 6), "Right": SAMPLES.reshape(4, 6), "up": SAMPLES.reshape(4, 6)}
    path = saved(tmp_path, **samples, scale=0.5, scale_left=0.25, scale_Right=2.0)
    found = datasets.load_inputs(path, list(samples))
    assert {name: data.scale for name, data in found.items()} == {"left": 0.25, "Right": 2.0, "up": 0.5}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"left": SAMPLES.reshape(4, 6)}, "no array 'right', only: left; give samples for each input by its name"),
        ({"left": SAMPLES.reshape(4, 6), "right": SAMPLES.reshape(3, 8)}, "samples 4 for 'left', 3 for 'right'; give"),
    ],
)
def test_inputs_without_samples_of_their_own_are_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        datasets.load_inputs(saved(tmp_path, **arrays), ["left", "right"])


def test_a_data_set_by_name_does_not_feed_several_inputs() -> None:
    with pytest.raises(UsageError, match=r"'digits' has samples for one input, .* give an \.npz file with an array"):
        datasets.load_inputs("digits", ["left", "right"])
