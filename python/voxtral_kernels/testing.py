"""For tests: the one oracle rule, the case lists, the choice of a backend. Nothing in the package imports this."""

from __future__ import annotations

from ._check import FLOATS
from .backends.cases import check_case
from .backends.select import use_backend
from .reference.definitions import INTERNAL, OPS, SHADED, definition, in_float32
from .reference.rule import assert_matches, assert_model_matches

__all__ = [
    "FLOATS",
    "INTERNAL",
    "OPS",
    "SHADED",
    "assert_matches",
    "assert_model_matches",
    "check_case",
    "definition",
    "in_float32",
    "use_backend",
]
