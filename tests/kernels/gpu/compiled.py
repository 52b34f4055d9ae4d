# SPDX-License-Identifier: Apache-2.0
"""Compiles kernels for a GPU that need not be there, and prints a word for each; Triton's interpreter must be off."""

import re
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from spikerun.kernels.gpu.jit import conv, neurons

TARGET = GPUTarget("cuda", 90, 32)
TYPES = {
    "x_ptr": "*i8",
    "w_ptr": "*i8",
    "i_ptr": "*i16",
    "out_ptr": "*u8",
    "count_ptr": "*i64",
    "pool_count_ptr": "*i64",
}
PLAIN: dict[str, Any] = {
    "C": 64, "CG": 64, "NG": 64, "NC": 64, "KH": 3, "KW": 3, "SH": 1, "SW": 1, "PH": 1, "PW": 1, "DH": 1, "DW": 1,
    "KP": 640, "UNSIGNED": False, "CONSTANT": False, "LIMITED": False, "ACC": False, "STATE": False, "ZERO": False,
    "WIDTH": 1, "FIRE_BITS": 5, "SIGNED": False, "MOST": 3, "POOL": False, "COUNT": False, "SHARED": True,
    "POOL_SHARED": False, "NARROW": True, "BITS": 8, "NONZERO": False, "WIDE": False, "TP": 1,
    "SPLIT": 1, "BM": 64, "BN": 16, "BK": 64,
}  # fmt: skip
NEURONS: dict[str, Any] = {
    "T": 8, "PACKED": True, "STATE": True, "ZERO": True, "WIDTH": 0, "ONE_T": True, "ONE_B": False, "ONE_M": True,
    "CLEARED": True, "ONE": 5, "DECAYS": True, "FRACTION": 6, "RESET": 2, "REFRACTORY": 1, "CHIP": True,
    "INCLUSIVE": False, "BLOCK": 1024,
}  # fmt: skip
VARIANTS: dict[str, tuple[Any, dict[str, Any], int]] = {
    "words": (conv.conv_kernel, {"T": 0, "RULE": 1, "POOL": True, "COUNT": True, "UNSIGNED": True}, 4),
    "steps": (conv.conv_kernel, {"T": 8, "RULE": 2, "POOL": True, "COUNT": True, "STATE": True, "ACC": True}, 4),
    "constant": (conv.conv_kernel, {"T": 4, "RULE": 2, "CONSTANT": True, "C": 3, "CG": 3, "BK": 32, "WIDE": True}, 4),
    "few": (conv.conv_rows_kernel, {"T": 8, "RULE": 2, "TP": 8, "BM": 32, "POOL": True, "COUNT": True}, 2),
    "few words": (conv.conv_rows_kernel, {"T": 0, "RULE": 1, "BM": 16, "COUNT": True, "LIMITED": True}, 2),
    "split": (conv.conv_rows_kernel, {"T": 4, "RULE": 2, "TP": 4, "BN": 64, "SPLIT": 3}, 4),
    "sums": (conv.conv_rows_kernel, {"T": 4, "RULE": 0, "TP": 4, "ACC": True}, 4),
    "if": (neurons.if_kernel, NEURONS, 4),
    "lif": (neurons.lif_kernel, NEURONS | {"PACKED": False}, 4),
}


def compiled(name: str) -> Any:
    """Return what Triton makes of a variant."""
    kernel, changed, warps = VARIANTS[name]
    known = PLAIN | changed
    given = {a: known[a] for a in kernel.arg_names if a in known}
    others = [a for a in kernel.arg_names if a not in known]
    types = {a: TYPES.get(a, "*i32" if a.endswith("_ptr") else "i32") for a in others}
    if changed.get("RULE") == 0:
        types["out_ptr"] = "*i32"
    aligned = {(k,): [["tt.divisibility", 16]] for k, a in enumerate(kernel.arg_names) if a.endswith("_ptr")}
    source = ASTSource(kernel, types | dict.fromkeys(given, "constexpr"), given, aligned)
    return triton.compile(source, target=TARGET, options={"num_warps": warps, "num_stages": 3})


def cleared_late(code: str) -> bool:
    """Return whether the threads of a block meet between the reads of sums in memory and their clearing.

    Others may clear what one reads: Triton is free to share out a load and a store among threads in two ways.
    """
    lines = code.splitlines()
    reads = [k for k, line in enumerate(lines) if "ld.global.cg" in line]
    zeros = [k for k, line in enumerate(lines) if re.search(r"st\.global\S* .*\{ (%r\d+)(, \1)+ \}", line)]
    meetings = [k for k, line in enumerate(lines) if "bar.sync" in line]
    return bool(reads and zeros) and any(reads[-1] < k < zeros[0] for k in meetings)


def main() -> None:
    """Compile all."""
    for name in VARIANTS:
        code = compiled(name).asm["ptx"]
        good = "mma" in code if name not in ("if", "lif") else "mma" not in code
        print(name, good and (name != "split" or cleared_late(code)), flush=True)


if __name__ == "__main__":
    main()
