# SPDX-License-Identifier: Apache-2.0
"""Training with the converter's quantisation in the loop, for networks that send few spikes."""

EPOCHS, RATE, BATCH = 30, 0.006, 512  # of a training, where nothing else is asked for
