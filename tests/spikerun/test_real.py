# SPDX-License-Identifier: Apache-2.0
"""What a network's meta says of its inputs, by whatever name."""

from spikerun import real


def test_what_is_written_of_an_input_is_known_of_it_alone() -> None:
    said = {"scale": 0.25, "mean": "0.5 0.4"}
    meta = {"bits": 4, **real.named("eye", said), **real.named("ear", {"scale": 2.0})}
    assert real.known(meta, "eye") == said
    assert real.known(meta, "ear") == {"scale": 2.0}
    assert real.known(meta, "nose") == {}


def test_the_formula_leaves_out_what_changes_nothing() -> None:
    assert real.formula({"x_scale": 0.25}, "x", "q * {}") == "q * 0.25"
    assert real.formula({"x_scale": 0.25, "x_std": 2}, "x", "q * {}") == "(q * 0.25 - (0)) / (2)"
    assert real.formula({"x_mean": 0.25}, "x", "q * {}") == ""


def test_the_formula_holds_nothing_that_steers_a_terminal_and_ends_in_time() -> None:
    text = real.formula({"x_scale": "\x1b[2J\n\n1", "x_mean": "1 " * 100}, "x", "{} x")
    assert text.startswith(r"(\x1b[2J 1 x - (1 1 ") and text.endswith("...)) / (1)") and len(text) < 100
