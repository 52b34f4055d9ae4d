# SPDX-License-Identifier: Apache-2.0
"""The dialect of ONNX, and what to do about operators that no rule reads."""

from spikerun.converters.onnx.file import LEARN
from spikerun.converters.rules import Rules

__all__ = ["APPLY", "GIVEN", "ONNX", "RESULT", "SEVERAL"]

RESULT = "#result"  # the argument that says which result is asked for, and of how many
GIVEN = "#given"  # the argument that holds all inputs in the order of the file
APPLY = "#apply"  # the argument that is the operator itself, as a function of arrays
SEVERAL = {"Split", f"{LEARN}::LinearClassifier"}  # operators whose results beyond the first are converted

# By a part of the operator's name; the first that matches is given.
ADVICE: dict[str, str] = {
    "Softmax": "end the model before it (--outputs names values to end at); attention is not converted",
    "LSTM": "recurrent layers are not converted; train a spiking network for sequences, or unroll with Linear layers",
    "GRU": "recurrent layers are not converted; train a spiking network for sequences, or unroll with Linear layers",
    "RNN": "recurrent layers are not converted; train a spiking network for sequences, or unroll with Linear layers",
    "If": "a network does the same work for every sample: export it without branches that depend on the data",
    "Loop": "a network does the same work for every sample: unroll the loop when exporting",
    "Scan": "a network does the same work for every sample: unroll the loop when exporting",
    "Sequence": "sequences of tensors are not converted: return tensors, several as several outputs",
    "Attention": "attention multiplies two activations, which synapses cannot; it is not converted",
    "Embedding": "feed the embedded vectors as input instead",
    "BatchNormalization": "export it in inference mode",
    "Normalization": "use BatchNorm, which folds into the weights; statistics of the running sample cannot be folded",
    "LpPool": "use an average pool or a max pool",
    "NonMaxSuppression": "end the model before it, and choose boxes outside of the network",
    "TopK": "end the model before it, and choose the largest outside of the network",
    "Where": "a choice by computed values is not a synapse: use ReLU or Clip, or move it out of the network",
    "Equal": "a comparison of computed values is not a synapse: use ReLU or Clip, or move it out of the network",
    "Greater": "a comparison of computed values is not a synapse: use ReLU or Clip, or move it out of the network",
    "Less": "a comparison of computed values is not a synapse: use ReLU or Clip, or move it out of the network",
    "Max": "only the maximum with a constant is converted; use a max pool",
    "ReduceL": "only sums, means, maxima and minima are converted",
    "ReduceLogSum": "only sums, means, maxima and minima are converted",
    "Einsum": "write it as MatMul or Gemm with constant weights",
    "ConvInteger": "export quantised models as QDQ",
    "MatMulInteger": "export quantised models as QDQ",
    "QLinear": "export quantised models as QDQ",
    "DynamicQuantize": "quantise statically, as QDQ",
    "Random": "a random number gives another result each time; remove it",
    "Bernoulli": "a random number gives another result each time; remove it",
    "Multinomial": "a random number gives another result each time; remove it",
    "DeformConv": "use Conv: its sampling places are fixed",
    "GridSample": "resample before the network",
    "RoiAlign": "resample before the network",
    "ArgMax": "end the model before it, and choose the largest outside of the network",
    "TreeEnsemble": "trees are no network of neurons: train an MLP",
    "SVM": "kernel machines are not converted: train an MLP or a linear classifier",
}

ONNX = Rules(
    "onnx", ADVICE, "replace it by supported operators (docs/onnx.md lists them), or move it out of the network"
)
