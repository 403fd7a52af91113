"""A preprocessed text as tokens, and what is no C++ even before it is parsed as errors with a line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..errors import KernelError
from . import tokens as tk
from .escapes import is_dropped
from .indices import resolved
from .tokens import Token


def read(preprocessed: str, path: str) -> list[Token]:
    """The tokens of a preprocessed text."""
    with readable_errors():
        tokens = [t for t in tk.tokenize(preprocessed, path) if not is_dropped(t)]
        _require_shallow(tokens)
        return resolved(tokens)


_DEEPEST = 256  # as clang has it


def _require_shallow(tokens: list[Token]) -> None:
    depth = 0
    for token in tokens:
        depth += (token.text in tk.OPENING) - (token.text in tk.CLOSING)
        if depth > _DEEPEST:
            raise KernelError(f"{token.path}:{token.line}: error: brackets are nested deeper than {_DEEPEST}")


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Within, what is no C++ even before it is parsed is a KernelError that names its line."""
    try:
        yield
    except tk.TokenError as error:
        raise KernelError(f"{error.path}:{error.line}: error: {error.message}") from None
