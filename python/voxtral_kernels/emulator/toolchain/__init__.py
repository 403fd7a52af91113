"""The host's compiler: what it is called with, and what becomes of its messages and its output."""

from .cache import cache_dir, is_kept, mark
from .compiler import (
    INCLUDE,
    MOST_TEXT,
    Preprocessed,
    UndefinedError,
    compile_library,
    preprocess,
    require_syntax,
    syntax_tree,
    unset_variables,
    verdict_file,
)

__all__ = [
    "INCLUDE",
    "MOST_TEXT",
    "Preprocessed",
    "UndefinedError",
    "cache_dir",
    "compile_library",
    "is_kept",
    "mark",
    "preprocess",
    "require_syntax",
    "syntax_tree",
    "unset_variables",
    "verdict_file",
]
