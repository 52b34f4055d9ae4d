# SPDX-License-Identifier: Apache-2.0
"""What scikit-learn's converters write besides operators of the standard: scalers and linear models."""

import numpy as np

from spikerun.converters.graph import Linear
from spikerun.converters.onnx.file import LEARN
from spikerun.converters.onnx.operators.dialect import ONNX, RESULT
from spikerun.converters.onnx.operators.values import Read, affine, arrange, move, places
from spikerun.converters.rules import Call, Refusal, Value


@ONNX.rule(f"{LEARN}::Scaler")
def scaler(call: Call) -> Read:
    """Scaler: (x - offset) * scale."""
    x = call.value("X")
    offset, scale = (np.asarray(call.arguments[name] or default, np.float64) for name, default in _SCALER)
    return affine(call, x, scale, -offset * scale)


_SCALER = (("offset", [0.0]), ("scale", [1.0]))


@ONNX.rule(f"{LEARN}::LinearRegressor")
def regressor(call: Call) -> Read:
    """LinearRegressor: a dense layer."""
    return _dense(call, call.arguments["targets"] or 1)


@ONNX.rule(f"{LEARN}::LinearClassifier")
def classifier(call: Call) -> Read:
    """LinearClassifier: a dense layer, its scores."""
    if call.arguments[RESULT][0] == 0:
        raise Refusal("its label is used within the model; only its scores are converted")
    labels = call.arguments["classlabels_ints"] or call.arguments["classlabels_strings"] or []
    return _dense(call, len(labels))


def _dense(call: Call, rows: int) -> Read:
    if call.arguments["post_transform"] not in (None, "NONE"):
        raise Refusal(f"it ends in {call.arguments['post_transform']} in the midst of the model: only as its end")
    x = call.value("X")
    features = move(call, x, places(x.shape).reshape(-1))
    weight = np.asarray(call.arguments["coefficients"], np.float64)
    if not rows or weight.size != rows * features.shape[0]:
        raise Refusal(f"its {weight.size} coefficients are not {rows} rows for {features.shape[0]} values")
    bias = np.asarray(call.arguments["intercepts"] or [0.0] * rows, np.float64)
    if len(bias) != rows or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise Refusal(f"its intercepts are not {rows} finite numbers, or its coefficients are not finite")
    y: Value = call.emit(Linear(weight.reshape(rows, -1), bias), features)
    return arrange(y, places(y.shape))
