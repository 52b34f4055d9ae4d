# SPDX-License-Identifier: Apache-2.0
"""Bounds of the code of the runtime, before anything is compiled."""

from collections.abc import Mapping

__all__ = ["code_of"]

# bounds of the code of each file of the runtime for a Cortex-M4, -O2: the larger of gcc's and zig's; tests hold them;
# clear and copy are in `memory`, apply is its maps, and count has none; all others are UNMEASURED
CODE: Mapping[str, int] = {
    "accumulate": 352, "add_shifted": 128, "bitmap": 384, "check": 256, "collect": 256, "conv": 2560,
    "conv_bitmap": 1344, "conv_delta": 1472, "crc32": 928, "delay": 256, "delta": 640, "dense": 864,
    "depthwise": 2752, "diagonal": 160, "dot": 768, "encode": 640, "events": 1088, "fill": 384, "fire": 640,
    "fire_levels": 640, "if_step": 1280, "latch": 256, "lif_step": 544, "max_pool": 1216, "max_pool_step": 1408,
    "max_pool_sums": 640, "memory": 256, "pairs": 1856, "read": 608, "rows": 2304, "see": 64, "send": 896,
    "snapshot": 1408, "sparse": 608, "sum_pool": 1120, "tick": 288, "weigh": 320,
}  # fmt: skip
UNMEASURED = 1536  # of a file that is not among them
WIDE_BYTES = 64  # that code for words of two bytes takes more at most


def code_of(file: str) -> int:
    """Return the bytes that the code of a file of `runtime/` takes at most."""
    if file.endswith(".h"):
        return 0  # it is in the files that include it
    name = file.removeprefix("spikerun_").removesuffix(".c")
    kind = name.removesuffix("_wide")
    return CODE.get(kind, UNMEASURED) + (WIDE_BYTES if kind != name else 0)
