# SPDX-License-Identifier: Apache-2.0
"""The cheapest network that keeps a budget of accuracy, and the table of all numbers of bits.

Both are measured on samples to choose by, which are not those on which the result is reported. The search prices every
choice for every population alone (`sensitivity.py`). Divergences nearly add up, costs do: the settings of which nothing
that diverges less is cheaper are a chain, each one choice cheaper than the one before. Bisection finds the cheapest
on it that keeps the budget on held-out samples, and likewise the fewest bits alike for all. It measures many, and each
may be lucky: the doubt that is allowed is shared out among all that may be measured (Bonferroni), so that the answer is
as sure as was asked for. Of settings that are worse the cheaper they are, bisection meets those beyond the budget in an
order that is fixed until one of them is lucky: as many count as it takes, and not as many as there are settings.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from spikerun.codes import word_steps
from spikerun.converters import activations, calibrate, curved, maps, quantise, sensitivity
from spikerun.converters import validation as judging
from spikerun.converters.accuracy import Accuracy, drop_bounds
from spikerun.converters.evaluate import Evaluation
from spikerun.converters.found import UNITS, Candidate, Choice, Found, Price
from spikerun.converters.journal import Journal, fingerprint
from spikerun.converters.layers import InputLayer, Layer, PoolLayer, RelayLayer
from spikerun.converters.metrics import METRICS, FileMetric, Metric, is_error, name_of
from spikerun.converters.pipeline import Converter, tool_version
from spikerun.converters.quantise import Settings
from spikerun.converters.report import Conversion, SweepRow
from spikerun.converters.samples import counter
from spikerun.converters.sensitivity import prices
from spikerun.converters.validation import Judgement, Validation, confidence_of_look
from spikerun.errors import CheckFailed, UsageError, unknown_name
from spikerun.memory import memory_of_all
from spikerun.text import plural

__all__ = ["Aim", "BudgetMissed", "alike", "chain", "check_journal", "search", "settings_of", "sweep"]

BITS = range(2, 9)
FEWEST = 20  # samples that calibrate
TUNED = (activations, calibrate, curved, maps, quantise, sensitivity, judging)  # whose constants decide


class BudgetMissed(CheckFailed):
    """No network keeps the budget; `conversion` is the one that is nearest."""

    conversion: Conversion


@dataclass(frozen=True)
class Aim:
    """What is searched: the cheapest by `objective` whose drop is at most `max_drop` points, with `confidence`.

    code: of all words, None: what is cheapest of those that send one bit at a time and take no step more. zones:
    whether small words may become 0 as well; None: not.
    """

    max_drop: float
    objective: str = "synops"
    confidence: float = 0.95
    code: str | None = None
    zones: bool | None = None

    def __post_init__(self) -> None:
        drop, sure = self.max_drop, self.confidence
        if isinstance(drop, bool) or not isinstance(drop, int | float) or not 0 <= drop <= 100:
            raise UsageError(f"max_drop is in points of a percent, 0..100, got {drop!r:.80}")
        if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0.5 <= sure < 1:
            raise UsageError(f"confidence is a share from 0.5 to below 1, such as 0.95, got {sure!r:.80}")
        if self.zones is None:
            object.__setattr__(self, "zones", False)
        if self.objective not in UNITS:
            raise unknown_name("objective", self.objective, UNITS)


def sweep(converter: Converter, settings: Settings, validation: Evaluation) -> tuple[SweepRow, ...]:
    """Return what the network is like with every number of bits."""
    rows = []
    for bits in BITS:
        report = converter.measured(converter.convert(replace(settings, bits=bits)), validation).report
        assert report.accuracy is not None
        rows.append(SweepRow(bits, report.accuracy, report.spikes_per_neuron or 0.0, report.synops_per_mac or 0.0))
    return tuple(rows)


def search(
    converter: Converter,
    aim: Aim,
    validation: Validation,
    journal: Path | None = None,
) -> Conversion:
    """Return the cheapest conversion whose drop keeps the budget, by a one-sided paired bound on held-out samples.

    journal: a file that holds what was found while the search lasts, from which one that was interrupted goes on.
    Raises BudgetMissed, with the nearest, where none keeps it; UsageError where too few samples calibrate, and for a
    journal where the metric is a function of which nothing is known (`check_journal`).
    """
    check_journal(journal, validation.metric)
    _require_enough(converter.count)
    found = Journal(journal, _key(converter, aim, validation))

    def tell(done: int, total: int) -> None:
        converter.tell("price the choices for each population", done, total)

    classes = not is_error(validation.metric)
    table, standing = prices(converter.calibration, aim.code, aim.objective, classes, found, tell, bool(aim.zones))
    judge = _Judge(converter, aim, validation, found)
    chain, place = judge.cheapest(table, standing)
    kept = place is not None
    if place is None:
        place = min((p for p, one in enumerate(chain) if one.upper is not None), key=lambda p: chain[p].upper or 0.0)
    one = chain[place]
    record = Found(
        aim.objective, name_of(validation.metric), aim.max_drop, aim.confidence, kept, place, tuple(chain), tuple(table)
    )
    conversion = converter.convert(settings_of(one.choices))
    conversion = replace(conversion, report=replace(conversion.report, search=record))
    found.end()
    if not kept:
        last = confidence_of_look(judge.sure, validation.looks, last=True)
        missed = BudgetMissed(_why(record, validation, last))
        missed.conversion = conversion
        raise missed
    return conversion


@dataclass
class _Judge:
    converter: Converter
    aim: Aim
    validation: Validation
    journal: Journal
    looks: int = 1  # candidates that may be measured

    @property
    def sure(self) -> float:
        """Return the confidence of one candidate's bound, such that all together have that of the aim."""
        return 1 - (1 - self.aim.confidence) / self.looks

    def cheapest(self, table: Sequence[Price], standing: float) -> tuple[list[Candidate], int | None]:
        """Return the settings, and the place among them of the cheapest that keeps the budget.

        They are the frontier and, of the settings with the same bits for all, those that were measured: prices of
        populations alone may mislead by more than the bits of all differ.

        By latency, first the shortest window is found in which the least divergence keeps it; then the fewest synaptic
        operations within that window.
        """
        if self.aim.objective != "latency":
            ways = chain(table, standing), alike(table, standing)
            self.looks = sum(len(one).bit_length() for one in ways)
            frontier, same = (self._bisected(one)[0] for one in ways)
            measured = [one for one in same if one.accuracy is not None]
            frontier = [one for one in frontier if one.choices not in [other.choices for other in measured]] + measured
            frontier.sort(key=lambda one: -one.expected)
            kept = [p for p, one in enumerate(frontier) if one.upper is not None and one.upper <= self.aim.max_drop]
            return frontier, min(kept, key=lambda p: frontier[p].cost or 0.0, default=None)
        room = max(encoding.steps for encoding in self.converter.encodings.values())
        lengths = sorted({max(room, word_steps(p.choice.code, p.choice.bits)) for p in table}, reverse=True)
        within = [[p for p in table if word_steps(p.choice.code, p.choice.bits) <= steps] for steps in lengths]
        within = [rows for rows in within if {p.population for p in rows} == {p.population for p in table}]
        frontiers = [chain(rows, standing) for rows in within]
        self.looks = len(frontiers).bit_length() + max(map(len, frontiers)).bit_length()
        dearest, place = self._bisected([frontier[0] for frontier in frontiers])
        if place is None:
            return dearest, None
        return self._bisected(frontiers[place])

    def _bisected(self, candidates: list[Candidate]) -> tuple[list[Candidate], int | None]:
        low, high = -1, len(candidates)
        while low + 1 < high:
            middle = (low + high) // 2
            candidates[middle] = self.measured(candidates[middle])
            if (candidates[middle].upper or 0.0) <= self.aim.max_drop:
                low = middle
            else:
                high = middle
        return candidates, None if low < 0 else low

    def measured(self, one: Candidate) -> Candidate:
        """Return a candidate with what it is like on held-out samples."""
        name = " ".join(f"{population}:{choice}" for population, choice in one.choices.items())
        if name not in self.journal:
            network = self.converter.network(settings_of(one.choices))
            done = counter(self.converter.tell, "measure candidates", self.validation.count)
            judged = self.validation.judged(network, self.aim.max_drop, self.sure, done)
            steps = network.window * (max(network.latency.values()) + 1)
            self.journal[name] = [asdict(judged), steps, memory_of_all(network).total]
        kept, steps, memory = self.journal[name]
        judged = Judgement(**{**kept, "accuracy": Accuracy(**kept["accuracy"])})
        cost = {
            "synops": judged.synops,
            "spikes": judged.spikes,
            "latency": float(steps),
            "memory": float(memory),
        }[self.aim.objective]
        return replace(one, cost=cost, synops=judged.synops, accuracy=judged.accuracy, upper=judged.upper)


