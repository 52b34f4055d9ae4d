# SPDX-License-Identifier: Apache-2.0
"""The room is entered by its own name, and torch is loaded only when something is converted."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["spikerun.converters", "spikerun.converters.command", "spikerun.converters.rules"])
def test_importing_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_report_loads_no_command_line() -> None:
    code = "import sys, spikerun.converters.report; sys.exit('typer' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_another_import_name_is_refused() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import converters"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert "import spikerun.converters instead" in result.stderr
