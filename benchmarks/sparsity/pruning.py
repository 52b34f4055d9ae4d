# SPDX-License-Identifier: Apache-2.0
"""What pruning costs: the network of the example and an MLP of large layers on Fashion-MNIST, by patterns and methods.

    python benchmarks/sparsity/pruning.py [--seed N]... [--case NAME]... [--device cuda] [--workers N] [--record]

Each seed trains its own dense network; 10,000 test images, the difference paired. A line of JSON for each result, then
a table of means. What is done lies in --keep and is not done again: an interrupted run goes on.

dense: trained from its beginning, a tenth of the training images held out. longer: that, trained on as pruned ones are.
gradual, channels, 2:4: from the dense one. lottery: 13 rounds to 95 %, of which the tenth is at 90 %; it is held
against its own round 0, trained as long, and against random masks of the same layer sparsity.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spikerun import datasets
from spikerun.converters import Encoding
from spikerun.converters.examples import Examples
from spikerun.converters.pruning.judge import Judge, results_of
from spikerun.converters.pruning.masks import Masks
from spikerun.converters.pruning.methods import weights_of
from spikerun.converters.pruning.run import Plan, run
from spikerun.converters.torch.user_model import load_model
from spikerun.converters.training import Judged, Recipe, distilled, supervised, train
from spikerun.text import table

ROOT = Path(__file__).resolve().parents[2]
MODEL = f"{ROOT / 'examples' / 'fashion_mnist.py'}:build"
WIDTH = 4096
DENSE = Recipe(40, rate=4e-3, batch=512, augment="shift+mirror")
PRUNED = Recipe(100, rate=2e-3, batch=512, augment="shift+mirror")
ROUND = Recipe(30, rate=4e-3, batch=512, augment="shift+mirror")  # of the lottery
ROUNDS = 13  # to 95 %, each leaving the 13th root of 0.05; ten of them come to 90.0 %
TENTH = 10
TARGETS = {  # points under the dense network, or of tickets under round 0, at most
    "gradual 90 %": 0.5, "lottery 90 %": 1.0, "lottery 95 %": 2.5, "channels 50 %": 1.0,
}  # fmt: skip


def mlp() -> nn.Sequential:
    """Return a network of two large layers: 20 million weights."""
    body = [nn.Flatten(), nn.Linear(784, WIDTH), nn.ReLU(), nn.Dropout(0.2), nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    return nn.Sequential(*body, nn.Dropout(0.2), nn.Linear(WIDTH, 10))


NETWORKS: dict[str, Callable[[], nn.Module]] = {"cnn": lambda: load_model(MODEL), "mlp": mlp}
CASES: dict[str, tuple[str, Plan]] = {
    "gradual 90 %": ("cnn", Plan("unstructured", "gradual", 0.9)),
    "gradual 95 %": ("cnn", Plan("unstructured", "gradual", 0.95)),
    "one-shot 90 %": ("cnn", Plan("unstructured", "one-shot", 0.9)),
    "channels 50 %": ("cnn", Plan("channels", "gradual", 0.5)),
    "2:4": ("cnn", Plan("2:4", "gradual")),
    "mlp block16 90 %": ("mlp", Plan("block16", "gradual", 0.9)),
    "mlp block16 95 %": ("mlp", Plan("block16", "gradual", 0.95)),
    "mlp gradual 90 %": ("mlp", Plan("unstructured", "gradual", 0.9)),
    "mlp neurons 50 %": ("mlp", Plan("neurons", "gradual", 0.5)),
}
LONGER = {"longer": "cnn", "mlp longer": "mlp"}
LOTTERY = "lottery"


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, action="append", help="several times for more; else 0, 1 and 2")
    names = [*CASES, *LONGER, LOTTERY]
    parser.add_argument("--case", action="append", choices=names, help="several times for more; else all")
    parser.add_argument("--device", default="auto", help="cpu, or cuda: workers take turns on all GPUs")
    parser.add_argument("--workers", type=int, default=1, help="processes at a time")
    parser.add_argument("--keep", type=Path, default=Path("pruning-kept"), help="the folder of what is done")
    parser.add_argument("--data-dir", type=Path, help="the folder of Fashion-MNIST")
    parser.add_argument("--record", action="store_true", help="append the means to benchmarks/results.csv")
    parser.add_argument("--quick", action="store_true", help="2,000 images, three epochs, two rounds: does it run?")
    return parser.parse_args()


@cache
def parts(folder: Path | None, device: str, quick: bool) -> tuple[Examples, Examples]:
    """Return what trains and what tests, on the device."""
    found = []
    for split in ("train", "test"):
        data = datasets.load("fashion-mnist", folder, split, limit=2000 if quick else None)
        samples = {"input": np.asarray(data.samples)}
        found.append(Examples(samples, np.asarray(data.require_labels()), {"input": Encoding(data.scale)}, device))
    return found[0], found[1]


class Work:
    """What one process does: a seed's networks on a device."""

    def __init__(self, asked: argparse.Namespace, seed: int, device: str) -> None:
        self.asked, self.seed, self.device = asked, seed, device
        self.train, self.test = parts(asked.data_dir, device, asked.quick)

    def recipe(self, usual: Recipe) -> Recipe:
        """Return a recipe for the seed."""
        quick = {"epochs": 3, "batch": 64} if self.asked.quick else {}
        return replace(usual, seed=self.seed, **quick)

    def dense(self, network: str) -> nn.Module:
        """Return the dense network, trained where it is not kept yet."""
        torch.manual_seed(self.seed)
        model, file = NETWORKS[network](), self.asked.keep / f"{network}-{self.seed}.safetensors"
        if file.exists():
            model.load_state_dict(load_file(file))
            return model.eval()
        self.fit(model, DENSE, None)
        model.cpu()
        save_file(weights_of(model), file)
        return model

    def fit(self, model: nn.Module, usual: Recipe, teacher: nn.Module | None, masks: Masks | None = None) -> None:
        """Train a model in place, on the device."""
        model.to(self.device)

        def loss(batch: Any, progress: float) -> Tensor:
            seen = self.train.seen(batch.x)
            logits = results_of(model, seen)["output"]
            if teacher is None:
                return supervised(logits, batch.labels)
            with torch.no_grad():
                taught = results_of(teacher, seen)["output"]
            return distilled(logits, taught, batch.labels)

        after = None if masks is None else lambda progress: masks.apply()
        groups, state = [{"params": list(model.parameters())}], {"model": model}
        train(groups, self.train, self.recipe(usual), loss, Judged, state=state, after=after)

    def measured(self, case: str, sparsity: float, before: nn.Module, after: nn.Module, **more: Any) -> dict[str, Any]:
        """Return a result: accuracy of two networks on the test images."""
        found = Judge(before.to(self.device), self.test, self.test.every).accuracy(after.to(self.device))
        return {
            "case": case, "seed": self.seed, "sparsity": round(sparsity, 4), "before": round(found.ann, 2),
            "after": round(found.snn, 2), "drop": round(found.drop, 2),
            "standard_error": round(found.standard_error, 3), **more,
        }  # fmt: skip

    def pruned(self, case: str) -> list[dict[str, Any]]:
        """Return what a pattern and a method come to."""
        network, plan = CASES[case]
        dense = self.dense(network)
        found = run(dense, self.train, plan, self.recipe(PRUNED))
        if network == "cnn":
            save_file(weights_of(found.model), self.asked.keep / f"{_name(case)}-{self.seed}.safetensors")
        layers = {layer.name: round(layer.sparsity, 3) for layer in found.report.layers}
        return [self.measured(case, found.report.zeros / found.report.weights, dense, found.model, layers=layers)]

    def longer(self, case: str) -> list[dict[str, Any]]:
        """Return what the dense network comes to when it is trained on as pruned ones are."""
        dense, model = self.dense(LONGER[case]), self.dense(LONGER[case])
        self.fit(model, PRUNED, dense.to(self.device))
        return [self.measured(case, 0.0, dense, model)]

    def lottery(self) -> list[dict[str, Any]]:
        """Return what tickets come to, and networks with random masks in their place."""
        torch.manual_seed(self.seed)
        model, kept = NETWORKS["cnn"](), dict[int, dict[str, Tensor]]()
        rounds, wanted = (2, {1: "90", 2: "95"}) if self.asked.quick else (ROUNDS, {TENTH: "90", ROUNDS: "95"})

        def ticket(number: int, state: Mapping[str, Tensor]) -> None:
            if number in (-1, 0, *wanted):
                kept[number] = {name: value.detach().clone() for name, value in state.items()}

        journal = self.asked.keep / f"lottery-{self.seed}.safetensors"
        plan = Plan("unstructured", "lottery", 0.95, rounds)
        if not (kept_file := journal.with_suffix(".tickets.pt")).exists():
            run(model, self.train, plan, self.recipe(ROUND), ticket=ticket)
            torch.save(kept, kept_file)
        kept = torch.load(kept_file, map_location=self.device, weights_only=True)
        dense, found = self.loaded(kept[0]), []
        for number, share in wanted.items():
            net = self.loaded(kept[number])
            zeros = {name: p != 0 for name, p in net.named_parameters() if p.ndim > 1}
            sparsity = 1 - sum(int(m.sum()) for m in zeros.values()) / sum(m.numel() for m in zeros.values())
            found.append(self.measured(f"lottery {share} %", sparsity, dense, net))
            control = self.loaded(kept[-1])
            masks = Masks(control)
            masks.held = zeros
            masks.put(masks.at_random(self.seed))
            self.fit(control, ROUND, None, masks)
            found.append(self.measured(f"random {share} %", sparsity, dense, control))
        return found

    def loaded(self, state: Mapping[str, Tensor]) -> nn.Module:
        """Return the network of the example with these weights, on the device."""
        model = NETWORKS["cnn"]().to(self.device)
        model.load_state_dict(state)
        return model.eval()


