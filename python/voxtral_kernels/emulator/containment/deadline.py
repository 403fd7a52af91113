"""A limit of time for Python's own work on a text."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from typing import Any

from .process import LimitError, cpu_seconds

_AGAIN = 0.1  # seconds after which it is raised once more, should a destructor have swallowed it


class _Overdue(BaseException):
    """Raised in the thread that works on the text; a BaseException, so that nothing there takes it for its own."""


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    """Ends what runs within after as many seconds as a run of the compiler is given.

    Raises:
        LimitError: it took longer.
    """
    seconds = cpu_seconds()
    watch = _Watch(threading.get_ident(), seconds)
    watch.start()
    try:
        yield
        watch.end()
    except _Overdue:
        raise LimitError(f"the text was not translated: it takes more than {seconds} seconds") from None
    finally:
        watch.end()


class _Watch(threading.Thread):
    """Raises ``_Overdue`` in a thread after a time, again and again until ``end``."""

    def __init__(self, worker: int, seconds: float):
        super().__init__(daemon=True)
        self._worker = ctypes.c_ulong(worker)
        self._seconds = seconds
        self._over = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        if self._over.wait(self._seconds):
            return
        with _without_a_word():
            while True:
                with self._lock:
                    if not self._over.is_set():
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(self._worker, ctypes.py_object(_Overdue))
                if self._over.wait(_AGAIN):
                    return

    def end(self) -> None:
        """From the worker: nothing is raised any more, nor what waits to be."""
        while not self._over.is_set():
            with contextlib.suppress(_Overdue), self._lock:
                self._over.set()
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._worker, None)


@contextlib.contextmanager
def _without_a_word() -> Iterator[None]:
    """In a destructor an exception cannot rise and Python would print it; ``_Overdue`` comes again instead."""
    before = sys.unraisablehook

    def hook(unraisable: Any, /) -> None:
        if unraisable.exc_type is not _Overdue:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        if sys.unraisablehook is hook:
            sys.unraisablehook = before
