# SPDX-License-Identifier: Apache-2.0
"""Samples one at a time, prepared: what they return, what is left to a closer look, and refusals."""

import re
from typing import Any

import numpy as np
import pytest
from programs import Bench, i32

from spikerun.kernels.cpu.native import Program

WORDS, SUMS = 0, 1


def doubled() -> tuple[Program, Any]:
    """Return a program that adds twice its six words to the numbers 0..5, and a run of it, in two passes."""
    program = Program([("int16", 6, 0), ("int32", 6, 0)])
    program.initial(SUMS, np.arange(6, dtype=np.int32))
    program.accumulate(x=WORDS, total=SUMS, significance=[1])
    program.count(word=WORDS, fan_out=i32(3), mode="nonzero", bits=1, slot=0)
    return program, prepared(program)


def prepared(program: Program, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "input": WORDS,
        "shape": (2, 1, 3),
        "channels": 2,
        "low": 0,
        "high": 255,
        "outputs": [("sums", (1, 2, 1, 3), SUMS, 2, False), ("words", (1, 2, 1, 3), WORDS, 2, False)],
        "scales": [],
        "counters": ["words"],
        "steps": 2,
        "threads": 1,
        "empty": np.empty,
        "dtype": np.dtype(np.int32),
    }
    return program.prepare(**arguments | changes)


def test_a_prepared_run_returns_outputs_channels_first_and_counters() -> None:
    sample = np.array([[[[1, 0, 3]], [[4, 5, 255]]]], np.uint8)
    outputs, counted, largest = doubled()[1].run(sample)
    # in the registers channels are last: number 2 p + c is of place p and channel c
    start = np.array([[[[0, 2, 4]], [[1, 3, 5]]]])
    np.testing.assert_array_equal(outputs["sums"], start + 2 * sample.astype(np.int32))
    np.testing.assert_array_equal(outputs["words"], sample)
    assert [a.dtype for a in outputs.values()] == [np.int32, np.int32]
    assert counted == {"words": (10, 30)}
    assert largest == 5


@pytest.mark.parametrize(
    ("scales", "values", "place"),
    [
        ([], [3, 7, 7, -1], 1),
        ([1.0, 1.0, 2.0, -1.0], [3, 7, 7, -1], 2),
        ([1.0, 2.0, 0.5, 1.0], [-5, -5, -8, -4], 2),
        ([1.0] * 4, [2**24, 2**24 + 1, 0, 0], 0),  # as float32 they are the same
        ([3e38] * 4, [1, 2**14, 2**13, 0], 1),
    ],
)
def test_the_largest_is_that_of_the_products_and_the_first_of_equals(
    scales: list[float], values: list[int], place: int
) -> None:
    program = Program([("int16", 4, 0), ("int32", 4, 0)])
    program.initial(SUMS, i32(*values))
    output = [("sums", (1, 4), SUMS, 1, False)]
    made = prepared(program, shape=(4,), channels=1, outputs=output, scales=scales, counters=[])
    assert made.run(np.zeros((1, 4), np.uint8))[2] == place
    with np.errstate(over="ignore"):
        products = np.array(values, np.float32) * np.array(scales or [1], np.float32)
    assert products.argmax() == place or not scales


def test_prepared_runs_begin_at_the_initial_values_each_time() -> None:
    run = doubled()[1].run
    sample = np.ones((1, 2, 1, 3), np.int16)
    first, second = run(sample), run(sample)
    np.testing.assert_array_equal(first[0]["sums"], second[0]["sums"])
    assert first[1] == second[1]


def test_unsigned_words_are_returned_as_they_are() -> None:
    program = Program([("int16", 2, 0)])
    output = [("words", (1, 2), WORDS, 1, True)]
    run = prepared(program, shape=(2,), channels=1, high=65535, outputs=output, counters=[]).run
    assert run(np.array([[65535, 1]], np.uint16))[0]["words"].tolist() == [[65535, 1]]


@pytest.mark.parametrize(
    "sample",
    [
        np.zeros((2, 2, 1, 3), np.uint8),
        np.zeros((2, 1, 3), np.uint8),
        np.zeros((1, 2, 3, 1), np.uint8),
        np.zeros((1, 2, 1, 6), np.uint8)[..., ::2],
        np.zeros((1, 2, 1, 3), np.int32),
        np.zeros((1, 2, 1, 3), bool),
        np.zeros((1, 2, 1, 3), ">i2"),
        np.full((1, 2, 1, 3), -1, np.int8),
        np.full((1, 2, 1, 3), 256, np.uint16),
        [[[[0, 0, 0]], [[0, 0, 0]]]],
    ],
)
def test_what_needs_a_closer_look_is_left_to_it(sample: Any) -> None:
    assert doubled()[1].run(sample) is None


def test_what_is_made_anew_is_not_cleared_and_all_else_is() -> None:
    program = Program([("int16", 3, 0), ("int32", 3, 0), ("int32", 3, 64)])
    program.anew([1])
    for number in (1, 2):
        program.accumulate(x=WORDS, total=number, significance=[1])
    sample = np.ones((4, 3), np.int16)
    kept, cleared = program.run_batch([(WORDS, sample)], [1, 2])[0]
    assert (kept[:, 0].tolist(), cleared[:, 0].tolist()) == ([1, 2, 3, 4], [1, 1, 1, 1])


def test_timed_passes_are_passes() -> None:
    bench = Bench(word=("int16", 4), total=("int32", 4))
    bench.add("accumulate", x="word", total="total", significance=[1]).add("clear", x="word", begin=5)
    bench.put(word=7)
    times = bench.program.timed_step(bench.workspace)
    assert (bench["total"].tolist(), bench.workspace.t) == ([7] * 4, 1)
    assert len(times) == 2
    assert times[0] >= 0
    assert times[1] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input": SUMS}, "input: register 1 is int32"),
        ({"shape": (2, 3, 3)}, "shape: larger than the register"),
        ({"shape": (5,)}, "shape: expected 6 elements, got 5"),
        ({"channels": 4}, "channels: a number of channels that does not divide"),
        ({"low": 1}, "low: expected -32768..0, got 1"),
        ({"high": 65536}, "high: expected 0..65535, got 65536"),
        ({"outputs": [("sums", (1, 6), SUMS, 5, False)]}, "outputs: a number of channels"),
        ({"outputs": []}, "outputs: expected one or more"),
        ({"scales": [1.0]}, "scales: expected 6 elements, got 1"),
        ({"counters": []}, "counters: expected 1 elements, got 0"),
        ({"steps": 0}, "steps: expected 1.."),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        prepared(doubled()[0], **changes)
