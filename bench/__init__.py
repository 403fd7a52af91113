"""The benchmarks: ``python -m bench`` in a checkout, ``voxtral-kernels bench`` where the package is installed."""
