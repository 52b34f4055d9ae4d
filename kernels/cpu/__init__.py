# SPDX-License-Identifier: Apache-2.0
"""CPU kernels in C++."""