def work(asked: argparse.Namespace, case: str, seed: int, place: int) -> list[dict[str, Any]]:
    """Do one case of one seed; those that are kept are read."""
    file = asked.keep / f"{_name(case)}-{seed}.json"
    if file.exists():
        return list(json.loads(file.read_text()))
    torch.set_num_threads(1 if asked.workers > 1 else os.cpu_count() or 1)
    torch.set_float32_matmul_precision("high")
    begin, one = time.perf_counter(), Work(asked, seed, _device(asked.device, place))
    if case in NETWORKS:
        one.dense(case)
        found = []
    else:
        found = one.lottery() if case == LOTTERY else one.longer(case) if case in LONGER else one.pruned(case)
    seconds = round(time.perf_counter() - begin, 1)
    found = [{**row, "seconds": seconds, "device": one.device} for row in found]
    file.write_text(json.dumps(found))
    return found


def results(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield what comes of all cases and seeds, as they end: dense networks first, lotteries beside them."""
    seeds, cases = asked.seed or [0, 1, 2], asked.case or [*CASES, *LONGER, LOTTERY]
    needed = {CASES[case][0] if case in CASES else LONGER[case] for case in cases if case != LOTTERY}
    with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        place = iter(range(10**6))
        early = [pool.submit(work, asked, name, seed, next(place)) for name in sorted(needed) for seed in seeds]
        slow = [pool.submit(work, asked, LOTTERY, seed, next(place)) for seed in seeds if LOTTERY in cases]
        for future in as_completed(early):
            future.result()
        rest = [pool.submit(work, asked, c, seed, next(place)) for c in cases if c != LOTTERY for seed in seeds]
        for future in as_completed([*slow, *rest]):
            yield from future.result()


def main() -> None:
    """Print a line of JSON for each result, and what the means are beside the targets."""
    asked = arguments()
    asked.keep.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in results(asked):
        print(json.dumps(row), flush=True)
        found.setdefault(row["case"], []).append(row)
    rows = []
    for case, several in sorted(found.items()):
        drops = [row["drop"] for row in several]
        mean, target = statistics.fmean(drops), TARGETS.get(case)
        met = "" if target is None else f"<= {target} {'met' if mean <= target else 'MISSED'}"
        after = statistics.fmean(row["after"] for row in several)
        spread = f"{statistics.stdev(drops):.2f}" if len(drops) > 1 else ""
        rows.append(
            (case, len(several), f"{100 * several[0]['sparsity']:.1f}", f"{after:.2f}", f"{mean:.2f}", spread, met)
        )
    print(
        table(("case", "seeds", "zeros %", "test %", "points lost", "deviation", "target"), rows, right=(1, 2, 3, 4, 5))
    )
    for share in ("90", "95"):
        if f"lottery {share} %" in found:
            ticket, control = (
                statistics.fmean(r["after"] for r in found[f"{k} {share} %"]) for k in ("lottery", "random")
            )
            target = f" (>= 3 {'met' if ticket - control >= 3 else 'MISSED'})" if share == "95" else ""
            print(f"tickets of {share} % are {ticket - control:.2f} points above random masks{target}")
    if asked.record and not asked.quick:
        sys.path.insert(0, str(ROOT / "benchmarks"))
        from record import record

        for case, several in sorted(found.items()):
            record("sparsity_pruning", f"{case}: points lost", statistics.fmean(r["drop"] for r in several), "points")


def _device(asked: str, place: int) -> str:
    if asked == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{place % torch.cuda.device_count()}"


def _name(case: str) -> str:
    return case.replace(" %", "").replace(" ", "-").replace(":", "of")


if __name__ == "__main__":
    main()
