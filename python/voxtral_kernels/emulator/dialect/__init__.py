"""What the host compiler takes but Apple's Metal compiler refuses.

    dialect.require(tokenize(text, "k.metal"), version="3.1")     # raises DialectError, naming each line

Rules stand in ``words`` (single words), ``declarations`` (variables, pointers, functions) and ``kernels`` (arguments
and attributes); each carries the section of the specification where it was looked up, or says that it was not found
there. These see tokens, not types, and pass over what they cannot place; what hangs on types stands in ``tree``, which
reads the host compiler's syntax tree. Silence is no proof that Apple's compiler agrees.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from ..frontend.tokens import Token
from . import declarations, kernels, tree, words
from .report import RULES, SPECIFICATION, Rule, Violation
from .structure import read

__all__ = [
    "DEFAULT_VERSION",
    "RULES",
    "SPECIFICATION",
    "DialectError",
    "Rule",
    "Violation",
    "check",
    "check_includes",
    "require",
    "require_version",
    "tree",
]

DEFAULT_VERSION = "3.1"  # the oldest that MLX compiles its kernels for (macOS 14)
_VERSION = re.compile(r"1\.[0-2]|2\.[0-4]|3\.[0-2]|4\.[0-9]")


class DialectError(ValueError):
    """Text that Apple's compiler would refuse; ``violations`` in the order of the text."""

    def __init__(self, violations: Sequence[Violation]):
        super().__init__("\n".join(map(str, violations)))
        self.violations = list(violations)


def require_version(version: object, what: str = "[emulator] language_version") -> None:
    """Refuses what is no version of the language; ``what`` begins the error.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ValueError(f"{what}: expected a version of Metal such as '3.1', got {version!r}.")


def check(tokens: Sequence[Token], *, version: str = DEFAULT_VERSION, preprocessed: bool = False) -> list[Violation]:
    """The rules that the text breaks, in the order of the text.

    Args:
        tokens: Of one translation unit.
        version: Of the language, "2.3" to "4.0"; some rules end with a version.
        preprocessed: Whether macros, conditions and includes have been resolved. If not, object-like macros are
            expanded here, conditions are not looked at, and the ``#include`` lines are checked too.

    Raises:
        ValueError: a version that is not of that form.
        TokenError: unbalanced brackets.
    """
    try:
        major, minor = (int(part) for part in version.split("."))
    except ValueError:
        raise ValueError(f"[dialect] version: expected a number like '3.1', got {version!r}.") from None
    unit = read(tokens)
    found = [check(unit, (major, minor)) for check in (words.check, declarations.check, kernels.check)]
    if not preprocessed:
        found.append(iter(check_includes(tokens)))
    order = {path: i for i, path in enumerate(dict.fromkeys(token.path for token in tokens))}
    violations = dict.fromkeys(itertools.chain.from_iterable(found))
    return sorted(violations, key=lambda v: (order[v.path], v.line))


def check_includes(tokens: Sequence[Token], is_given: Callable[[str], bool] = lambda path: False) -> list[Violation]:
    """What raw tokens show of their ``#include`` lines: headers that Metal lacks, and names without their header.

    Args:
        tokens: Of one text, with its directives.
        is_given: Whether ``<path>`` is a file of the folders that the compiler is given.
    """
    return list(words.check_headers(list(tokens), is_given))


def require(tokens: Sequence[Token], *, version: str = DEFAULT_VERSION, preprocessed: bool = False) -> None:
    """Raises DialectError if ``check`` finds anything."""
    violations = check(tokens, version=version, preprocessed=preprocessed)
    if violations:
        raise DialectError(violations)
