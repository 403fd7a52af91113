"""In how many bits a cache may hold its values."""

from __future__ import annotations

from numbers import Integral

from .. import _check


def check_bits(op: str, argument: str, bits: object) -> int:
    """Bits of a ring's values: 16 stands for the dtype of the keys.

    Raises:
        ValueError: ``[op] argument``: neither 16 nor 8.
    """
    if not isinstance(bits, Integral) or isinstance(bits, bool) or bits not in (8, 16):
        raise _check.fail(op, argument, "16 (the dtype of the keys) or 8", _check.shown(bits))
    return int(bits)
