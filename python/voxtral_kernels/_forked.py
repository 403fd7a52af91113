"""A process forked after MLX was used in it: its copy of MLX waits for ever for threads that only the parent has."""

from __future__ import annotations

import os

_used = _forked = False


def refuse(op: str) -> None:
    """Call where MLX is about to be used.

    Args:
        op: Names what was called in the error.

    Raises:
        RuntimeError: this process is a child that was forked after such a call.
    """
    global _used
    _used = True
    if _forked:
        raise RuntimeError(
            f"[{op}] process: expected one that was not forked after MLX was used in it, got such a child, where MLX "
            "waits for ever: start it by spawn (multiprocessing) or by exec."
        )


def _in_child() -> None:
    global _forked
    _forked = _used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
