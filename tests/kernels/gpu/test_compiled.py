# SPDX-License-Identifier: Apache-2.0
"""Kernels that Triton's interpreter runs are compiled for a GPU, too: it takes more than the compiler does."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("compiled.py")


def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    environment = os.environ | {
        "TRITON_INTERPRET": "0",
        "TRITON_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert len(said) == 9 and set(said.values()) == {"True"}, said
