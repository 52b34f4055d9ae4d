# SPDX-License-Identifier: Apache-2.0
"""The operations: a function of its operands for each, at any number of passes, in torch's operators."""

from collections.abc import Callable, Mapping

from spikerun.kernels.gpu import late, maps, pools, steps, words
from spikerun.kernels.gpu.rows import At

__all__ = ["ROWS"]

ROWS: Mapping[str, Callable[[At], None]] = {
    "fill": words.fill,
    "clear": words.clear,
    "copy": words.copy,
    "encode": words.encode,
    "apply": maps.apply,
    "fire": words.fire,
    "fire_levels": words.fire_levels,
    "latch": words.latch,
    "send": words.send,
    "weigh": words.weigh,
    "accumulate": words.accumulate,
    "add_shifted": words.add_shifted,
    "delay": steps.delay,
    "poisson": late.poisson,
    "scatter": late.scatter,
    "arrive": late.arrive,
    "if_step": steps.if_step,
    "lif_step": steps.lif_step,
    "collect": words.collect,
    "max_pool": pools.max_pool,
    "max_pool_step": pools.max_pool_step,
    "max_pool_sums": pools.max_pool_sums,
    "count": words.count,
    "decide": words.decide,
}
