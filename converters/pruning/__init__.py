# SPDX-License-Identifier: Apache-2.0
"""Fewer weights, channels and neurons in a trained network, before it is converted."""
