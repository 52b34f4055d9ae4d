# SPDX-License-Identifier: Apache-2.0
"""How each operator of torch becomes one of the float graph: one small decorated function for each."""

from spikerun.converters.torch.aten import activation, arithmetic, linear, normalisation, pooling, result, shape
from spikerun.converters.torch.aten.dialect import ATEN

__all__ = ["ATEN", "activation", "arithmetic", "linear", "normalisation", "pooling", "result", "shape"]
