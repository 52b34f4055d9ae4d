# SPDX-License-Identifier: Apache-2.0
"""Trained spiking networks: one step of their time loop as a float graph, and how it becomes integers."""
