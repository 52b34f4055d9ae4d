# SPDX-License-Identifier: Apache-2.0
"""Real data sets as arrays of small integers, found on the machine and checked.

The table below is all there is; other packages add theirs through the entry-point group `spikerun.datasets`,
each entry a `DatasetSpec`.
"""

if __name__ != "spikerun.datasets":
    raise ImportError("import spikerun.datasets instead")

import importlib
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from spikerun.atomic import as_path
from spikerun.datasets.archive import names_of
from spikerun.datasets.dataset import Dataset, DatasetSpec, Provider
from spikerun.datasets.encode import ENCODERS, Bins, Encoded, Encoder, Latency, Rate, encoder_meta, encoder_of
from spikerun.datasets.lazy import is_integer
from spikerun.datasets.npz import ADVICE, read_npz
from spikerun.datasets.packed import is_packed, read_packed
from spikerun.errors import DataError, UsageError, unknown_name
from spikerun.plugins import entries, row

__all__ = [
    "ENCODERS",
    "TABLE",
    "Bins",
    "Dataset",
    "DatasetSpec",
    "Encoded",
    "Encoder",
    "Latency",
    "Provider",
    "Rate",
    "encoder_meta",
    "encoder_of",
    "load",
    "load_inputs",
    "names",
    "provider",
    "spec",
]

ENTRY_POINT_GROUP = "spikerun.datasets"

log = logging.getLogger(__name__)

TABLE: Mapping[str, DatasetSpec] = MappingProxyType(
    {
        "cifar-10": DatasetSpec(
            name="cifar-10",
            summary="Krizhevsky's photos of animals and vehicles, in colour",
            module="spikerun.datasets.cifar10",
            splits=MappingProxyType({"train": 50000, "test": 10000}),
            shape=(3, 32, 32),
            hint="get cifar-10-binary.tar.gz (MD5 c32a1d4ab5d03f1284b67883e8d87530) of "
            "www.cs.toronto.edu/~kriz/cifar.html, and name its folder with --data-dir",
        ),
        "digits": DatasetSpec(
            name="digits",
            summary="handwritten digits, scikit-learn's copy of the UCI test set",
            module="spikerun.datasets.digits",
            splits=MappingProxyType({"train": 1297, "test": 500}),
            shape=(1, 8, 8),
            hint="pip install scikit-learn",
        ),
        "dsec": DatasetSpec(
            name="dsec",
            summary="drives of minutes, seen by event cameras: streams without classes",
            module="spikerun.datasets.dsec",
            splits=MappingProxyType({"train": 41, "test": 12}),
            shape=(2, 480, 640),
            hint="get train_events.zip or test_events.zip (no published checksum) of dsec.ifi.uzh.ch, unpack it, and "
            "name its folder with --data-dir",
            streams=True,
        ),
        "dvs128-gesture": DatasetSpec(
            name="dvs128-gesture",
            summary="gestures of 29 people, as recordings of an event camera",
            module="spikerun.datasets.dvs128_gesture",
            splits=MappingProxyType({"train": 1176, "test": 288}),
            shape=(2, 128, 128),
            hint="get DvsGesture.tar.gz (MD5 8a5c71fb11e24e5ca5b11866ca6c00a1) of research.ibm.com/dvsgesture, unpack "
            "it, and name its folder with --data-dir",
        ),
        "fashion-mnist": DatasetSpec(
            name="fashion-mnist",
            summary="Zalando's photos of clothes",
            module="spikerun.datasets.fashion_mnist",
            splits=MappingProxyType({"train": 60000, "test": 10000}),
            shape=(1, 28, 28),
            hint="apt-get install dataset-fashion-mnist, or spikerun datasets fetch fashion-mnist",
        ),
        "fsdd": DatasetSpec(
            name="fsdd",
            summary="spoken digits of six speakers, as spectrograms of 50 frames",
            module="spikerun.datasets.fsdd",
            splits=MappingProxyType({"train": 2700, "test": 300}),
            shape=(50, 32),
            hint="get the folder 'recordings' of github.com/Jakobovski/free-spoken-digit-dataset, and name the folder "
            "around it with --data-dir",
        ),
        "mnist": DatasetSpec(
            name="mnist",
            summary="handwritten digits",
            module="spikerun.datasets.mnist",
            splits=MappingProxyType({"train": 60000, "test": 10000}),
            shape=(1, 28, 28),
            hint="spikerun datasets fetch mnist",
        ),
        "n-cars": DatasetSpec(
            name="n-cars",
            summary="cars, and what is none, as recordings of an event camera",
            module="spikerun.datasets.n_cars",
            splits=MappingProxyType({"train": 15422, "test": 8607}),
            shape=(2, 100, 120),
            hint="get Prophesee_Dataset_n_cars.zip (MD5 553ce464d6e5e617b3c21ce27c19368e) of www.prophesee.ai, unpack "
            "it and the archives in it, and name its folder with --data-dir",
        ),
        "n-mnist": DatasetSpec(
            name="n-mnist",
            summary="MNIST's digits as recordings of an event camera",
            module="spikerun.datasets.n_mnist",
            splits=MappingProxyType({"train": 60000, "test": 10000}),
            shape=(2, 34, 34),
            hint="get Train.zip (MD5 20959b8e626244a1b502305a9e6e2031) and Test.zip (69ca8762b2fe404d9b9bad1103e97832) "
            "of www.garrickorchard.com/datasets/n-mnist, unpack them, and name their folder with --data-dir",
        ),
        "shd": DatasetSpec(
            name="shd",
            summary="spoken digits, English and German, as spikes of a model of the cochlea",
            module="spikerun.datasets.shd",
            splits=MappingProxyType({"train": 8156, "test": 2264}),
            shape=(1, 1, 700),
            hint="get shd_train.h5.gz (MD5 d47c9825dee33347913e8ce0f2be08b0) and shd_test.h5.gz "
            "(3062a80ec0c5719404d5b02e166543b1) of compneuro.net/datasets, unpack them, and name their folder with "
            "--data-dir",
        ),
    }
)


