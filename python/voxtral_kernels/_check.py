"""Argument checks and their one error format: ``[op] argument: expected X, got Y.``"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import mlx.core as mx

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlong = 60
_LONGEST = 1000
FLOATS = (mx.float32, mx.float16, mx.bfloat16)


def dtype_name(dtype: mx.Dtype) -> str:
    """``float32``, not ``mlx.core.float32``."""
    return str(dtype).rpartition(".")[2]


def fail(op: str, argument: str, expected: str, got: object) -> ValueError:
    """The error to raise: names the argument, what was expected and what came. One line, without control characters."""
    text = f"[{op}] {argument}: expected {expected}, got {got}."
    if len(text) > _LONGEST:  # a name of a damaged file
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return ValueError(printable(text))


def printable(text: str) -> str:
    """The text with what would move a terminal's cursor or break the line written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: object) -> str:
    """``repr``, cut short, of a value from a file: it may be huge or deeply nested."""
    return _SHORT.repr(value)


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


def integer(op: str, name: str, value: object, minimum: int, maximum: int | None = None) -> int:
    """``value`` is an integer in ``minimum .. maximum``, NumPy's too (bool is none); returns it as an int."""
    bounds = f"an integer >= {minimum}" if maximum is None else f"an integer from {minimum} to {maximum}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise fail(op, name, bounds, shown(value))
    number = int(value)
    if number < minimum or (maximum is not None and number > maximum):
        raise fail(op, name, bounds, shown(number))
    return number


def positive(op: str, name: str, value: object, *, or_zero: bool = False) -> float:
    """``value`` is a finite real number above zero (or zero), NumPy's too; returns it as a float."""
    expected = "a finite number >= 0" if or_zero else "a finite number > 0"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise fail(op, name, expected, shown(value))
    if not math.isfinite(value) or value < 0 or (value == 0 and not or_zero):
        raise fail(op, name, expected, value)
    return float(value)


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
