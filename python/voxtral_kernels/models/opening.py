"""The files of a model's folder, opened and checked before any weight is read, alike on every rank."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .. import _check
from .._model_files import exists
from .._version import __version__
from ..tokenizer import Tokenizer
from .ranks import Ranks, agreed
from .section import OP
from .weights import Weights

W = TypeVar("W", bound=Weights)
_TOKENIZER = "tekken.json"


def opened(ranks: Ranks | None, make: Callable[[], W], *facts: Any) -> W:
    """The checked checkpoint that ``make`` gives; the same on every rank.

    Args:
        ranks: Among which it is split.
        make: Reads its headers.
        facts: What else must be the same.

    Raises:
        ValueError: on every rank: it is not what it should be on one, or differs between them.
    """
    w = agreed(ranks, make)
    if ranks is not None:
        tensors = [(name, t.dtype, t.shape) for name, t in sorted(w.stored().items())]
        ranks.require_same("checkpoint", __version__, w.config, w.quantization, w.dtype, facts, tensors)
    return w


def read_tokenizer(
    ranks: Ranks | None, folder: Path, config: Any, check: Callable[[Tokenizer, Any], None]
) -> Tokenizer | None:
    """The tokenizer of a folder, checked; None where there is none.

    Raises:
        ValueError: it is not one of this model, or differs between ranks.
    """
    path = folder / _TOKENIZER

    def read() -> Tokenizer | None:
        tokenizer = Tokenizer.from_file(path) if exists(OP, path) else None
        if tokenizer is not None:
            check(tokenizer, config)
        return tokenizer

    tokenizer = agreed(ranks, read)
    if ranks is not None:
        ranks.require_same(_TOKENIZER, b"" if tokenizer is None else path.read_bytes())
    return tokenizer


def required(tokenizer: Tokenizer | None) -> Tokenizer:
    """A tokenizer, which a model's folder had.

    Raises:
        ValueError: it had none.
    """
    if tokenizer is None:
        raise _check.fail(OP, "model", f"{_TOKENIZER} in the folder", "none")
    return tokenizer


def settled(ranks: Ranks | None, w: Weights) -> Ranks | None:
    """The ranks, which know what each of them has read."""
    if ranks is not None:
        ranks.settle(sum(t.nbytes for t in w.stored().values()))
    return ranks