def names() -> tuple[str, ...]:
    """Return the names of all known data sets, other packages' included."""
    return tuple(sorted({*TABLE, *entries(ENTRY_POINT_GROUP, TABLE)}))


def spec(name: str) -> DatasetSpec:
    """Return the row of the table for `name`, in which case, `-` and `_` do not matter."""
    known = {_key(one): one for one in names()}
    if _key(name) not in known:
        raise unknown_name("data set", name, names())
    name = known[_key(name)]
    if name in TABLE:
        return TABLE[name]
    return row(entries(ENTRY_POINT_GROUP, TABLE)[name], ENTRY_POINT_GROUP, DatasetSpec)


def provider(name: str) -> Provider:
    """Return the module that finds, reads and fetches the data set `name`."""
    return cast(Provider, importlib.import_module(spec(name).module))


def load(
    name: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    split: str = "test",
    limit: int | None = None,
    download: bool = False,
    encoder: Encoder | None = None,
    unit: float | None = None,
) -> Dataset:
    """Return the data set `name`, or the user's own from the path of an `.npz` file.

    name:     a name of the table (case, `-` and `_` do not matter), or a path that ends in `.npz`: see
              `spikerun.datasets.npz`, and for event recordings `spikerun.datasets.packed`
    folder:   look for the files here and nowhere else
    split:    "test" or "train"
    limit:    at most this many samples, the first ones
    download: fetch the files first when they are not on this machine
    encoder:  what makes steps of samples (`spikerun.datasets.encode`): for the network `net`, encoder_of(net.meta)
    unit:     the real value of one integer, where real numbers within 0..1 of a file become integers; None: 1/255
    """
    found = _read(name, folder, split, limit, download, unit)
    return found if encoder is None else found.encoded(encoder)


