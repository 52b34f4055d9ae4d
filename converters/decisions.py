# SPDX-License-Identifier: Apache-2.0
"""What a conversion decided, and why, in sentences: for the whole network, and for each layer."""

from collections.abc import Mapping
from types import MappingProxyType

from spikerun.codes import word_steps
from spikerun.converters.calibrate import TRIAL_SAMPLES, LayerFit
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Origin
from spikerun.converters.layers import InputLayer, PoolLayer, RelayLayer
from spikerun.converters.quantise import BITS, QLayer, Quantised, Settings
from spikerun.converters.report import Decision
from spikerun.gone import Gone
from spikerun.text import listed, plural

__all__ = ["decisions", "folded", "gone_said", "operator_name", "reasons"]

# Why a population is there, by the kind of its activation; those of an activation of the model need no reason.
OWN: Mapping[str, str] = MappingProxyType(
    {
        "signed": "A sum of either sign that no activation follows: it got a population of its own, with all "
        "bits that there is room for.",
        "positive": "A sum that cannot be negative and that no activation follows, such as an average: it got a "
        "population of its own, with all bits that there is room for.",
        "readout": "The result: it is read, never sent, so it has no words.",
    }
)
COPY = (
    "A relay: it copies words to other places, bit for bit, for what reads them (a convolution, a pool, a sum) has no "
    "synapses that could take them from where they are."
)
CODES: Mapping[str, str] = MappingProxyType(
    {
        "bits": "a spike for each set bit of a word, the most significant first",
        "ttfs": "one spike a word, the earlier the larger",
        "graded": "one event a word, which carries it",
    }
)


def decisions(settings: Settings, encodings: Mapping[str, Encoding], quantised: Quantised) -> tuple[Decision, ...]:
    """Return what was decided for the whole network."""
    asked = "the default" if settings.bits == BITS else f"as asked; the default is {BITS}"
    bits, code = (plural(settings.bits, "bit"), asked), CODES[settings.code]
    if settings.choices:
        said = ", ".join(
            f"{name} {choice.bits} {choice.code}{f' from {choice.zone} on' if choice.zone > 1 else ''}"
            for name, choice in settings.choices.items()
        )
        bits = (said, "by a search for the cheapest that keeps the budget: see its frontier")
    found = [
        Decision("activations", *bits),
        Decision("code", settings.code, f"{code}; a code changes what a result costs, not the result"),
        Decision("window", plural(quantised.window, "time step"), _longest(encodings, quantised)),
    ]
    if settings.overrides:
        choice = ", ".join(f"{name} {bits}" for name, bits in settings.overrides.items())
        found.append(Decision("bits of single layers", choice, "as asked"))
    if settings.zones:
        choice = ", ".join(f"{name} below {zone}" for name, zone in settings.zones.items())
        found.append(Decision("words that become 0", choice, "as asked; a word of 0 sends nothing"))
    if settings.coding != "words":
        found.append(Decision("coding", settings.coding, "as asked: only what such neurons of a chip compute"))
    for name, encoding in encodings.items():
        found.append(
            Decision(
                f"input '{name}'",
                f"{plural(encoding.bits, 'bit')}, code {encoding.code}",
                "samples enter as the integers that they are; what they are scaled and shifted by is part of the "
                "weights and biases that read them, exactly",
            )
        )
    return tuple(found)


def _longest(encodings: Mapping[str, Encoding], quantised: Quantised) -> str:
    steps = {f"input '{name}'": (encoding.steps, encoding.bits) for name, encoding in encodings.items()}
    for layer in quantised.layers:
        if isinstance(layer, QLayer | RelayLayer) and layer.bits:
            steps[f"'{layer.name}'"] = (word_steps(layer.code, layer.bits), layer.bits)
    longest = max(steps, key=lambda name: steps[name])
    return f"the longest word is that of {longest}: {plural(steps[longest][1], 'bit')}"


def reasons(
    layer: InputLayer | PoolLayer | RelayLayer | QLayer, origins: tuple[Origin, ...], fit: LayerFit | None
) -> list[str]:
    """Return what was decided for a layer; origins: the operators of the model that it computes."""
    if isinstance(layer, RelayLayer):
        return [COPY]
    if not isinstance(layer, QLayer):
        return []
    found = [OWN[layer.activation.kind]] if layer.activation.kind in OWN else []
    if norms := [operator_name(o) for o in origins if folded(o)]:
        found.append(f"Folded into the weights: {', '.join(norms)}.")
    if layer.zone > 1:
        found.append(
            f"Words below {layer.zone} are 0, a dead zone: they send nothing, and the biases of what reads them make "
            "up for it on average."
        )
    if fit is not None and fit.chosen_by:
        found.append(_steps(fit))
    return found


def _steps(fit: LayerFit) -> str:
    """Return why step sizes are as they are."""
    if fit.chosen_by == "training":
        return "Step sizes as they were trained."
    chosen = {"channel": "A step size for each channel", "population": "One step size for all channels"}[fit.chosen_by]
    if not fit.trials and fit.chosen_by == "population":
        return f"{chosen}, as a relay that mixes them, or neurons of a chip, must have it."
    if not fit.trials:
        return f"{chosen}: there was nothing to choose between."
    (fine, many), (coarse, few) = fit.trials
    spikes = f"{many:,.0f} against {few:,.0f} spikes"
    return (
        f"{chosen}: by channel the next layers meet a relative squared error of {fine:.3g}, with one for all "
        f"{coarse:.3g}, for {spikes} (on at most {TRIAL_SAMPLES} calibration samples that judge)."
    )


GONE: Mapping[str, str] = MappingProxyType(
    {
        "pruned": "no weight leads to them",
        "silent": "they send the same whatever comes, as the range of their sums proves",
        "unread": "no weight leads on from them",
    }
)


def gone_said(gone: Gone) -> list[str]:
    """Return what is to be said of channels that are not in the network, and of results that they leave alone."""
    found = []
    if total := sum(count for why in gone.why.values() for count in why.values()):
        each = {said: sum(why[said] for why in gone.why.values()) for said in GONE}
        why = "; ".join(f"{count} are {said} ({GONE[said]})" for said, count in each.items() if count)
        whole = [name for name, kept in gone.kept.items() if not kept.any()]
        left = f"; nothing is left of {listed(whole)}" if whole else ""
        where = ", ".join(
            f"{sum(counts.values())} of {len(gone.kept[name])} of '{name}'" for name, counts in gone.why.items()
        )
        found.append(
            f"{plural(total, 'channel')} that make no difference are left out, neurons of vectors among them: {why}. "
            f"These are {where}{left}. Every result is the same."
        )
    if gone.free:
        found.append(
            f"the results {listed(gone.free)} are the same whatever the samples: no weight, or none that makes a "
            "neuron fire, leads there. Is a layer pruned as a whole, or did its training fail?"
        )
    if gone.unused:
        found.append(f"no result depends on the inputs {listed(gone.unused)}: nothing that they send leads to one.")
    return found


def folded(origin: Origin) -> bool:
    """Tell whether an operator is a norm, which becomes part of the weights beside it."""
    return "norm" in origin.operator


def operator_name(origin: Origin) -> str:
    """Return an operator as a report says it: batch_norm (features.1)."""
    parts = origin.operator.split(".")
    name = parts[1] if len(parts) > 1 and parts[0] == "aten" else origin.operator
    name = name.lstrip("_").removeprefix("native_").partition("_legit")[0]
    return f"{name} ({origin.module})" if origin.module else name
