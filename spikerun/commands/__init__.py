# SPDX-License-Identifier: Apache-2.0
"""The commands that belong to no other folder; the table of all commands is in `spikerun.cli`."""
