"""Finds ``reference/<op>.py``: an op is here when its file is."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import mlx.core as mx

from .._paths import PACKAGE

_HELPERS = {"definitions", "ring", "rule", "streams"}


def definition(op: str) -> Any:
    """``reference/<op>.py``: Request, oracle, composed, Case, CASES, cross, example."""
    return importlib.import_module(f"{__package__}.{op}")


def _stems() -> list[str]:
    names = (module.name for module in pkgutil.iter_modules(importlib.import_module(__package__).__path__))
    return sorted(name for name in names if not name.startswith("_") and name not in _HELPERS)


# The stems: an op is the same word in every place. The internal ones have no public function.
INTERNAL = tuple(op for op in _stems() if getattr(definition(op), "INTERNAL", False))
OPS = tuple(op for op in _stems() if op not in INTERNAL)


# Those that have shaders, the internal ones among them: a file in dispatch/ makes one.
SHADED = tuple(op for op in _stems() if (PACKAGE / "dispatch" / f"{op}.py").is_file())


def in_float32(request: Any) -> Any:
    """The same request with every floating array in float32: what the tolerance's yardstick is computed on."""
    fields = {name: getattr(request, name) for name in request.__dataclass_fields__}
    floats = {n for n, v in fields.items() if isinstance(v, mx.array) and mx.issubdtype(v.dtype, mx.floating)}
    widened = {n: v.astype(mx.float32) if n in floats else v for n, v in fields.items()}
    return type(request)(**widened)
