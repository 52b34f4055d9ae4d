# SPDX-License-Identifier: Apache-2.0
"""ONNX files as sources: read without trust, folded, and turned into the float graph operator by operator."""