def chain(table: Sequence[Price], standing: float = 0.0) -> list[Candidate]:
    """Return the settings on the frontier, from the least divergence to the least cost.

    standing: the cost of what no choice changes.
    """
    hulls = {
        name: _hull([p for p in table if p.population == name]) for name in dict.fromkeys(p.population for p in table)
    }
    places = dict.fromkeys(hulls, 0)
    steps = sorted(
        ((after.divergence - before.divergence) / (before.cost - after.cost), order, name)
        for order, (name, hull) in enumerate(hulls.items())
        for before, after in pairwise(hull)
    )

    def candidate() -> Candidate:
        return _candidate([hulls[name][place] for name, place in places.items()], standing)

    found = [candidate()]
    for _, _, name in steps:
        places[name] += 1
        found.append(candidate())
    return found


def alike(table: Sequence[Price], standing: float = 0.0) -> list[Candidate]:
    """Return the settings with the same bits for all populations, or the nearest that one has, the most bits first."""
    rows: dict[str, list[Price]] = {}
    for price in table:
        if price.choice.stretch == 1 and not price.choice.zone:
            rows.setdefault(price.population, []).append(price)
    found = []
    for bits in sorted({price.choice.bits for price in table}, reverse=True):
        chosen = [min(mine, key=lambda p: (abs(p.choice.bits - bits), p.cost)) for mine in rows.values()]
        found.append(_candidate(chosen, standing))
    return found


