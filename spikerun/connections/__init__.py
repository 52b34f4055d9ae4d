# SPDX-License-Identifier: Apache-2.0
"""The kinds of connection that a projection can be: a file each, with parameters, geometry and what it computes."""

from collections.abc import Mapping
from types import MappingProxyType

from spikerun.connections.base import Connection, Pair, Shape
from spikerun.connections.conv import Conv
from spikerun.connections.dense import Dense
from spikerun.connections.diagonal import Diagonal
from spikerun.connections.drawn import Random
from spikerun.connections.pooled_conv import PooledConv
from spikerun.connections.sparse import Sparse
from spikerun.connections.sum_pool import SumPool
from spikerun.connections.window import Window

__all__ = [
    "KINDS",
    "Connection",
    "Conv",
    "Dense",
    "Diagonal",
    "Pair",
    "PooledConv",
    "Random",
    "Shape",
    "Sparse",
    "SumPool",
    "Window",
]

KINDS: Mapping[str, type[Connection]] = MappingProxyType(
    {cls.kind: cls for cls in (Dense, Sparse, Random, Conv, PooledConv, Diagonal, SumPool, Window)}
)
