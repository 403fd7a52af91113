"""Metal kernels run and checked on the CPU.

    kernel = emulator.metal_kernel(name="scale", input_names=["x"], output_names=["y"], source="...")
    (y,) = kernel(inputs=[x], template=[("T", x.dtype)], grid=(n, 1, 1), threadgroup=(256, 1, 1),
                  output_shapes=[x.shape], output_dtypes=[x.dtype])
    kernel.report.findings, kernel.report.counters

``library`` runs whole ``.metal`` texts, ``check_order`` looks for results that hang on the schedule. docs/emulator.md
says what is checked and what only an Apple GPU can tell.

The way of a text: ``frontend`` (tokens, translation), ``dialect`` (what Apple's compiler refuses), ``toolchain`` (the
host's compiler; ``include`` is Metal's library for it), ``launch`` (programs, buffers, runs), ``report`` (findings).
"""

from .errors import KernelError
from .launch.custom_kernel import MetalKernel, metal_kernel
from .launch.metal_library import Library, library
from .launch.order import check_order
from .launch.same import SameBuffer
from .launch.settings import Mode
from .report import Finding, Report

__all__ = [
    "Finding",
    "KernelError",
    "Library",
    "MetalKernel",
    "Mode",
    "Report",
    "SameBuffer",
    "check_order",
    "library",
    "metal_kernel",
]
