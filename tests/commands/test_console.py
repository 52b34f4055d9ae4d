# SPDX-License-Identifier: Apache-2.0
"""What commands say on a terminal while they work."""

import io
import sys

import pytest

from spikerun.console import stages


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        return True


def test_stages_of_a_long_work_fit_a_terminal_and_each_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", written := Terminal())
    with stages() as tell:
        for epoch in range(40):
            tell("train", epoch, 40)
            tell(f"epoch {epoch} of 40", 1, 1)
    lines = written.getvalue().replace("\r", "\n").split("\n")
    assert len([line for line in lines if "epoch 0 of 40" in line and "━" not in line]) == 1
