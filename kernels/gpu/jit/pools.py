# SPDX-License-Identifier: Apache-2.0
"""The kernel of max-pools: each program takes BLOCK outputs."""

import triton
import triton.language as tl

__all__ = ["pool_kernel"]


@triton.jit
def pool_kernel(
    x_ptr, y_ptr, n, H, W, OH, OW, C, lowest, KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr, OR: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """y = the largest of each window of x, or with OR all bits of it; what lies outside is `lowest`."""
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < n
    c = j % C
    ox = j // C % OW
    oy = j // C // OW % OH
    image = j // C // OW // OH
    best = tl.zeros([BLOCK], tl.int32) + lowest
    for a in range(KH):
        for b in range(KW):
            y = oy * SH - PH + a * DH
            x = ox * SW - PW + b * DW
            seen = inside & (y >= 0) & (y < H) & (x >= 0) & (x < W)
            value = tl.load(x_ptr + ((image * H + y) * W + x) * C + c, mask=seen, other=0).to(tl.int32)
            value = tl.where(seen, value, lowest)
            best = best | value if OR else tl.maximum(best, value)
    tl.store(y_ptr + j, best.to(y_ptr.dtype.element_ty), mask=inside)
