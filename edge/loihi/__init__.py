# SPDX-License-Identifier: Apache-2.0
"""Loihi: a network as a graph of the processes of Intel's Lava, its emulator, and bundles."""
