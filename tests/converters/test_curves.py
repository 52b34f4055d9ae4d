# SPDX-License-Identifier: Apache-2.0
"""Activations of one value: words equal the rounded function exactly, alone, written out, and in company."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from operators import Functional
from torch import nn

from spikerun.connections import Dense
from spikerun.converters import convert
from spikerun.converters.curved import Curved
from spikerun.converters.curves import curve
from spikerun.converters.graph import Array, Curve, Graph, Relu
from spikerun.converters.simplify import simplify
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.verify import evaluate
from spikerun.edge.mcu import deploy
from spikerun.errors import ConversionError
from spikerun.neurons import FewSpikes, Levels


def between(function: Callable[[torch.Tensor], torch.Tensor]) -> Functional:
    """Return a network with a function between two layers."""
    return Functional(lambda m, x: m.b(function(m.a(x))), a=nn.Linear(12, 9), b=nn.Linear(9, 4))


def simplified(model: nn.Module, *shape: int) -> Graph:
    return simplify(TorchSource(model.eval()).graph({"input": shape}))


def operators(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes.values()]


FUNCTIONS: dict[str, tuple[Curve, Callable[[torch.Tensor], torch.Tensor]]] = {
    "leaky_relu": (curve("leaky_relu", 0.2), lambda x: F.leaky_relu(x, 0.2)),
    "elu": (curve("elu", 0.7), lambda x: F.elu(x, 0.7)),
    "selu": (curve("selu"), F.selu),
    "celu": (curve("celu", 0.7), lambda x: F.celu(x, 0.7)),
    "sigmoid": (curve("sigmoid"), torch.sigmoid),
    "tanh": (curve("tanh"), torch.tanh),
    "softplus": (curve("softplus", 2.0, 3.0), lambda x: F.softplus(x, 2, 3)),
    "softsign": (curve("softsign"), F.softsign),
    "log_sigmoid": (curve("log_sigmoid"), F.logsigmoid),
    "threshold": (curve("threshold", 0.5, -0.3), lambda x: F.threshold(x, 0.5, -0.3)),
    "gelu": (curve("gelu"), F.gelu),
    "gelu_tanh": (curve("gelu_tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "silu": (curve("silu"), F.silu),
    "hardswish": (curve("hardswish"), F.hardswish),
    "mish": (curve("mish"), F.mish),
    "hardshrink": (curve("hardshrink", 0.4), lambda x: F.hardshrink(x, 0.4)),
    "softshrink": (curve("softshrink", 0.4), lambda x: F.softshrink(x, 0.4)),
    "power": (curve("power", 3.0), lambda x: x**3),
    "abs": (curve("abs"), torch.abs),
    "exp": (curve("exp"), torch.exp),
    "erf": (curve("erf"), torch.erf),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_torch_s(name: str) -> None:
    found, torch_s = FUNCTIONS[name]
    for dtype in (np.float32, np.float64):
        x = np.concatenate([np.linspace(-12, 12, 1201), [-90, -30, 30, 80]]).astype(dtype)[:, None]
        y = found.apply(x)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, torch_s(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=2e-6)


ACTIVATIONS: dict[str, nn.Module] = {
    "LeakyReLU": nn.LeakyReLU(0.1),
    "PReLU": nn.PReLU(),
    "RReLU": nn.RReLU(),
    "ELU": nn.ELU(0.8),
    "SELU": nn.SELU(),
    "CELU": nn.CELU(0.5),
    "Sigmoid": nn.Sigmoid(),
    "Tanh": nn.Tanh(),
    "Softplus": nn.Softplus(),
    "Softsign": nn.Softsign(),
    "LogSigmoid": nn.LogSigmoid(),
    "Threshold": nn.Threshold(0.1, -0.2),
    "GELU": nn.GELU(),
    "GELU by tanh": nn.GELU("tanh"),
    "SiLU": nn.SiLU(),
    "Hardswish": nn.Hardswish(),
    "Mish": nn.Mish(),
    "Hardshrink": nn.Hardshrink(0.1),
    "Softshrink": nn.Softshrink(0.1),
    "Tanhshrink": nn.Tanhshrink(),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_becomes_levels_word_for_word(name: str, check: Any) -> None:
    layers = nn.Sequential(nn.Linear(12, 9), ACTIVATIONS[name], nn.Linear(9, 4))
    conversion = check(layers, 12, near=0.02)
    assert isinstance(conversion.network.populations["m0"].neuron, Levels)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("code", ["bits", "ttfs", "graded"])
def test_curves_travel_in_every_code(bits: int, code: str, check: Any) -> None:
    check(nn.Sequential(nn.Linear(12, 9), nn.SiLU(), nn.Linear(9, 4)), 12, bits=bits, code=code, near=None)


RECTIFIERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Hardtanh": lambda x: F.hardtanh(x, -0.3, 0.4),
    "clamp": lambda x: x.clamp(0.1, 0.5),
    "clamp from below": lambda x: x.clamp(min=-0.2),
    "clamp from above": lambda x: x.clamp(max=0.2),
    "Hardsigmoid": F.hardsigmoid,
    "ReLU, then clamp": lambda x: F.relu(x).clamp(max=0.3),
    "Threshold at its value": lambda x: F.threshold(x, -0.1, -0.1),
    "largest of a constant": lambda x: torch.maximum(x, torch.tensor(-0.1)),
    "ReLU and its limit, by min": lambda x: torch.minimum(torch.relu(x), torch.tensor(0.3)),
}


@pytest.mark.parametrize("name", RECTIFIERS)
def test_what_limits_values_is_a_rectifier(name: str, check: Any) -> None:
    conversion = check(between(RECTIFIERS[name]), 12, near=0.02)
    assert isinstance(conversion.network.populations["a"].neuron, FewSpikes)
    assert len(conversion.network.populations) == 3


def test_a_limit_behind_a_rectifier_is_its_bound() -> None:
    graph = simplified(between(lambda x: F.relu(x).clamp(max=0.25)), 12)
    assert operators(graph) == ["Input", "Linear", "Relu", "Linear", "Output"]
    assert [node.op.bound for node in graph.nodes.values() if isinstance(node.op, Relu)] == [0.25]


WRITTEN: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "x sigmoid(x)": (lambda x: x * torch.sigmoid(x), "silu"),
    "sigmoid(x) x": (lambda x: torch.sigmoid(x).mul(x), "silu"),
    "x / (1 + exp(-x))": (lambda x: x / (1 + torch.exp(-x)), ""),
    "x hardsigmoid(x)": (lambda x: x * F.hardsigmoid(x), "hardswish"),
    "x (relu6(x + 3) / 6)": (lambda x: x * (F.relu6(x + 3) / 6), "hardswish"),
    "x clamp(x + 3, 0, 6) (1 / 6)": (lambda x: x * ((x + 3).clamp(0, 6) * (1 / 6)), "hardswish"),
    "gelu by erf": (lambda x: x * (0.5 * (1 + torch.erf(x / 2**0.5))), "gelu"),
    "gelu by tanh": (
        lambda x: (0.5 * x) * (1 + torch.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
        "gelu_tanh",
    ),
    "x tanh(softplus(x))": (lambda x: x * torch.tanh(F.softplus(x)), "mish"),
    "x x": (lambda x: x * x, "power"),
    "leaky by relus": (lambda x: F.relu(x) - 0.1 * F.relu(-x), ""),
    "leaky by max": (lambda x: torch.max(x, 0.1 * x), ""),
    "softsign": (lambda x: x / (1 + x.abs()), "softsign"),
    "x sigmoid(1.702 x)": (lambda x: x * torch.sigmoid(1.702 * x), ""),
    "x + tanh(x)": (lambda x: x + torch.tanh(x), ""),
    "tanh of relu": (lambda x: torch.tanh(F.relu(x)), ""),
    "relu of silu, shifted": (lambda x: F.relu(F.silu(x) + 0.1), ""),
    "dropped between": (lambda x: x * F.dropout(torch.sigmoid(x), 0.5, False), "silu"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_function_that_is_written_out_is_one_curve(name: str, check: Any) -> None:
    function, known = WRITTEN[name]
    graph = simplified(between(function), 12)
    assert operators(graph) == ["Input", "Linear", "Curve", "Linear", "Output"]
    (op,) = (node.op for node in graph.nodes.values() if isinstance(node.op, Curve))
    assert not known or op.name == known
    x = np.linspace(-9, 9, 500)[:, None]
    np.testing.assert_allclose(op.apply(x), function(torch.from_numpy(x)).numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["x / (1 + exp(-x))", "gelu by tanh", "leaky by max"])
def test_a_function_that_is_written_out_is_converted_word_for_word(name: str, check: Any) -> None:
    check(between(WRITTEN[name][0]), 12, near=0.02)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: F.relu(2 * x + 1) * 3 - 1, ["Affine", "Affine", "Relu", "Affine", "Affine"]),
        (lambda x: x + 2 * x, ["Affine", "Add"]),
        (lambda x: torch.tanh(3 * x) * 2, ["Affine", "Curve", "Affine"]),
    ],
)
def test_linear_parts_of_a_chain_stay_linear(function: Any, expected: list[str]) -> None:
    assert operators(simplified(between(function), 12)) == ["Input", "Linear", *expected, "Linear", "Output"]


def test_equal_constants_of_channels_are_one_number_for_any_part_of_them(check: Any) -> None:
    def forward(m: Functional, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([F.relu(m.a(x)), m.b(x)], 1)
        return m.c((both * torch.sigmoid(both * torch.full((7,), 1.7))).flatten(1))  # type: ignore[no-any-return]

    check(Functional(forward, a=nn.Linear(12, 4), b=nn.Linear(12, 3), c=nn.Linear(7, 4)), 12, near=0.02)


def test_a_value_that_others_read_too_is_no_part_of_a_curve_only(check: Any) -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        y = m.a(x)
        gate = torch.sigmoid(y)
        return m.b(y * gate) + m.c(gate)  # type: ignore[no-any-return]

    check(Functional(forward, a=nn.Linear(12, 9), b=nn.Linear(9, 4), c=nn.Linear(9, 4)), 12, near=0.03)


def test_products_of_two_values_are_refused_together_with_their_places() -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(m.a(x))
        y = y * torch.sigmoid(m.b(y.mean((2, 3), keepdim=True)))
        return (y * m.a(x)).mean((2, 3))  # type: ignore[no-any-return]

    model = Functional(forward, a=nn.Conv2d(2, 3, 1), b=nn.Conv2d(3, 3, 1))
    with pytest.raises(ConversionError) as caught:
        convert(model, np.ones((4, 2, 6, 6), np.uint8))
    message = str(caught.value)
    assert message.count("aten.mul.Tensor") == 2 and message.count("test_curves.py:") == 2
    assert "squeeze-and-excite" in message and "Train without them" in message


def test_an_activation_with_too_many_turns_is_refused() -> None:
    model = between(lambda x: torch.sin(1000 * x))
    with pytest.raises(
        ConversionError,
        match=r"^population 'a': the activation 'sin' \(aten.sin.default at .*\) goes up and down",
    ):
        convert(model, np.ones((4, 12), np.uint8), bits=8)


def conv(inputs: int, outputs: int, **options: Any) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options)


def head(features: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(features, 4)]


def slopes(channels: int) -> nn.PReLU:
    layer = nn.PReLU(channels)
    layer.weight.data = torch.linspace(-0.4, 0.9, channels)
    return layer


def residual(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.silu(m.stem(x))
    return m.head(F.elu(m.b(F.silu(m.a(x))) + x).flatten(1))  # type: ignore[no-any-return]


def concatenated(m: Any, x: torch.Tensor) -> torch.Tensor:
    both = torch.cat([torch.tanh(m.stem(x)), F.relu(m.a(x)), m.b(x)], 1)
    return m.head(m.slopes(both).flatten(1))  # type: ignore[no-any-return]


COMPANY: dict[str, nn.Module] = {
    "padding": nn.Sequential(conv(2, 3), nn.Tanh(), conv(3, 4), nn.SiLU(), *head(144)),
    "batch norm before and after": nn.Sequential(
        conv(2, 3), nn.BatchNorm2d(3), nn.ELU(), nn.BatchNorm2d(3), conv(3, 4), nn.ReLU(), *head(144)
    ),
    "slopes of channels": nn.Sequential(conv(2, 5), slopes(5), conv(5, 3), slopes(3), *head(108)),
    "max pool behind": nn.Sequential(conv(2, 3), nn.GELU(), nn.MaxPool2d(2, 2, 1), conv(3, 4), nn.ReLU(), *head(64)),
    "max pool before": nn.Sequential(conv(2, 3), nn.MaxPool2d(2), nn.SiLU(), conv(3, 4), nn.Tanh(), *head(36)),
    "average pool": nn.Sequential(conv(2, 3), nn.Tanh(), nn.AvgPool2d(3, 2, 1), conv(3, 4), nn.ReLU(), *head(36)),
    "global average": nn.Sequential(conv(2, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), *head(3)),
    "flattening before": nn.Sequential(conv(2, 3), nn.Flatten(), nn.SiLU(), nn.Linear(108, 4)),
    "strided and grouped": nn.Sequential(
        conv(2, 4), nn.Tanh(), conv(4, 4, stride=2, groups=4), nn.Hardswish(), *head(36)
    ),
    "last": nn.Sequential(nn.Flatten(), nn.Linear(72, 4), nn.LeakyReLU(0.3)),
    "of the input": nn.Sequential(nn.Tanh(), conv(2, 3), nn.ReLU(), *head(108)),
    "of a curve": nn.Sequential(conv(2, 3), nn.Tanh(), nn.SiLU(), conv(3, 2), nn.ReLU(), *head(72)),
    "residual": Functional(residual, stem=conv(2, 3), a=conv(3, 3), b=conv(3, 3), head=nn.Linear(108, 4)),
    "concatenation, slopes": Functional(
        concatenated, stem=conv(2, 2), a=conv(2, 3), b=conv(2, 2), slopes=slopes(7), head=nn.Linear(252, 4)
    ),
    "all places alike": nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Conv2d(3, 4, 3), nn.ReLU(), *head(16)),
}


@pytest.mark.parametrize("name", COMPANY)
def test_values_below_0_go_through_all_that_follows(name: str, check: Any) -> None:
    check(COMPANY[name], 2, 6, 6, near=0.06)


@pytest.mark.parametrize(("layer", "first"), [(nn.Tanh(), "Curve"), (nn.SiLU(), "MaxPool")])
def test_only_what_rises_moves_before_a_max_pool(layer: nn.Module, first: str) -> None:
    graph = simplified(nn.Sequential(nn.Conv2d(2, 3, 1), nn.MaxPool2d(2), layer), 2, 6, 6)
    kinds = [kind for kind in operators(graph) if kind in ("Curve", "MaxPool")]
    assert kinds[0] == first


def test_words_of_0_are_taken_off_the_bias_where_there_is_no_padding(check: Any) -> None:
    network = check(COMPANY["all places alike"], 2, 6, 6, near=None).network
    assert np.asarray(network.populations["m2"].neuron.bias).ndim <= 1  # type: ignore[attr-defined]
    padded = check(COMPANY["padding"], 2, 6, 6, near=None).network
    assert np.asarray(padded.populations["m2"].neuron.bias).shape == (4, 6, 6)  # type: ignore[attr-defined]


def test_values_near_0_cost_few_spikes() -> None:
    rng = np.random.default_rng(0)
    first = nn.Linear(12, 40, bias=False)
    first.weight.data *= 12
    model = nn.Sequential(first, nn.SiLU(), nn.Linear(40, 4))
    data = rng.integers(0, 256, (200, 12))
    made = convert(model, data, bits=6).quantised.layers[1]
    zero = made.grid.zero  # type: ignore[union-attr]
    assert (zero >= 0).all() and 0 < np.median(zero) < 16


def test_errors_of_layers_before_allow_no_more_of_this_one() -> None:
    """A share of what came before would grow with each layer of a deep network."""
    rng = np.random.default_rng(0)
    v = rng.standard_normal((3, 4000)).astype(np.float32) * 800
    curved, scale = Curved.of(curve("silu"), 0, 3, 3), np.full(3, 0.004)
    y = curved.real(v * 0.004)
    far = y + rng.normal(0, 1, y.shape).astype(np.float32)

    def added(target: Array) -> Array:
        grid = curved.fit(v, target, y.max(axis=1), scale, 6, together=False)
        found: Array = np.square(grid.real(curved.words(v.T, scale, grid, 6)).T - y).mean(axis=1)
        return found

    assert (added(far) < 2.5 * added(y)).all()


def test_functions_that_are_not_negative_begin_at_word_0() -> None:
    data = np.random.default_rng(0).integers(0, 256, (200, 12))
    for layer in (nn.Softplus(), nn.ReLU()):
        made = convert(nn.Sequential(nn.Linear(12, 20), layer, nn.Linear(20, 4)), data).quantised.layers[1]
        assert (made.grid.zero <= 0).all()  # type: ignore[union-attr]


def test_a_rectifier_behind_a_curve_that_is_not_negative_is_no_population(check: Any) -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.b(F.relu(torch.cat([torch.sigmoid(m.a(x)), m.c(x)], 1)))  # type: ignore[no-any-return]

    model = Functional(forward, a=nn.Linear(12, 5), b=nn.Linear(10, 4), c=nn.Linear(12, 5))
    assert set(check(model, 12, near=0.03).network.populations) == {"input", "a", "c", "output"}


def test_sums_of_curves_are_of_either_sign(check: Any) -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(m.a(x))
        return m.b(F.relu(F.max_pool2d(y, 2)).flatten(1)) + m.c(y.flatten(1))  # type: ignore[no-any-return]

    model = Functional(forward, a=nn.Conv2d(2, 3, 1), b=nn.Linear(27, 4), c=nn.Linear(108, 4))
    check(model, 2, 6, 6, near=0.03)


def test_dense_words_are_read_by_plain_connections(check: Any) -> None:
    network = check(nn.Sequential(nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 4)), 12).network
    assert all(isinstance(projection.connection, Dense) for projection in network.projections)


def test_a_function_that_is_not_finite_somewhere_is_converted_where_it_is(check: Any) -> None:
    check(between(lambda x: torch.log(x * x + 0.1)), 12, near=0.05)


@pytest.mark.parametrize("function", [torch.maximum, torch.minimum])
def test_the_larger_of_two_values_is_a_rectified_difference(function: Any, check: Any) -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.c(function(m.a(x), m.b(x)))  # type: ignore[no-any-return]

    check(Functional(forward, a=nn.Linear(12, 9), b=nn.Linear(12, 9), c=nn.Linear(9, 4)), 12, near=0.05)


def test_a_curve_is_the_same_on_the_emulated_board(tmp_path: Path) -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("ziglang")
    torch.manual_seed(0)
    model = nn.Sequential(conv(1, 2), nn.SiLU(), nn.MaxPool2d(2), *head(18))
    data = np.random.default_rng(0).integers(0, 256, (20, 1, 6, 6)).astype(np.uint8)
    conversion = convert(model, data, bits=5)
    folder, board = tmp_path / "fw", "generic-cortex-m4"
    made = deploy(conversion.network, folder, board, data[:3], run=True, emulator="unicorn", toolchain="zig")
    assert made.run is not None and made.run.identical
    np.testing.assert_array_equal(made.run.outputs, evaluate(conversion.quantised, data[:3])["output"])
