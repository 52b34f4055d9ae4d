# SPDX-License-Identifier: Apache-2.0
"""The dialect of torch.export, and what to do about operators that no rule reads."""

from spikerun.converters.rules import Rules

__all__ = ["ATEN"]

# By a part of the operator's name; the first that matches is given.
ADVICE: dict[str, str] = {
    "log_softmax": "return the logits from forward: the class is the same, and the loss can apply the softmax",
    "softmax": "return the logits from forward if it is the last operator; attention is not converted yet",
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
    "upsample": "not converted yet; resize the samples before the network",
    "permute": "keep channels first (N, C, H, W) throughout",
    "transpose": "keep channels first (N, C, H, W) throughout",
    "slice": "split the layer before it into one layer for each part",
    "split": "split the layer before it into one layer for each part",
    "chunk": "split the layer before it into one layer for each part",
    "select": "split the layer before it into one layer for each part",
}

ATEN = Rules(
    "aten", ADVICE, "replace it by supported operators (docs/conversion.md lists them), or move it out of the network"
)
