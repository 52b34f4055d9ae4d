# SPDX-License-Identifier: Apache-2.0
"""`spikerun convert`: a trained network becomes a `.snn` file and a report."""

from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikerun import file
from spikerun.atomic import require_writable, write_atomically
from spikerun.chip import chip_named
from spikerun.console import (
    DataDirOption,
    ForceOption,
    JsonOption,
    QuietOption,
    emit,
    stages,
    suggest,
    talk,
)
from spikerun.converters import Encoding, budget, open_source, takes
from spikerun.converters.arrays import NO_LIMITS
from spikerun.converters.budget import Aim, BudgetMissed
from spikerun.converters.given import Splits, places_of
from spikerun.converters.metrics import METRICS, Metric, metric_named
from spikerun.converters.options import (
    BinsOption,
    Bits,
    Calibration,
    Code,
    CodingOption,
    Confidence,
    Count,
    Data,
    DeadZones,
    Duration,
    From,
    Groups,
    InputBits,
    InputCode,
    InputForm,
    Limit,
    Limits,
    MaxDrop,
    MetricOption,
    Model,
    NeuronKind,
    NeuronReset,
    Numbers,
    Objective,
    Output,
    Outputs,
    ReadoutRule,
    Recalibrate,
    Reset,
    Scale,
    Seed,
    Sweep,
    TimeStep,
    Weights,
    Writer,
    numbers,
)
from spikerun.converters.quantise import Settings
from spikerun.converters.report import SCHEMA, Conversion, Report
from spikerun.converters.source import Source, check_bits
from spikerun.converters.spiking.command import check_drop, convert_steps, readout_of, time_step
from spikerun.converters.spiking.inputs import Entering
from spikerun.converters.spiking.rate_source import check_neuron, rate_source
from spikerun.converters.spiking.report import SpikingConversion, SpikingReport
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.tuning.fit import Tuned
from spikerun.converters.validation import Validation
from spikerun.datasets import Dataset
from spikerun.errors import UsageError
from spikerun.file import require_snn
from spikerun.network import Network

if TYPE_CHECKING:
    from spikerun.converters.pipeline import Converter

__all__ = ["convert"]

SWEPT = 5000  # of them, by which --sweep measures


