# SPDX-License-Identifier: Apache-2.0
"""The one place that imports the compiled kernels; a build that does not fit this source says so.

The environment variable SPIKERUN_ISA chooses their instruction set (of x86-64 sse4, v3: AVX2, v4: AVX-512, v4-vnni;
neon on 64-bit Arm; generic on processors with none of them); by default it is the best that the processor has.
"""

import os

from spikerun.errors import UsageError

try:
    import _spikerun_cpu as _native
except ImportError as error:
    raise ImportError(
        f"the compiled kernels of spikerun are missing or do not load ({error}); rebuild: pip install ."
    ) from error

EXPECTED_ABI = 11

if EXPECTED_ABI != _native.ABI:
    raise ImportError(
        f"the compiled kernels have ABI {_native.ABI}, this source needs {EXPECTED_ABI}; rebuild: pip install ."
    )

FILE = str(_native.__file__)
Feed = _native.Feed
Late = _native.Late
Linear = _native.Linear
Pace = _native.Pace
Prepared = _native.Prepared
Program = _native.Program
Workspace = _native.Workspace
choose_isa = _native.choose_isa
isa = _native.isa
isas = _native.isas
threads_meet = _native.threads_meet

__all__ = [
    "EXPECTED_ABI",
    "FILE",
    "Feed",
    "Late",
    "Linear",
    "Pace",
    "Prepared",
    "Program",
    "Workspace",
    "choose_isa",
    "isa",
    "isas",
    "threads_meet",
]

if wanted := os.environ.get("SPIKERUN_ISA"):
    if wanted not in isas():
        raise UsageError(f"SPIKERUN_ISA: this processor has {', '.join(isas())}, got '{wanted}'")
    choose_isa(wanted)
