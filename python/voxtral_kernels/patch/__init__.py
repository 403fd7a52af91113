"""Makes other packages' MLX Voxtral models use these kernels: ``accelerate(model)`` and the `Patched` it returns.

Only instances are changed: the modules of the model given are swapped for stand-ins that share every weight; no class,
module or library global is touched, so two models of one process may differ.
"""

from __future__ import annotations

from ._accelerate import accelerate
from ._patched import Change, Patched, Report

__all__ = ["Change", "Patched", "Report", "accelerate"]