def _candidate(chosen: Sequence[Price], standing: float) -> Candidate:
    divergence, cost = sum(p.divergence for p in chosen), sum((p.cost for p in chosen), standing)
    return Candidate({p.population: p.choice for p in chosen}, divergence, cost)


def _hull(rows: list[Price]) -> list[Price]:
    """Return the choices for one population on the lower convex hull of divergence over cost, the dearest first."""
    hull: list[Price] = []
    for row in sorted(rows, key=lambda p: (p.cost, p.divergence)):
        if hull and row.divergence >= hull[-1].divergence:
            continue
        while len(hull) > 1 and _slope(hull[-2], row) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        if hull and row.cost == hull[-1].cost:
            hull.pop()
        hull.append(row)
    return hull[::-1]


def _slope(cheap: Price, dear: Price) -> float:
    return (dear.divergence - cheap.divergence) / max(dear.cost - cheap.cost, 1e-300)


def settings_of(choices: Mapping[str, Choice]) -> Settings:
    """Return the settings with these choices."""
    bits = max((choice.bits for choice in choices.values()), default=1)
    codes = dict.fromkeys(choice.code for choice in choices.values())
    return Settings(bits, next(iter(codes)) if len(codes) == 1 else "bits", choices=choices)


def check_journal(journal: Path | None, metric: Metric) -> None:
    """Refuse a journal of figures by a function that may be another one when they are read again."""
    if journal is not None and not isinstance(metric, FileMetric) and metric not in METRICS.values():
        raise UsageError(
            f"whether the metric '{name_of(metric)}' is still the same when a search goes on cannot be told: leave out "
            f"journal, or take one of {', '.join(METRICS)}, or on the command line --metric FILE.py:FUNCTION"
        )


def _key(converter: Converter, aim: Aim, validation: Validation) -> str:
    """Return a hash of all that a search depends on, the same in every process."""
    metric = validation.metric
    source = metric.source if isinstance(metric, FileMetric) else None
    own = () if metric in METRICS.values() else (source, validation.first_scores)  # a file may import others
    constants = [
        (module.__name__, name, value)
        for module in TUNED
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, int | float | str | tuple | range | np.ndarray)
    ]
    return fingerprint(
        tool_version(), constants, aim, name_of(metric), own, converter.encodings, converter.samples,
        validation.samples, validation.labels, [_told(layer) for layer in converter.layers.every],
    )  # fmt: skip


def _told(layer: InputLayer | PoolLayer | RelayLayer | Layer) -> tuple[object, ...]:
    """Return all that tells what a layer computes: its fields, but for where it comes from."""
    told = {field.name: getattr(layer, field.name) for field in fields(layer) if field.name != "origins"}
    if isinstance(layer, Layer):
        told["activation"] = layer.activation.told(layer.shape[0])
    return type(layer).__name__, told


def _require_enough(count: int) -> None:
    """Refuse ranges by so few samples that later ones lie beyond them every so often, whatever held-out ones show."""
    if count < FEWEST:
        raise UsageError(
            f"max_drop needs at least {FEWEST} samples that calibrate, got {count}: of one new sample in {count + 1} "
            f"the largest value lies beyond those of {count} others, so ranges would be found by chance; "
            "give hundreds (--samples, and a data set of twice as many: half of it judges)"
        )


def _why(found: Found, validation: Validation, sure: float) -> str:
    """Return what to say where nothing keeps the budget; sure: the confidence of a look at all samples."""
    one, count = found.frontier[found.chosen], validation.count
    assert one.accuracy is not None and one.upper is not None
    said = (
        f"no network keeps the budget of {found.max_drop:g} points with a confidence of {found.confidence:.0%} on "
        f"{plural(count, 'held-out sample')}; the best has a drop of {one.accuracy.drop:+.2f}, at most "
        f"{one.upper:+.2f} (ANN {one.accuracy.ann:.2f} %, SNN {one.accuracy.snn:.2f} %)"
    )
    least = drop_bounds(np.zeros(count), np.zeros(count), sure)[1]  # of a network that never differs
    if bool(np.isin(validation.first_scores, (0, 1)).all()) and least > found.max_drop > 0:
        needed = math.ceil(count * math.log1p(-least / 100) / math.log1p(-found.max_drop / 100))
        return (
            f"{said}. So few samples prove no drop below {least:.2f}, were not one of them to differ: about {needed} "
            f"could prove {found.max_drop:g}; or ask for less confidence, or allow more"
        )
    if one.accuracy.drop <= found.max_drop:
        return f"{said}. More held-out samples may show that it does; or ask for less confidence, or allow more"
    return f"{said}. Allow a larger drop, or give more calibration samples"
