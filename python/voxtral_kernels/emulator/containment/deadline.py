"""A limit of time for Python's own work on a text."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator

from .process import LimitError, cpu_seconds


class _Overdue(BaseException):
    """Raised in the thread that works on the text; a BaseException, so that nothing there takes it for its own."""


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    """Ends what runs within after as many seconds as a run of the compiler is given.

    Raises:
        LimitError: it took longer.
    """
    seconds = cpu_seconds()
    thread, lock, over = threading.get_ident(), threading.Lock(), False

    def stop() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_Overdue))

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
        with lock:
            over = True
    except _Overdue:
        raise LimitError(f"the text was not translated: it takes more than {seconds} seconds") from None
    finally:
        with lock:
            over = True
        timer.cancel()
