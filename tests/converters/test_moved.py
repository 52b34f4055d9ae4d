# SPDX-License-Identifier: Apache-2.0
"""Values that come to other places: words that are copied there, beside words of 0, equal the quantised ANN."""

from collections.abc import Mapping

import numpy as np

from spikerun.converters import Conversion, Encoding, convert
from spikerun.converters.curves import curve
from spikerun.converters.graph import (
    Add,
    Array,
    Conv,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    Op,
    Output,
    Rearrange,
    Relu,
    Shape,
)
from spikerun.converters.populations import Populations
from spikerun.converters.source import Source
from spikerun.converters.verify import evaluate
from spikerun.reference import blocked
from spikerun.session import Session

RNG = np.random.default_rng(3)
SAMPLES = RNG.integers(0, 256, (32, 2, 1, 4)).astype(np.uint8)


class Drawn(Source):
    """A graph as a source: operators in a row, each with the shape of its result and what it reads."""

    def __init__(self, **rows: tuple[Op, Shape, tuple[str, ...]]) -> None:
        nodes = {"input": Node("input", Input(), (), SAMPLES.shape[1:])}
        nodes |= {name: Node(name, op, inputs, shape) for name, (op, shape, inputs) in rows.items()}
        last = next(reversed(nodes.values()))
        self.drawn = Graph({**nodes, "end": Node("end", Output(), (last.name,), last.shape)})

    @property
    def name(self) -> str:
        return "drawn"

    def graph(self, shapes: Mapping[str, Shape]) -> Graph:
        return self.drawn

    def logits(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        return self.drawn.evaluate(batch)


def converted(source: Source) -> Conversion:
    """Return the conversion in 8 bits, whose words all equal the quantised ANN, in the session and in the reference."""
    conversion = convert(source, SAMPLES, bits=8)
    expected = conversion.gone.left(evaluate(conversion.quantised, SAMPLES[:2]))
    ran = Session(conversion.network).run(SAMPLES[:2], trace=True)
    turns = blocked(conversion.network, {"input": SAMPLES[0].astype(np.int64)})
    for name, words in expected.items():
        np.testing.assert_array_equal(ran.outputs[name] if name in ran.outputs else ran.words[name], words)
        one = turns[name].membrane if name in ran.outputs else turns[name].word
        assert one is not None
        np.testing.assert_array_equal(one, words[0])
    real = conversion.network.populations["output"].real(evaluate(conversion.quantised, SAMPLES)["output"])
    wanted = source.logits({"input": Encoding().real(SAMPLES)})["output"]
    assert np.abs(real.reshape(wanted.shape) - wanted).mean() < 0.03 * wanted.std()
    return conversion


def conv(out: int, inside: int, kernel: int, bias: float = 0.0) -> Conv:
    return Conv(RNG.normal(0, 0.4, (out, inside, 1, kernel)), np.full(out, bias))


def test_words_that_a_relay_puts_beside_words_of_0_have_a_word_of_0() -> None:
    """Else those of values far above 0 begin above it, and none is left to be held."""
    bent = curve("softplus", 1.0, 20.0)
    around = np.where(np.arange(6) < 4, np.arange(6) + 4 * np.arange(3).reshape(3, 1, 1), -1)
    zeros = {}
    for name, places in (("whole", np.arange(12).reshape(3, 1, 4)), ("padded", around)):
        beside = Conv(RNG.normal(0, 0.4, (3, 2, 1, 3)), np.zeros(3), padding=(0, places.shape[2] // 2 - 1))
        shape = places.shape
        conversion = converted(
            Drawn(
                a=(conv(3, 2, 1, 4.0), (3, 1, 4), ("input",)),
                bent=(bent, (3, 1, 4), ("a",)),
                moved=(Rearrange(places), shape, ("bent",)),
                b=(beside, shape, ("input",)),
                sum=(Add(), shape, ("moved", "b")),
                relu=(Relu(), shape, ("sum",)),
            )
        )
        layer = next(layer for layer in conversion.quantised.layers if layer.name == "bent")
        zeros[name] = layer.grid.zero.tolist()  # type: ignore[union-attr,operator]
    assert max(zeros["whole"]) < 0 <= min(zeros["padded"])


def test_an_image_of_one_pixel_whose_values_are_moved_is_flattened() -> None:
    first, second = (Rearrange(np.array(places).reshape(3, 1, 1)) for places in ([2, 0, 5], [11, 3, 7]))
    converted(
        Drawn(
            a=(conv(12, 2, 4), (12, 1, 1), ("input",)),
            relu=(Relu(), (12, 1, 1), ("a",)),
            first=(first, (3, 1, 1), ("relu",)),
            second=(second, (3, 1, 1), ("relu",)),
            sum=(Add(), (3, 1, 1), ("first", "second")),
            flat=(Flatten(), (3,), ("sum",)),
            b=(Linear(RNG.normal(0, 0.4, (3, 3)), np.zeros(3)), (3,), ("flat",)),
        )
    )


def test_pools_of_one_source_whose_results_have_other_shapes_are_two() -> None:
    made, op = Populations(set()), MaxPool((1, 2), (1, 2), (0, 0), (1, 1))
    made.input("input", (2, 1, 5), Encoding())
    pools = [
        made.pool("input", shape, op, Node("pool", op, ("input",), shape)).name
        for shape in ((2, 1, 2), (2, 1, 3), (2, 1, 2))
    ]
    assert pools == ["input_pool", "input_pool_2", "input_pool"]
