# SPDX-License-Identifier: Apache-2.0
"""What is refused is named as people know it: the gate, the LSTM, the attention, with its module and its class."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikerun.converters import convert
from spikerun.errors import ConversionError
from tests.onnxfiles import made, node, weights, write

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8), dtype=np.uint8)


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * nn.functional.dropout(self.gate(x), training=False)


class Rows(nn.Module):
    """Takes an image as a sequence of its rows."""

    def __init__(self, kind: Callable[..., nn.Module], batch_first: bool = True, **options: int) -> None:
        super().__init__()
        self.inner = kind(8, batch_first=batch_first, **options)
        self.batch_first = batch_first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.squeeze(1)
        x = x if self.batch_first else x.transpose(0, 1)
        given = [x] * (3 if isinstance(self.inner, nn.MultiheadAttention) else 1)
        found: torch.Tensor = self.inner(*given)[0]
        return found.flatten(1)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x.squeeze(1)).reshape(len(x), 8, 3, 2, 4).permute(2, 0, 3, 1, 4)
        found: torch.Tensor = ((q @ k.transpose(-2, -1)).softmax(-1) @ v).flatten(1)
        return found


def refused(model: nn.Module) -> list[str]:
    """Return what is refused, a line and its advice each."""
    with pytest.raises(ConversionError) as caught:
        convert(model, IMAGES)
    return str(caught.value).split("\n  - ")[1:]


def body(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), *layers, nn.Flatten(), nn.Linear(144, 4))


def test_a_gate_is_named_by_its_module_and_class() -> None:
    (gate,) = refused(body(nn.ReLU(), SqueezeExcite()))
    assert gate.startswith("aten.mul.Tensor in module '2' (SqueezeExcite) at ")
    assert "Train without them" in gate


def test_a_gate_is_named_beside_operators_that_have_no_rule() -> None:
    norm, gate = refused(body(nn.GroupNorm(2, 4), SqueezeExcite()))
    assert norm.startswith("aten.group_norm.default in module '1' (GroupNorm)")
    assert gate.startswith("aten.mul.Tensor in module '2' (SqueezeExcite)") and "train without it" in gate


def test_functions_of_one_value_are_no_gates_beside_what_is_refused() -> None:
    assert len(refused(body(nn.GroupNorm(2, 4), nn.SiLU(), nn.Hardswish(), nn.Mish()))) == 1


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
def test_a_recurrent_layer_is_named_as_a_whole(kind: type[nn.Module], batch_first: bool) -> None:
    first, *_ = refused(Rows(kind, batch_first, hidden_size=6))
    assert first.startswith(f"{kind.__name__} in module 'inner' at ") and "recurrent layers are not converted" in first


def test_attention_is_named_as_a_whole() -> None:
    (only,) = refused(Rows(nn.MultiheadAttention, num_heads=2))
    assert only.startswith("MultiheadAttention in module 'inner' at ") and "train without it" in only


def test_a_block_of_a_transformer_names_its_attention_and_its_norms() -> None:
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    names = [one.partition(" at ")[0] for one in refused(nn.Sequential(nn.Flatten(1, 2), block))]
    assert names == [
        "MultiheadAttention in module '1.self_attn'",
        "aten.layer_norm.default in module '1.norm1' (LayerNorm)",
        "aten.layer_norm.default in module '1.norm2' (LayerNorm)",
    ]


def test_attention_that_is_written_out_is_refused_by_its_products() -> None:
    found = refused(nn.Sequential(Attention()))
    assert any("aten.matmul.default in module '0' (Attention)" in one for one in found)


def test_a_gated_linear_unit_is_called_a_gate() -> None:
    (only,) = refused(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GLU()))
    assert only.startswith("aten.glu.default in module '2' (GLU)") and "a gate multiplies two" in only


def test_a_gate_of_an_onnx_file_is_named_beside_operators_that_have_no_rule(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "a"), node("Conv", "x v", "b"), node("Sigmoid", "b", "c"),
        node("Mul", "a c", "d", name="/gate/Mul"), node("LpPool", "d", "y", kernel_shape=[2, 2]),
    ]  # fmt: skip
    constants = {"w": weights(4, 1, 3, 3), "v": weights(4, 1, 3, 3, seed=1)}
    write(tmp_path / "gate.onnx", made(nodes, {"x": ("n", 1, 8, 8)}, constants=constants))
    with pytest.raises(ConversionError, match=r"LpPool(.|\n)*- Mul in module 'gate' .*\n.*gates, attention"):
        convert(f"{tmp_path}/gate.onnx", IMAGES)
