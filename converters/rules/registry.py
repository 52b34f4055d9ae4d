"""The table of operators: which rule reads which, and what to do about those that none reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikerun.converters.graph import Array, Op, Pair, Shape

__all__ = ["ADVICE", "Call", "Refusal", "Value", "advice_for", "coverage", "find", "rule"]


class Refusal(Exception):
    """An operator that is known, in a form that cannot be converted: what is wrong with it, and what to do."""


@dataclass(frozen=True)
class Value:
    """An argument that is computed by the network (not a constant): the node's name and its shape without batch."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Call:
    """One operator with its arguments by the names of its schema; constants are NumPy arrays."""

    operator: str
    arguments: Mapping[str, Any]
    shape: Shape  # of the result, without batch
    batch: int

    def value(self, name: str) -> Value:
        """Return the argument `name`, which must be computed by the network."""
        found = self.arguments[name]
        if not isinstance(found, Value):
            raise Refusal(f"its argument '{name}' is a constant; it must be computed from the input")
        return found

    def constant(self, name: str) -> Array | None:
        """Return the argument `name` as float64; None stays None."""
        found = self.arguments[name]
        if found is None:
            return None
        if isinstance(found, Value):
            raise Refusal(f"its '{name}' is computed from the input; only trained constants can become synapses")
        array = np.asarray(found, dtype=np.float64)
        if not np.isfinite(array).all():
            raise Refusal(f"its '{name}' holds NaN or infinity: the training diverged, or the weights file is broken")
        return array

    def pair(self, name: str) -> Pair:
        """Return the argument `name`, one or two integers, as (vertical, horizontal)."""
        found = self.arguments[name]
        both = (found, found) if isinstance(found, int) else tuple(found)
        both = both * 2 if len(both) == 1 else both
        return int(both[0]), int(both[1])


Rule = Callable[[Call], tuple[Op, tuple[str, ...]]]

_RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of these operators of torch."""

    def register(function: Rule) -> Rule:
        for operator in operators:
            if operator in _RULES:
                raise ValueError(f"two rules for {operator}: {_RULES[operator].__name__} and {function.__name__}")
            _RULES[operator] = function
        return function

    return register


def find(operator: str) -> Rule | None:
    """Return the rule for an operator, or None."""
    return _RULES.get(operator)


def coverage() -> list[tuple[str, str]]:
    """Return (operator, what its rule does) for every operator that is converted, for the documentation."""
    return sorted((name, (function.__doc__ or "").strip().split("\n")[0]) for name, function in _RULES.items())


# What to do instead, by a part of the operator's name; the first that matches is given.
ADVICE: dict[str, str] = {
    "log_softmax": "return the logits from forward: the class is the same, and the loss can apply the softmax",
    "softmax": "return the logits from forward if it is the last operator; attention is not converted yet",
    "sigmoid": "return the logits if it is the last operator; elsewhere train with ReLU or Hardtanh(0, 1)",
    "gelu": "train with ReLU instead, or replace it and fine-tune: few-spikes neurons compute ReLU",
    "silu": "train with ReLU or ReLU6 instead, or replace it and fine-tune",
    "hardswish": "train with ReLU6 instead, or replace it and fine-tune",
    "hardsigmoid": "train with ReLU6 or Hardtanh(0, 1) instead",
    "leaky_relu": "train with ReLU instead, or replace it and fine-tune",
    "elu": "train with ReLU instead, or replace it and fine-tune",
    "prelu": "train with ReLU instead, or replace it and fine-tune",
    "tanh": "train with ReLU or Hardtanh(0, 1) instead",
    "layer_norm": "use BatchNorm, which folds into the weights; statistics of the running sample cannot be folded",
    "group_norm": "use BatchNorm, which folds into the weights; statistics of the running sample cannot be folded",
    "instance_norm": "use BatchNorm, which folds into the weights; statistics of the running sample cannot be folded",
    "conv_transpose": "use upsampling by strided reading of the input, or a Conv2d; it is not converted yet",
    "conv1d": "write it as a Conv2d with a kernel of height 1",
    "conv3d": "only two-dimensional images are converted",
    "lstm": "recurrent layers are not converted; train a spiking network for sequences, or unroll with Linear layers",
    "gru": "recurrent layers are not converted; train a spiking network for sequences, or unroll with Linear layers",
    "rnn": "recurrent layers are not converted; train a spiking network for sequences, or unroll with Linear layers",
    "attention": "attention multiplies two activations, which synapses cannot; it is not converted yet",
    "embedding": "feed the embedded vectors as input instead",
    "dropout": "dropout is active at inference; use nn.Dropout, or pass training=self.training",
    "rand": "a random number in forward gives another result each time; remove it",
    "pad": "use the padding argument of Conv2d or of the pool; only zero padding is converted",
    "bmm": "a product of two activations is not a synapse; use nn.Linear, with trained weights",
    "matmul": "use nn.Linear, with trained weights",
    "mm": "use nn.Linear, with trained weights",
    "mul": "a product of two activations is not a synapse; fold a constant factor into the weights before it",
    "div": "fold a constant factor into the weights, or give it as input_std",
    "sub": "give a constant as input_mean; write a difference of layers as an add with negated weights",
    "upsample": "not converted yet; resize the samples before the network",
    "permute": "keep channels first (N, C, H, W) throughout",
    "transpose": "keep channels first (N, C, H, W) throughout",
    "slice": "split the layer before it into one layer for each part",
    "split": "split the layer before it into one layer for each part",
    "chunk": "split the layer before it into one layer for each part",
    "select": "split the layer before it into one layer for each part",
}


def advice_for(operator: str) -> str:
    """Return what to do about an operator that has no rule."""
    name = operator.removeprefix("aten.").split(".")[0]
    for part, advice in ADVICE.items():
        if part in name:
            return advice
    return "replace it by supported operators (docs/conversion.md lists them), or move it out of the network"
