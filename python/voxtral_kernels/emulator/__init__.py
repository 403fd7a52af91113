"""Metal kernels run and checked on the CPU."""
