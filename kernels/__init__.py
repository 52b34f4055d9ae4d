"""Arrays in, arrays out: the arithmetic of spikerun, without knowledge of networks. The operations: README.md."""

if __name__ != "spikerun.kernels":
    raise ImportError("import spikerun.kernels instead")

from .cpu.native import Linear, Program, Workspace

__all__ = ["Linear", "Program", "Workspace"]