def _read(
    name: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None,
    split: str,
    limit: int | None,
    download: bool = False,
    unit: float | None = None,
) -> Dataset:
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"a data set is given by its name, or by the path of an .npz file, got {name!r:.80}")
    if split not in ("train", "test"):
        raise unknown_name("split", split, ("train", "test"))
    if limit is not None and not (is_integer(limit) and limit >= 1):
        raise UsageError(f"the limit of samples is {limit!r}; give an integer of at least 1")
    given = os.fsdecode(name)
    if given.endswith(".npz"):
        if is_packed(names_of(Path(given))):
            return _told(read_packed(Path(given), split)).first(limit)
        return _told(read_npz(Path(given), split, unit=unit)).first(limit)
    if _key(given) not in map(_key, names()) and _is_path(given):
        raise UsageError(f"'{given}' is not the name of a data set, and of files only .npz is read; {ADVICE}")
    known = spec(given)
    source = provider(known.name)
    where = None if folder is None else as_path(folder)
    if download and source.locate(where) is None:
        source.fetch(where, _unseen)
    return _told(source.read(where, split)).first(limit)


def load_inputs(
    name: str | os.PathLike[str],
    inputs: Sequence[str],
    folder: str | os.PathLike[str] | None = None,
    split: str = "test",
    limit: int | None = None,
    meta: Mapping[str, Any] | None = None,
    unit: float | None = None,
) -> dict[str, Dataset]:
    """Return samples for each of the named inputs; for several, from an `.npz` file that has an array for each.

    All have the same labels. meta: of the network, which says how samples are encoded. unit: as `load` has it; None:
    what meta says of the input. Raises UsageError where a data set has samples for one input only.
    """
    units = {one: unit if unit is not None else _unit(meta or {}, one) for one in inputs}
    found = _for_inputs(name, units, folder, split, limit)
    encoders = {one: encoder_of(meta or {}, one) for one in inputs}
    return {one: data if (encoder := encoders[one]) is None else data.encoded(encoder) for one, data in found.items()}


def _for_inputs(
    name: str | os.PathLike[str],
    inputs: Mapping[str, float | None],
    folder: str | os.PathLike[str] | None,
    split: str,
    limit: int | None,
) -> dict[str, Dataset]:
    """Return samples for the inputs, by what an integer of each stands for."""
    if len(inputs) == 1:
        ((one, unit),) = inputs.items()
        return {one: load(name, folder, split, limit, unit=unit)}
    given = os.fsdecode(name)
    if not given.endswith(".npz"):
        raise UsageError(
            f"'{given}' has samples for one input, the network has the inputs {', '.join(inputs)}: give an .npz file "
            "with an array of samples for each, under its name, and the labels as 'labels'"
        )
    found = {one: _told(read_npz(Path(given), split, samples_of=one, unit=unit)) for one, unit in inputs.items()}
    if len({len(data) for data in found.values()}) > 1:
        counts = ", ".join(f"{len(data)} for '{one}'" for one, data in found.items())
        raise DataError(f"'{given}' has samples {counts}; give as many for each input")
    return {one: data.first(limit) for one, data in found.items()}


def _unit(meta: Mapping[str, Any], name: str) -> float | None:
    """Return what the network says of one integer of an input, if it says a number that can be one."""
    scale = meta.get(f"{name}_scale")
    known = isinstance(scale, int | float) and math.isfinite(scale) and scale > 0
    return float(scale) if known and scale is not None else None


def _told(found: Dataset) -> Dataset:
    kind = "recordings" if found.recorded else f"samples of {found.samples.dtype}"
    what = f"{len(found)} {kind} {found.shape}, scale {found.scale:.6g}"
    log.info("data set '%s', split %s: %s, from '%s'", found.name, found.split, what, found.source)
    return found


def _key(name: str) -> str:
    """Return what is compared of a name: FashionMNIST, fashion_mnist and fashion-mnist are one."""
    return str(name).lower().replace("-", "").replace("_", "")


def _is_path(name: str) -> bool:
    path = Path(name)
    return path.name != name or path.suffix != "" or os.path.exists(path)  # where Path.exists raises for long names


def _unseen(size: int) -> None:
    """Take the place of a progress bar."""
