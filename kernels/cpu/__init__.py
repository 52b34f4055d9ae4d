"""CPU kernels in C++."""
