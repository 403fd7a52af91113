"""Metal kernels run and checked on the CPU.

    kernel = emulator.metal_kernel(name="scale", input_names=["x"], output_names=["y"], source="...")
    (y,) = kernel(inputs=[x], template=[("T", x.dtype)], grid=(n, 1, 1), threadgroup=(256, 1, 1),
                  output_shapes=[x.shape], output_dtypes=[x.dtype])
    kernel.report.findings, kernel.report.counters

``library`` runs whole ``.metal`` texts, ``check_order`` looks for results that hang on the schedule. docs/emulator.md
says what is checked and what only an Apple GPU can tell.
"""

from .custom_kernel import metal_kernel
from .errors import KernelError
from .metal_library import library
from .order import check_order
from .report import Finding, Report

__all__ = ["Finding", "KernelError", "Report", "check_order", "library", "metal_kernel"]