def convert(
    model: Model,
    calibration: Calibration,
    output: Output,
    weights: Weights = None,
    data: Data = None,
    bits: Bits = None,
    max_drop: MaxDrop = None,
    objective: Objective = None,
    confidence: Confidence = None,
    dead_zones: DeadZones = None,
    metric: MetricOption = None,
    code: Code = None,
    input_code: InputCode = None,
    coding: CodingOption = "words",
    samples: Count = 512,
    limit: Limit = None,
    mean: Numbers = None,
    std: Numbers = None,
    scale: Scale = None,
    input_bits: InputBits = None,
    sweep: Sweep = False,
    origin: From = None,
    duration: Duration = None,
    input_form: InputForm = None,
    readout: ReadoutRule = None,
    classes: Groups = None,
    dt: TimeStep = None,
    bins: BinsOption = None,
    seed: Seed = None,
    nir_writer: Writer = None,
    nir_reset: Reset = None,
    outputs: Outputs = None,
    limits: Limits = None,
    neuron: NeuronKind = None,
    reset: NeuronReset = None,
    recalibrate: Recalibrate = False,
    data_dir: DataDirOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a trained network to spikes, and write a report beside it.

    FILE.py is your own code: it is imported, that is, executed. Weights are read without executing anything. The model
    sees (integer * scale - mean) / std. A network that spikes already (FILE.nir) keeps its time loop: its neurons
    become integers, and the report says how many spikes stay the same.
    """
    if bits is not None and max_drop is not None:
        raise UsageError("--bits and --max-drop exclude each other: the budget chooses the bits")
    if not output.name:
        raise UsageError("name the file to write with -o, such as model.snn")
    from spikerun.converters.pipeline import Converter

    few_spikes = {"--bits": bits, "--sweep": sweep, "--code": code, "--input-code": input_code}
    rates = check_neuron(neuron, reset, {**few_spikes, "--coding": coding != "words"})
    settings = Settings.of(coding, bits, code, None, search=max_drop is not None or sweep)
    if coding == "sdnn" and input_code not in (None, "graded"):
        raise UsageError(
            f"samples enter a network of --coding sdnn in code graded: leave out --input-code {input_code}"
        )
    aim = None
    if max_drop is not None:
        aim = Aim(max_drop, objective or "synops", 0.95 if confidence is None else confidence, code, dead_zones)
    elif objective is not None or confidence is not None or dead_zones is not None:
        raise UsageError(
            "--objective, --confidence and --dead-zones say how --max-drop searches: give the points that may be lost"
        )
    tuned = None if recalibrate or rates else Tuned.of_file(weights)
    if tuned is not None:
        choosing = {"--bits": bits, "--max-drop": max_drop, "--sweep": sweep or None}
        choosing |= {"--coding": None if coding == "words" else True}
        tuned.require_alone(*(name for name, value in choosing.items() if value is not None))
        settings = tuned.settings(code or "bits")
    score = None if metric is None else metric_named(metric)
    paths = (output, *(output.with_suffix(f".report.{kind}") for kind in ("json", "txt", "html")))
    for path in paths:
        require_writable(path, force, keep=_files(model, weights, calibration, data))
    require_snn(output)
    encoding = Encoding(
        1.0 if scale is None else scale,
        numbers("--mean", mean, 0.0),
        numbers("--std", std, 1.0),
        bits=input_bits or 8,
        code=input_code or ("graded" if coding == "sdnn" else "bits"),
    )
    encoding.require_word()
    entering = Entering(input_form, duration, time_step(dt), bins, seed, takes(model, "dt"))
    source = entering.opened(
        lambda step: open_source(
            model,
            weights,
            origin=origin,
            dt=step,
            writer=nir_writer,
            reset=nir_reset,
            outputs=outputs,
            floor=False if limits and takes(model, "floor") else None,  # chips have none
        )
    )
    check_bits(source, bits, sweep or None)
    in_time = rates or isinstance(source, StepSource)
    if limits is not None:
        if not in_time:
            raise UsageError(NO_LIMITS)
        chip_named(limits)
    if not in_time:
        _without_time(
            duration=duration, input=input_form, readout=readout, classes=classes, dt=dt, bins=bins, seed=seed
        )
    elif {code, input_code} - {None, "bits"} or coding != "words":
        raise UsageError(
            "--code, --input-code and --coding are for networks without a time loop; here --input says how samples "
            "enter"
        )
    asked = readout_of(readout, classes)
    missed: BudgetMissed | None = None
    with stages(quiet or json) as tell:
        splits = Splits.of(source, calibration, data, data_dir, limit, scale, tell)
        if in_time:
            splits.require_one_input()
        if isinstance(source, Source) and input_form not in ("frames", "events"):  # those have steps
            splits = splits.as_taken(source, tell)
        if rates:
            splits = splits.as_rows()
        test = splits.measured
        if in_time and len(test.targets):
            tell(f"{calibration} has real targets: those of networks with a time loop are not measured", 0, 0)
        if in_time and not test.labelled and (max_drop is not None or sweep):
            raise UsageError("--max-drop and --sweep need classes to measure networks with a time loop by")
        if score is not None and in_time:
            raise UsageError("--metric is for networks without a time loop of their own")
        if aim is not None and not in_time and not test.labelled and not len(test.targets):
            tell("there are no labels: results are held to those of the ANN itself", 0, 0)
        chosen, held_out = places_of(splits.count, samples, not in_time and (max_drop is not None or sweep))
        said = any(one is not None for one in (scale, mean, std))
        encodings, note = splits.encodings(encoding, chosen, input_bits, said, scale)
        for text in note:
            tell(text, 0, 0)
        if weights is None and ":" in model:
            tell("no --weights: the model is taken as its function returns it", 0, 0)
        conversion: Conversion | SpikingConversion
        if in_time:
            encoding, (train, test) = entering.samples(next(iter(encodings.values())), splits.only, test)
            if rates:
                tell("fit rates", 0, 0)
                source = rate_source(source, train.samples.take(chosen, axis=0), encoding, reset, splits.signals)
            assert isinstance(source, StepSource)  # there are no others
            conversion = convert_steps(source, train, chosen, test, encoding, duration, asked, tell, limits)
        else:
            assert isinstance(source, Source)
            converter = Converter(source, splits.training(chosen), encodings, tell, tuned=tuned)
            converter.notes += note
            journal = output.with_suffix(".search.json")
            usual = score or METRICS["mse" if len(test.targets) else "top1"]
            choose = (aim, sweep, usual, score is not None, journal)
            try:
                conversion, missed = _converted(converter, settings, splits, held_out, *choose)
            except KeyboardInterrupt:
                if journal.exists():
                    tell(f"interrupted: {journal} keeps what was found; the same command goes on from there", 0, 0)
                raise
    report = conversion.report
    texts = (dumps(report.json(), indent=2) + "\n", report.text(), report.html(output.name))
    _write(conversion.network, paths, texts, force)
    emit(SCHEMA, _payload(report, paths), json, lambda: _summary(report, paths))
    for remark in report.notes if isinstance(report, Report) else ():  # a SpikingReport's summary has them
        talk(f"note: {remark}", quiet, style="dim")
    if isinstance(report, SpikingReport):
        check_drop(report, max_drop)
    if missed is not None:
        raise missed
    if not json:
        suggest(f"spikerun run {output} --data {data or calibration}", quiet)


def _write(network: Network, paths: tuple[Path, ...], texts: tuple[str, ...], force: bool) -> None:
    """Write the network and what is said of it; where one cannot be written, those that were new are taken back."""
    new = [path for path in paths if not path.exists()]
    try:
        for path, text in zip(paths[1:], texts, strict=True):
            write_atomically(path, text, force)
        file.save(network, paths[0], force)
    except UsageError:
        for path in new:
            path.unlink(missing_ok=True)
        raise


def _without_time(**given: object) -> None:
    """Refuse options of networks with a time loop."""
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--{name} is for networks with a time loop of their own; this one has none: leave it out")


def _files(model: str, weights: Path | None, *data: str | None) -> list[Path]:
    """Return the files that the conversion reads."""
    return [Path(model.partition(":")[0]), *([weights] if weights else []), *(Path(name) for name in data if name)]


def _labels(data: Dataset) -> Any:
    """Return classes, or targets, or None."""
    return data.labels if data.labelled else data.targets if len(data.targets) else None


def _converted(
    converter: "Converter", settings: Settings, splits: Splits, places: Any, aim: Aim | None, sweep: bool,
    metric: Metric, measure: bool, journal: Path,
) -> tuple[Conversion, BudgetMissed | None]:  # fmt: skip
    """Return the conversion, chosen on the held-out training samples, measured on the test samples.

    measure: also those without labels, by the ANN's own results. Beside it, the error where nothing keeps the budget.
    """
    held_out, labels, missed = splits.training(places), _labels(splits.only), None
    labels = None if labels is None else labels[places]
    known = _labels(splits.measured)
    measure = measure or aim is not None or known is not None
    evaluation = converter.evaluation(splits.testing, known, metric) if measure else None
    try:
        if aim is not None:
            conversion = budget.search(converter, aim, Validation(converter, held_out, labels, metric), journal)
        else:
            conversion = converter.convert(settings)
    except BudgetMissed as error:
        conversion, missed = error.conversion, error
    if sweep:
        few = slice(None, SWEPT)
        some = {name: values[few] for name, values in held_out.items()}
        validation = converter.evaluation(some, None if labels is None else labels[few], metric)
        rows = budget.sweep(converter, settings, validation)
        conversion = replace(conversion, report=replace(conversion.report, sweep=rows))
    conversion = converter.compared(conversion, held_out if len(places) else None)
    return conversion if evaluation is None else converter.measured(conversion, evaluation), missed


def _payload(report: Report | SpikingReport, paths: tuple[Path, ...]) -> dict[str, object]:
    files = {"network": str(paths[0]), "report": str(paths[1]), "page": str(paths[3])}
    if isinstance(report, SpikingReport):
        return {**{key: value for key, value in report.json().items() if key != "schema"}, **files}
    accuracy = report.accuracy
    return {
        "bits": report.bits,
        "window": report.window,
        "ann_accuracy": accuracy.ann if accuracy else None,
        "snn_accuracy": accuracy.snn if accuracy else None,
        "drop": accuracy.drop if accuracy else None,
        "drop_95": accuracy.bounds if accuracy else None,
        "agreement": accuracy.agreement if accuracy else None,
        "samples": accuracy.samples if accuracy else None,
        "spikes_per_neuron": report.spikes_per_neuron,
        "synops_per_sample": report.synops_per_sample,
        "synops_per_mac": report.synops_per_mac,
        "macs": report.macs,
        **files,
    }


def _summary(report: Report | SpikingReport, paths: tuple[Path, ...]) -> str:
    return f"{report.summary()}\nwrote {', '.join(map(str, paths))}"
