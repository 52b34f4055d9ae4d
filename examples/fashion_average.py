# SPDX-License-Identifier: Apache-2.0
"""A small CNN of average pools for Fashion-MNIST, such as chips of spiking neurons can take; its weights lie beside it.

spikerun convert examples/fashion_average.py:build --weights examples/fashion_average.safetensors \
    --calibration fashion-mnist --neuron if --reset zero --duration 32 -o fashion.snn

benchmarks/fashion_average_training.py trains it.
"""

from torch import nn


def build() -> nn.Sequential:
    """Return the untrained network: 207 thousand weights, 1.2 million multiply-accumulates."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.AvgPool2d(2)]

    head = [nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10)]
    return nn.Sequential(*block(1, 16), *block(16, 32), *head)
