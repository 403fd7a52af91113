"""One call at a time: what has state lets one call in, and a second one raises before it changes anything."""

from __future__ import annotations

import threading


class Exclusive:
    """Held by ``with`` while a call is inside an object; a copy is not held.

    Args:
        op: Names the object in the error.
    """

    def __init__(self, op: str) -> None:
        self._op, self._lock, self._holder = op, threading.Lock(), 0

    def __enter__(self) -> None:
        """Come in.

        Raises:
            RuntimeError: another call is inside.
        """
        if not self._lock.acquire(False):
            inside = next((t.name for t in threading.enumerate() if t.ident == self._holder), "one that has ended")
            raise RuntimeError(
                f"[{self._op}] thread: expected one call at a time, got a call from thread "
                f"{threading.current_thread().name} while one from thread {inside} is inside."
            )
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Exclusive], tuple[str]]:
        return Exclusive, (self._op,)
