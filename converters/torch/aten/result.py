# SPDX-License-Identifier: Apache-2.0
"""What networks end with, and what is left out: it does not change which class is the largest."""

from typing import Any

import numpy as np

from spikerun.converters.graph import Array, Final, Op
from spikerun.converters.rules import Call
from spikerun.converters.torch.aten.dialect import ATEN


@ATEN.rule("aten.softmax.int", "aten._softmax.default", "aten._safe_softmax.default")
def softmax(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Softmax as the last operator: left out, the results are the logits."""
    axis = call.arguments["dim"]
    return Final("softmax", lambda x: np.exp(_log_softmax(x, axis))), (call.value("self").name,)


@ATEN.rule("aten.log_softmax.int", "aten._log_softmax.default")
def log_softmax(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Log_softmax as the last operator: left out, the results are the logits."""
    axis = call.arguments["dim"]
    return Final("log_softmax", lambda x: _log_softmax(x, axis)), (call.value("self").name,)


@ATEN.rule("aten.argmax.default")
def argmax(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Argmax as the last operator: left out, the results are the logits."""
    axis, keep = call.arguments["dim"], call.arguments["keepdim"]

    def function(x: Array) -> Array:
        found: Array = x.argmax(axis=axis, keepdims=keep)
        return found

    return Final("argmax", function), (call.value("self").name,)


def _log_softmax(x: Array, axis: Any) -> Array:
    moved = x - x.max(axis=axis, keepdims=True)
    found: Array = moved - np.log(np.exp(moved).sum(axis=axis, keepdims=True))
    return found
