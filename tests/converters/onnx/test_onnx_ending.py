# SPDX-License-Identifier: Apache-2.0
"""Models that end at values which the user names, and what is said where most of a model could be read."""

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper
from onnxfiles import FLOAT, made, node, weights, write

from spikerun.cli import main
from spikerun.converters import open_source
from spikerun.converters.graph import Array
from spikerun.converters.onnx.source import OnnxSource
from spikerun.errors import ConversionError, UsageError

ROW = {"x": ["n", 6]}
HEAD = [
    node("Gemm", "x w", "features"),
    node("Relu", "features", "/head/active"),
    node("Gemm", "/head/active v", "scores"),
    node("Softmax", "scores", "shares"),
    node("Mul", "shares scores", "y"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


@pytest.fixture
def headed(file: Path) -> Path:
    """Return a file whose head cannot be converted."""
    return write(file, made(HEAD, ROW, constants={"w": weights(6, 8), "v": weights(8, 3)}))


def refused(source: OnnxSource) -> str:
    with pytest.raises(ConversionError) as error:
        source.graph({name: (6,) for name in source.inputs.values()})
    return str(error.value)


def test_a_model_ends_at_named_values(headed: Path) -> None:
    source = OnnxSource(headed, ["/head/active", "scores"])
    batch = {"input": np.random.default_rng(0).normal(size=(5, 6))}
    found, expected = source.graph({"input": (6,)}).evaluate(batch), source.logits(batch)
    assert list(expected) == ["_head_active", "scores"]
    assert expected["_head_active"].shape == (5, 8) and expected["_head_active"].min() == 0
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)


def test_names_of_values_may_be_one_text(headed: Path) -> None:
    source = open_source(str(headed), outputs="features,scores")
    assert isinstance(source, OnnxSource) and list(source.results) == ["features", "scores"]


def test_a_single_named_value_is_the_output(headed: Path) -> None:
    assert OnnxSource(headed, ["features"]).results == {"features": "output"}


def test_what_stands_at_a_named_end_and_scales_is_left_out(headed: Path) -> None:
    source = OnnxSource(headed, ["shares"])
    assert list(source.results) == ["scores"] and "Softmax" in source.notes[0]


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        (["score"], "gives 'score'. Did you mean 'scores'?"),
        (["qqq"], "gives 'qqq'. Its results are y."),
        (["x"], "'x' is an input of the file"),
        (["w"], "'w' is a constant of the file"),
        (["scores", "scores"], "several different ones, got 'scores,scores'"),
        ([], "name one value"),
        (["\x1b[2J"], "\\x1b[2J"),
    ],
)
def test_other_names_are_refused(headed: Path, outputs: list[str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        OnnxSource(headed, outputs)
    assert said in str(error.value)


def test_where_the_head_is_refused_its_values_are_suggested(headed: Path) -> None:
    message = refused(OnnxSource(headed))
    assert "Softmax" in message
    assert message.endswith("What stands before, with 100% of the weights, may convert alone: --outputs 'scores'")
    assert OnnxSource(headed, ["scores"]).graph({"input": (6,)})


def test_results_that_could_be_read_are_suggested_too(file: Path) -> None:
    model = made(HEAD, ROW, ["y", "features"], {"w": weights(6, 8), "v": weights(8, 3)})
    assert refused(OnnxSource(write(file, model))).endswith("--outputs 'features,scores'")


def test_nothing_is_suggested_where_most_weights_lie_behind(file: Path) -> None:
    nodes = [node("Gemm", "x w", "a"), node("Softmax", "a", "b"), node("Mul", "b a", "c"), node("Gemm", "c v", "y")]
    model = made(nodes, ROW, constants={"w": weights(6, 8), "v": weights(8, 30)})
    assert "--outputs '" not in refused(OnnxSource(write(file, model)))


def branched(strange: str) -> ModelProto:
    """Return a model that does one of two things, which the length of an input without axes chooses."""
    graphs = [
        helper.make_graph(
            [node(name, "x w r", "one", hidden_size=4) if name == "LSTM" else node(name, "x", "one")],
            name,
            [],
            [helper.make_tensor_value_info("one", FLOAT, None)],
        )
        for name in (strange, "Relu")
    ]
    choice = node("If", "chosen", "y", then_branch=graphs[0], else_branch=graphs[1])
    return made(
        [node("Equal", "rate k", "chosen"), choice],
        {"x": [1, 1, 6], "rate": []},
        constants={"k": np.array(1, np.float32), "w": weights(1, 16, 6), "r": weights(1, 16, 4)},
    )


def test_branches_are_refused_whatever_the_inputs_are(file: Path) -> None:
    message = refused(OnnxSource(write(file, branched("LSTM"))))
    assert "If at output 'y'" in message and "branches that depend on the data" in message
    assert "It holds LSTM: recurrent layers are not converted" in message


def test_branches_of_what_could_be_read_are_refused_alone(file: Path) -> None:
    assert "It holds" not in refused(OnnxSource(write(file, branched("Tanh"))))


def test_recurrent_layers_are_refused_before_the_batches_of_their_state(file: Path) -> None:
    nodes = [node("LSTM", "x w r - - h", "y", hidden_size=4)]
    model = made(nodes, {"x": [1, 1, 6], "h": [2, 1, 4]}, constants={"w": weights(1, 16, 6), "r": weights(1, 16, 4)})
    source = OnnxSource(write(file, model))
    with pytest.raises(ConversionError, match="recurrent layers"):
        source.graph({"x": (1, 6), "h": (1, 4)})


def test_recurrent_layers_are_named_behind_what_is_there_for_them_alone(file: Path) -> None:
    nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), node("LSTM", "t w r", "y", hidden_size=4)]
    model = made(nodes, {"x": [1, 5, 6]}, constants={"w": weights(1, 16, 6), "r": weights(1, 16, 4)})
    with pytest.raises(ConversionError, match=r"(?s)Transpose.*recurrent layers"):
        OnnxSource(write(file, model)).graph({"input": (5, 6)})


def test_the_option_is_of_onnx_files_alone(headed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"--outputs: FILE.py:FUNCTION takes no such option"):
        open_source("m.py:build", outputs="y")
    arguments = ["--calibration", "none.npz", "-o", str(tmp_path / "m.snn"), "--outputs", "score"]
    assert main(["convert", str(headed), *arguments]) != 0
    assert "Did you mean 'scores'?" in "".join(capsys.readouterr())


def test_a_softmax_between_pairs_of_a_quantised_file_is_left_out(file: Path) -> None:
    scaled: dict[str, Array] = {"s": np.array(0.1, np.float32), "z": np.array(0, np.int8)}
    nodes = [node("Gemm", "x w", "a")]
    for k, (name, end) in enumerate((("a", "b"), ("c", "y"))):
        nodes += [node("QuantizeLinear", f"{name} s z", f"q{k}"), node("DequantizeLinear", f"q{k} s z", end)]
        nodes += [node("Softmax", "b", "c")] if not k else []
    source = OnnxSource(write(file, made(nodes, ROW, constants={"w": weights(6, 8), **scaled})))
    assert any("Softmax" in note for note in source.notes)
    assert source.graph({"input": (6,)}).evaluate({"input": np.ones((1, 6))})["output"].shape == (1, 8)
