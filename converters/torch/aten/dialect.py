# SPDX-License-Identifier: Apache-2.0
"""The dialect of torch.export, and what to do about operators that no rule reads."""

from spikerun.converters.rules import Rules

__all__ = ["ATEN", "MODULES"]

RECURRENT = "recurrent layers are not converted; train a spiking network for sequences, or unroll with Linear layers"
ATTENTION = "attention multiplies two activations, which synapses cannot; train without it"

# By a part of the operator's name; the first that matches is given.
ADVICE: dict[str, str] = {
    "layer_norm": "use BatchNorm, which folds into the weights; statistics of the running sample cannot be folded",
    "group_norm": "use BatchNorm, which folds into the weights; statistics of the running sample cannot be folded",
    "instance_norm": "use BatchNorm, which folds into the weights; statistics of the running sample cannot be folded",
    "conv3d": "only images and signals are converted",
    "conv_transpose3d": "only images and signals are converted",
    "lstm": RECURRENT,
    "gru": RECURRENT,
    "rnn": RECURRENT,
    "attention": ATTENTION,
    "glu": "a gate multiplies two activations, which synapses cannot; train without it",
    "embedding": "feed the embedded vectors as input instead",
    "dropout": "dropout is active at inference; call model.eval() first; in forward pass training=self.training",
    "rand": "a random number in forward gives another result each time; remove it",
    "einsum": "write it as nn.Linear, a convolution or a matmul with a constant",
    "upsample": "only modes nearest and nearest-exact are converted: use these, and fine-tune, or a ConvTranspose2d",
    "grid_sampler": "where it reads depends on the input; resize the samples before the network",
    "topk": "return the logits, and choose from them",
    "sort": "return the logits, and sort them",
    "where": "use a clamp or another activation that docs/operators.md lists",
    "cumsum": "write it as a Linear with a triangle of ones",
}

# Modules of torch of which nothing can be converted where one of their operators cannot.
MODULES: dict[str, str] = {
    **{f"torch.nn.modules.rnn.{name}": RECURRENT for name in ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell")},
    "torch.nn.modules.activation.MultiheadAttention": ATTENTION,
}

ATEN = Rules(
    "aten", ADVICE, "replace it by supported operators (docs/operators.md lists them), or move it out of the network"
)
