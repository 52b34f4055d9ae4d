# SPDX-License-Identifier: Apache-2.0
"""The choice of an instruction set."""

import os
import platform
import subprocess
import sys

import pytest

from spikerun.kernels.cpu.native import choose_isa, isa, isas

SHOW = "from spikerun.kernels.cpu.native import isa; print(isa())"


def run(chosen: str | None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "SPIKERUN_ISA"}
    environment |= {} if chosen is None else {"SPIKERUN_ISA": chosen}
    code = f"import sys; sys.path[:0] = {sys.path!r}; {SHOW}"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_a_processor_has_those_of_its_kind_from_the_first_to_its_best() -> None:
    kinds = ["sse4", "v3", "v4", "v4-vnni"], ["neon"], ["generic"]
    assert any(isas() == kind[: len(isas())] for kind in kinds)
    assert (isas() == ["neon"]) == (platform.machine() == "aarch64")


def test_the_best_is_the_default() -> None:
    assert run(None).stdout.strip() == isas()[-1]


@pytest.mark.parametrize("name", isas())
def test_the_environment_chooses(name: str) -> None:
    assert run(name).stdout.strip() == name


def test_an_unknown_one_in_the_environment_is_an_error_that_says_which_there_are() -> None:
    assert f"SPIKERUN_ISA: this processor has {', '.join(isas())}, got 'sse9'" in run("sse9").stderr


def test_an_unknown_one_leaves_the_choice_as_it_was() -> None:
    before = isa()
    with pytest.raises(ValueError, match=rf"^isa: this processor has '{isas()[0]}'.*, got 'avx'"):
        choose_isa("avx")
    assert isa() == before
