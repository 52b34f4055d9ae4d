# SPDX-License-Identifier: Apache-2.0
"""Every supported operator, alone and in company: words equal the quantised ANN's, and results are near the ANN's."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from operators import Functional
from torch import nn

from spikerun.connections import Conv, Diagonal, Sparse, SumPool
from spikerun.converters import Encoding
from spikerun.neurons import FewSpikes, MaxPool

torch.manual_seed(0)  # the weights below do not depend on what was imported before


def head(features: int, classes: int = 4) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(features, classes)]


SEQUENCES: dict[str, tuple[list[nn.Module], tuple[int, ...]]] = {
    "mlp": ([nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4)], (12,)),
    "mlp of an image": ([nn.Flatten(), nn.Linear(72, 16), nn.ReLU(), nn.Linear(16, 4)], (2, 6, 6)),
    "linear only": ([nn.Linear(12, 4)], (12,)),
    "linear without bias": ([nn.Linear(12, 9, bias=False), nn.ReLU(), nn.Linear(9, 4, bias=False)], (12,)),
    "linear linear": ([nn.Linear(12, 9), nn.Linear(9, 4)], (12,)),
    "batch norm 1d": ([nn.Linear(12, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 4)], (12,)),
    "relu, then batch norm": ([nn.Linear(12, 9), nn.ReLU(), nn.BatchNorm1d(9), nn.Linear(9, 4)], (12,)),
    "batch norm of the input": ([nn.BatchNorm1d(12), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4)], (12,)),
    "batch norm last": ([nn.Linear(12, 4), nn.BatchNorm1d(4)], (12,)),
    "relu last": ([nn.Linear(12, 4), nn.ReLU()], (12,)),
    "conv": ([nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), *head(5 * 36)], (2, 6, 6)),
    "conv stride": ([nn.Conv2d(2, 5, 3, stride=2), nn.ReLU(), *head(5 * 4)], (2, 6, 6)),
    "conv oblong": ([nn.Conv2d(2, 5, (1, 3), stride=(2, 1), padding=(0, 1)), nn.ReLU(), *head(5 * 18)], (2, 6, 6)),
    "conv dilation": ([nn.Conv2d(2, 5, 3, dilation=2, padding=2), nn.ReLU(), *head(5 * 36)], (2, 6, 6)),
    "conv groups": ([nn.Conv2d(4, 6, 3, groups=2, padding=1), nn.ReLU(), *head(6 * 36)], (4, 6, 6)),
    "conv depthwise": (
        [nn.Conv2d(1, 4, 3), nn.ReLU6(), nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.ReLU6(), *head(16)],
        (1, 6, 6),
    ),
    "conv same": ([nn.Conv2d(2, 5, 3, padding="same"), nn.ReLU(), *head(5 * 36)], (2, 6, 6)),
    "conv same dilated": ([nn.Conv2d(2, 5, 3, padding="same", dilation=2), nn.ReLU(), *head(5 * 36)], (2, 6, 6)),
    "conv valid": ([nn.Conv2d(2, 5, 3, padding="valid"), nn.ReLU(), *head(5 * 16)], (2, 6, 6)),
    "conv conv": ([nn.Conv2d(2, 5, 3), nn.Conv2d(5, 4, 3), nn.ReLU(), *head(4 * 4)], (2, 6, 6)),
    "batch norm 2d": ([nn.Conv2d(2, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(), *head(5 * 16)], (2, 6, 6)),
    "batch norm before padding": (
        [
            nn.BatchNorm2d(2),
            nn.Conv2d(2, 5, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm2d(5),
            nn.Conv2d(5, 4, 3, padding=1),
            nn.ReLU(),
            *head(144),
        ],
        (2, 6, 6),
    ),
    "batch norm after flatten": (
        [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(48), nn.Linear(48, 4)],
        (2, 6, 6),
    ),
    "batch norm and relu after flatten": (
        [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 4)],
        (2, 6, 6),
    ),
    "pre-activation": (
        [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.ReLU(), *head(12)],
        (2, 6, 6),
    ),
    "max pool": ([nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), *head(5 * 9)], (2, 6, 6)),
    "max pool padded": ([nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *head(5 * 4)], (2, 6, 6)),
    "max pool dilated": ([nn.Conv2d(2, 5, 1), nn.ReLU(), nn.MaxPool2d(2, 1, 0, dilation=2), *head(5 * 16)], (2, 6, 6)),
    "max pool before relu": ([nn.Conv2d(2, 5, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), *head(5 * 9)], (2, 6, 6)),
    "max pool without relu": ([nn.Conv2d(2, 5, 3, padding=1), nn.MaxPool2d(2), *head(5 * 9)], (2, 6, 6)),
    "max pool of the input": ([nn.MaxPool2d(2), nn.Conv2d(2, 5, 3), nn.ReLU(), *head(5)], (2, 6, 6)),
    "max pool of max pool": ([nn.Conv2d(2, 3, 1), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(3), *head(3)], (2, 6, 6)),
    "max pool, ceil_mode exact": (
        [nn.Conv2d(2, 3, 1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True), *head(27)],
        (2, 6, 6),
    ),
    "average pool": ([nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), *head(5 * 9)], (2, 6, 6)),
    "average pool padded": ([nn.Conv2d(2, 5, 3), nn.ReLU(), nn.AvgPool2d(3, 2, 1), *head(5 * 4)], (2, 6, 6)),
    "average pool, divisor": (
        [nn.Conv2d(2, 5, 3), nn.ReLU(), nn.AvgPool2d(2, divisor_override=3), *head(5 * 4)],
        (2, 6, 6),
    ),
    "average pool, then conv": (
        [nn.Conv2d(2, 5, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(5, 3, 2), nn.ReLU(), *head(3)],
        (2, 6, 6),
    ),
    "average pool without relu": ([nn.Conv2d(2, 5, 3, padding=1), nn.AvgPool2d(2), nn.ReLU(), *head(5 * 9)], (2, 6, 6)),
    "average pool of the input": ([nn.AvgPool2d(2), nn.Conv2d(2, 5, 3), nn.ReLU(), *head(5)], (2, 6, 6)),
    "global average pool": ([nn.Conv2d(2, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), *head(5)], (2, 6, 6)),
    "adaptive average pool": (
        [nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d((3, 2)), *head(30)],
        (2, 6, 6),
    ),
    "class maps averaged": (
        [nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
        (2, 6, 6),
    ),
    "pixel readout": ([nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 2, 1)], (2, 6, 6)),
    "hardtanh": ([nn.Linear(12, 9), nn.Hardtanh(0, 0.4), nn.Linear(9, 4)], (12,)),
    "relu6 of relu": ([nn.Linear(12, 9), nn.ReLU(), nn.Hardtanh(0, 0.3), nn.Linear(9, 4)], (12,)),
    "dropout": ([nn.Linear(12, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 4)], (12,)),
    "dropout 2d": ([nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Dropout2d(), *head(48)], (2, 6, 6)),
    "relu in place": ([nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), *head(48)], (2, 6, 6)),
    "one pixel by max pool": ([nn.Conv2d(3, 10, 3), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten()], (3, 6, 6)),
    "one pixel by conv": ([nn.Conv2d(3, 10, 6), nn.ReLU(), nn.Flatten()], (3, 6, 6)),
    "one pixel by max pool, batch norm": (
        [
            nn.Conv2d(3, 10, 3),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.BatchNorm1d(10),
            nn.ReLU(),
            nn.Linear(10, 4),
        ],
        (3, 6, 6),
    ),
    "one pixel by conv, batch norm": (
        [nn.Conv2d(3, 10, 6), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 4)],
        (3, 6, 6),
    ),
    "flatten, then relu": ([nn.Conv2d(2, 3, 3), nn.Flatten(), nn.ReLU(), nn.Linear(48, 4)], (2, 6, 6)),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_of_modules_is_converted_word_for_word(name: str, check: Any) -> None:
    layers, shape = SEQUENCES[name]
    check(nn.Sequential(*layers), *shape)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("kernel", "dilation"), [(2, 1), (4, 1), (2, 3), ((2, 3), 1)])
def test_same_padding_of_an_even_kernel_is_exact(kernel: Any, dilation: int, check: Any) -> None:
    layers = [nn.Conv2d(2, 4, kernel, padding="same", dilation=dilation), nn.ReLU(), *head(144)]
    check(nn.Sequential(*layers), 2, 6, 6)


def conv(inputs: int, outputs: int, **options: Any) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options)


FUNCTIONS: dict[str, tuple[Functional, tuple[int, ...]]] = {
    "functional relu": (Functional(lambda m, x: m.b(F.relu(m.a(x))), a=nn.Linear(12, 9), b=nn.Linear(9, 4)), (12,)),
    "functional relu6": (Functional(lambda m, x: m.b(F.relu6(m.a(x))), a=nn.Linear(12, 9), b=nn.Linear(9, 4)), (12,)),
    "functional hardtanh": (
        Functional(lambda m, x: m.b(F.hardtanh(m.a(x), 0.0, 0.5)), a=nn.Linear(12, 9), b=nn.Linear(9, 4)),
        (12,),
    ),
    "clamp": (Functional(lambda m, x: m.b(m.a(x).clamp(0, 0.5)), a=nn.Linear(12, 9), b=nn.Linear(9, 4)), (12,)),
    "clamp from below": (
        Functional(lambda m, x: m.b(m.a(x).clamp(min=0)), a=nn.Linear(12, 9), b=nn.Linear(9, 4)),
        (12,),
    ),
    "tensor method": (Functional(lambda m, x: m.b(m.a(x).relu_()), a=nn.Linear(12, 9), b=nn.Linear(9, 4)), (12,)),
    "view": (
        Functional(lambda m, x: m.b(F.relu(m.a(x)).view(x.size(0), -1)), a=conv(2, 3), b=nn.Linear(108, 4)),
        (2, 6, 6),
    ),
    "reshape": (
        Functional(lambda m, x: m.b(F.relu(m.a(x)).reshape(-1, 108)), a=conv(2, 3), b=nn.Linear(108, 4)),
        (2, 6, 6),
    ),
    "mean": (Functional(lambda m, x: m.b(F.relu(m.a(x)).mean((2, 3))), a=conv(2, 3), b=nn.Linear(3, 4)), (2, 6, 6)),
    "functional pools": (
        Functional(
            lambda m, x: m.b(F.avg_pool2d(F.max_pool2d(F.relu(m.a(x)), 2), 3).flatten(1)),
            a=conv(2, 3),
            b=nn.Linear(3, 4),
        ),
        (2, 6, 6),
    ),
    "functional dropout": (
        Functional(lambda m, x: m.b(F.dropout(F.relu(m.a(x)), 0.5, m.training)), a=nn.Linear(12, 9), b=nn.Linear(9, 4)),
        (12,),
    ),
    "a layer used twice": (
        Functional(lambda m, x: m.b(F.relu(m.a(F.relu(m.a(x))))), a=nn.Linear(12, 12), b=nn.Linear(12, 4)),
        (12,),
    ),
    "derived weights": (
        Functional(
            lambda m, x: F.linear(F.relu(m.a(x)), m.b.weight * 2, m.b.bias), a=nn.Linear(12, 9), b=nn.Linear(9, 4)
        ),
        (12,),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_seen_as_modules_are(name: str, check: Any) -> None:
    model, shape = FUNCTIONS[name]
    check(model, *shape)


def residual(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(m.stem(x))
    x = F.relu(m.b(F.relu(m.a(x))) + x)
    return m.head(x.flatten(1))  # type: ignore[no-any-return]


def downsampled(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(m.stem(x))
    x = F.relu(m.down(x) + m.b(F.relu(m.a(x))))
    return m.head(x.flatten(1))  # type: ignore[no-any-return]


def linear_bottleneck(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = m.stem(x)
    x = x + m.b(F.relu6(m.a(x)))
    return m.head(F.relu(m.c(x)).flatten(1))  # type: ignore[no-any-return]


def in_place(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(m.stem(x))
    y = m.b(F.relu(m.a(x)))
    y += x
    return m.head(F.relu_(y).flatten(1))  # type: ignore[no-any-return]


def two_identities(m: Any, x: torch.Tensor) -> torch.Tensor:
    a, b = F.relu(m.a(x)), F.relu(m.b(x))
    return m.head(F.relu(a + b + a).flatten(1))  # type: ignore[no-any-return]


def sum_without_relu(m: Any, x: torch.Tensor) -> torch.Tensor:
    a, b = F.relu(m.a(x)), F.relu(m.b(x))
    return m.head(F.relu(m.c(a + b)).flatten(1))  # type: ignore[no-any-return]


def pooled_sum(m: Any, x: torch.Tensor) -> torch.Tensor:
    a = F.relu(m.a(x))
    return m.head(F.relu(m.down(a) + F.avg_pool2d(a, 2)).flatten(1))  # type: ignore[no-any-return]


def input_skip(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m.head(F.relu(m.a(x) + x).flatten(1))  # type: ignore[no-any-return]


RESIDUALS: dict[str, Functional] = {
    "identity": Functional(residual, stem=conv(2, 3), a=conv(3, 3), b=conv(3, 3), head=nn.Linear(108, 4)),
    "downsample": Functional(
        downsampled,
        stem=conv(2, 3),
        a=conv(3, 5, stride=2),
        b=conv(5, 5),
        down=nn.Conv2d(3, 5, 1, stride=2),
        head=nn.Linear(45, 4),
    ),
    "linear bottleneck": Functional(
        linear_bottleneck, stem=conv(2, 3), a=conv(3, 6), b=conv(6, 3), c=conv(3, 4), head=nn.Linear(144, 4)
    ),
    "in place": Functional(in_place, stem=conv(2, 3), a=conv(3, 3), b=conv(3, 3), head=nn.Linear(108, 4)),
    "two identities": Functional(two_identities, a=conv(2, 3), b=conv(2, 3), head=nn.Linear(108, 4)),
    "sum without relu": Functional(sum_without_relu, a=conv(2, 3), b=conv(2, 3), c=conv(3, 4), head=nn.Linear(144, 4)),
    "average pool in a sum": Functional(pooled_sum, a=conv(2, 3), down=conv(3, 3, stride=2), head=nn.Linear(27, 4)),
    "skip from the input": Functional(input_skip, a=conv(2, 2), head=nn.Linear(72, 4)),
}


@pytest.mark.parametrize("name", RESIDUALS)
def test_residual_sums_are_projections_into_one_population(name: str, check: Any) -> None:
    check(RESIDUALS[name], 2, 6, 6)


def test_an_identity_is_a_diagonal_projection(check: Any) -> None:
    network = check(RESIDUALS["identity"], 2, 6, 6).network
    assert sorted(type(p.connection).__name__ for p in network.into("b")) == ["Conv", "Diagonal"]


def concat(*after: str) -> Any:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([F.relu(m.a(x)), F.relu(m.b(x))], dim=1)
        for name in after:
            x = getattr(m, name)(x)
        return m.head(x.flatten(1))  # type: ignore[no-any-return]

    return forward


CONCATS: dict[str, Functional] = {
    "into linear": Functional(concat(), a=conv(2, 3), b=conv(2, 2), head=nn.Linear(180, 4)),
    "into conv": Functional(
        concat("c", "r"), a=conv(2, 3), b=conv(2, 2), c=conv(5, 4), r=nn.ReLU(), head=nn.Linear(144, 4)
    ),
    "into max pool": Functional(concat("p"), a=conv(2, 3), b=conv(2, 2), p=nn.MaxPool2d(2), head=nn.Linear(45, 4)),
    "into average pool": Functional(concat("p"), a=conv(2, 3), b=conv(2, 2), p=nn.AvgPool2d(2), head=nn.Linear(45, 4)),
    "into batch norm": Functional(
        concat("n", "r"), a=conv(2, 3), b=conv(2, 2), n=nn.BatchNorm2d(5), r=nn.ReLU(), head=nn.Linear(180, 4)
    ),
    "into groups along the parts": Functional(
        concat("c", "r"), a=conv(2, 4), b=conv(2, 2), c=conv(6, 6, groups=3), r=nn.ReLU(), head=nn.Linear(216, 4)
    ),
    "into groups across the parts": Functional(
        concat("c", "r"), a=conv(2, 3), b=conv(2, 3), c=conv(6, 4, groups=2), r=nn.ReLU(), head=nn.Linear(144, 4)
    ),
    "into a group cut in two": Functional(
        concat("c", "r"), a=conv(2, 1), b=conv(2, 5), c=conv(6, 4, groups=2), r=nn.ReLU(), head=nn.Linear(144, 4)
    ),
}


@pytest.mark.parametrize("name", CONCATS)
def test_concatenation_needs_no_neurons(name: str, check: Any) -> None:
    check(CONCATS[name], 2, 6, 6)


def test_concatenation_before_the_activation(check: Any) -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.n(torch.cat([m.a(x), m.b(x), x], dim=1)))
        return m.head((x + m.c(x)).flatten(1))  # type: ignore[no-any-return]

    model = Functional(forward, a=conv(2, 3), b=conv(2, 2), n=nn.BatchNorm2d(7), c=conv(7, 7), head=nn.Linear(252, 4))
    check(model, 2, 6, 6)


def pooled_pair(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(m.a(x))
    both = torch.cat([F.max_pool2d(x, 6).flatten(1), F.avg_pool2d(x, 6).flatten(1)], 1)
    return m.head(F.relu(m.n(both)))  # type: ignore[no-any-return]


def vector_residual(m: Any, x: torch.Tensor) -> torch.Tensor:
    z = F.max_pool2d(F.relu(m.a(x)), 6).flatten(1)
    return m.head(F.relu(z + m.l(z)))  # type: ignore[no-any-return]


def pixel_beside_image(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(m.a(x))
    both = torch.cat([x.flatten(1), F.max_pool2d(x, 6).flatten(1)], 1)
    return F.relu(m.n(both))


def average_beside_image(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(m.a(x))
    both = torch.cat([x.flatten(1), F.avg_pool2d(x, 6).flatten(1), m.b(x).flatten(1)], 1)
    return F.relu(m.n(both))


ONE_PIXEL: dict[str, Functional] = {
    "largest and average": Functional(pooled_pair, a=conv(2, 3), n=nn.BatchNorm1d(6), head=nn.Linear(6, 4)),
    "residual": Functional(vector_residual, a=conv(2, 3), l=nn.Linear(3, 3), head=nn.Linear(3, 4)),
    "average beside an image": Functional(
        average_beside_image, a=conv(2, 3), b=nn.Conv2d(3, 2, 6), n=nn.BatchNorm1d(113)
    ),
    "beside an image": Functional(pixel_beside_image, a=conv(2, 3), n=nn.BatchNorm1d(111)),
}


@pytest.mark.parametrize("name", ONE_PIXEL)
def test_an_image_of_one_pixel_is_a_vector(name: str, check: Any) -> None:
    check(ONE_PIXEL[name], 2, 6, 6)


def test_the_words_of_one_pixel_are_passed_on_by_a_diagonal(check: Any) -> None:
    layers, shape = SEQUENCES["one pixel by max pool"]
    network = check(nn.Sequential(*layers), *shape, near=None).network
    assert isinstance(network.into("output")[0].connection, Diagonal)


def test_a_concatenation_with_itself(check: Any) -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.a(x))
        return m.head(torch.cat([x, x], 1).flatten(1))  # type: ignore[no-any-return]

    check(Functional(forward, a=conv(2, 3), head=nn.Linear(216, 4)), 2, 6, 6)


def test_flat_concatenation(check: Any) -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(m.a(x))
        return m.head(torch.cat([y.flatten(1), F.relu(m.l(y.flatten(1)))], 1))  # type: ignore[no-any-return]

    check(Functional(forward, a=conv(2, 3), l=nn.Linear(108, 7), head=nn.Linear(115, 4)), 2, 6, 6)


@pytest.mark.parametrize(
    ("code", "input_code"),
    [("bits", "bits"), ("ttfs", "bits"), ("graded", "graded"), ("graded", "bits"), ("bits", "graded")],
)
@pytest.mark.parametrize("bits", [1, 3, 4])
def test_every_code_gives_the_same_integers(code: str, input_code: str, bits: int, check: Any) -> None:
    layers = [conv(2, 3), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.ReLU(), nn.AvgPool2d(3), *head(3)]
    conversion = check(
        nn.Sequential(*layers), 2, 6, 6, bits=bits, code=code, encoding=Encoding(code=input_code), near=None
    )
    # the average has as many bits as the input
    assert code == "ttfs" or conversion.network.window == (1 if code == input_code == "graded" else 8)


def test_kinds_of_populations(check: Any) -> None:
    layers = [conv(2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(3), *head(3)]
    network = check(nn.Sequential(*layers), 2, 6, 6, bits=4, near=None).network
    kinds = {name: p.neuron for name, p in network.populations.items()}
    assert any(isinstance(n, MaxPool) for n in kinds.values())
    bits = sorted(n.bits for n in kinds.values() if isinstance(n, FewSpikes))
    assert bits == [4, 8]  # the average keeps more bits: there is room in the window
    connections = {type(p.connection) for p in network.projections}
    assert {Conv, SumPool} <= connections and not connections & {Diagonal, Sparse}
