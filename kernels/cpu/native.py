"""The one place that imports the compiled kernels; a build that does not fit this source says so."""

try:
    import _spikerun_cpu as _native
except ImportError as error:
    raise ImportError(
        f"the compiled kernels of spikerun are missing or do not load ({error}); rebuild: pip install ."
    ) from error

EXPECTED_ABI = 1

if EXPECTED_ABI != _native.ABI:
    raise ImportError(
        f"the compiled kernels have ABI {_native.ABI}, this source needs {EXPECTED_ABI}; rebuild: pip install ."
    )

Linear = _native.Linear
Program = _native.Program
Workspace = _native.Workspace

__all__ = ["EXPECTED_ABI", "Linear", "Program", "Workspace"]
