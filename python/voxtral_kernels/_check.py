"""Checks of arrays. Plain values and the form of errors: ``_errors``, whose names are here too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from ._errors import fail as fail
from ._errors import integer as integer
from ._errors import positive as positive
from ._errors import printable as printable
from ._errors import shown as shown
from ._supported import require

require(vars(mx)["__version__"])  # every module that works with arrays comes by here

FLOATS = (mx.float32, mx.float16, mx.bfloat16)


def dtype_name(dtype: mx.Dtype) -> str:
    """``float32``, not ``mlx.core.float32``."""
    return str(dtype).rpartition(".")[2]


def array(op: str, **arguments: object) -> None:
    """Every argument is an ``mx.array``."""
    for name, value in arguments.items():
        if not isinstance(value, mx.array):
            raise fail(op, name, "an mx.array", type(value).__name__)


def floating(op: str, **arguments: Any) -> None:
    """Every argument is an ``mx.array`` of float32, float16 or bfloat16."""
    array(op, **arguments)
    for name, value in arguments.items():
        if value.dtype not in FLOATS:
            raise fail(op, name, "float32, float16 or bfloat16", dtype_name(value.dtype))


def ndim(op: str, name: str, value: mx.array, layout: str) -> None:
    """``value`` has as many axes as ``layout`` names, e.g. ``"[B, T, C]"``."""
    expected = layout.count(",") + 1
    if value.ndim != expected:
        raise fail(op, name, f"{layout} ({expected} axes)", f"shape {value.shape}")


def shape(op: str, name: str, value: mx.array, expected: Sequence[int]) -> None:
    """``value`` has exactly this shape."""
    if tuple(value.shape) != tuple(expected):
        raise fail(op, name, f"shape {tuple(expected)}", f"{tuple(value.shape)}")


def dtype(op: str, name: str, value: mx.array, *expected: mx.Dtype) -> None:
    """``value`` has one of these dtypes."""
    if value.dtype not in expected:
        names = dict.fromkeys(dtype_name(d) for d in expected)
        raise fail(op, name, " or ".join(names), dtype_name(value.dtype))


def is_traced(*arrays: mx.array) -> bool:
    """Whether any array is a placeholder of ``mx.compile``, ``mx.grad`` or ``mx.vmap``.

    MLX tells Python so only by refusing to schedule such an array. The ``async_eval`` never waits, and for an array
    that is about to be used it only starts the work sooner.
    """
    try:
        mx.async_eval(*arrays)
    except ValueError as error:
        if "transformation" in str(error):
            return True
        raise
    return False
