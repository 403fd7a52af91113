"""Errors, ``[op] argument: expected X, got Y.``, and checks of plain values; ``_check`` has those of arrays."""

from __future__ import annotations

import math
import reprlib
from numbers import Integral, Real

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlong = 60
_LONGEST = 1000


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
