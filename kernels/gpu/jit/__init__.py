# SPDX-License-Identifier: Apache-2.0
"""What Triton compiles; it has no types of Python. Functions beside this folder launch it."""
