# SPDX-License-Identifier: Apache-2.0
"""NIR, the Neuromorphic Intermediate Representation (https://neuroir.org): files of version 1, read and written."""
