# SPDX-License-Identifier: Apache-2.0
"""Training with the converter's quantisation in the loop, for networks that send few spikes."""
