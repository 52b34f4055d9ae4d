"""How each operator of torch becomes one of the float graph: one small decorated function for each."""

from spikerun.converters.rules import activation, arithmetic, linear, normalisation, pooling, shape
from spikerun.converters.rules.registry import ADVICE, Call, Refusal, Value, advice_for, coverage, find, rule

__all__ = [
    "ADVICE",
    "Call",
    "Refusal",
    "Value",
    "activation",
    "advice_for",
    "arithmetic",
    "coverage",
    "find",
    "linear",
    "normalisation",
    "pooling",
    "rule",
    "shape",
]
