# SPDX-License-Identifier: Apache-2.0
"""Programs on a GPU: torch tensors, Triton kernels, one CUDA graph a run."""
