# SPDX-License-Identifier: Apache-2.0
"""Stands in for the profilers of lava-loihi."""


class Loihi2Power:
    total_power = 0.5

    def __init__(self, num_steps):
        self.num_steps = num_steps


class Loihi2ExecutionTime:
    avg_time_per_step = 20.0
