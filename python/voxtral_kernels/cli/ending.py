"""How a command ends early. SIGINT (Ctrl-C), SIGTERM and SIGHUP do one of four things, by what there is to lose.

``Mode.QUIT``, while there is nothing: the process ends at once, after the words of `farewell`. ``Mode.RAISE``: `Ended`
is raised where the program is. ``Mode.FINISH``: the first signal only sets ``seen``, for a loop that wants to end in
order; the second raises. ``Mode.HOLD``: it is remembered, while results are being written.
"""

from __future__ import annotations

# Imported before anything else, in the time in which Ctrl-C shows Python's traceback: no more than this.
import os
import signal
from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal asks for the end; ``status`` is the exit status that tells it."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.status = 128 + number


class Mode(Enum):
    """What a signal does; see the head of this file."""

    QUIT = 0
    RAISE = 1
    FINISH = 2
    HOLD = 3


class _State:
    mode = Mode.QUIT
    seen: int | None = None
    farewell: Callable[[int], None] | None = None


class Signals:
    """Inside ``with``, the signals are taken over, at first in ``Mode.QUIT``; behind it they are given back.

    Args:
        last: The process ends behind it: they stay in ``Mode.QUIT``.

    Those that are ignored (nohup, a job in the background) stay so. Only the main thread may, and is told of any.
    """

    def __init__(self, *, last: bool = False):
        self._last = last

    def __enter__(self) -> None:
        _State.mode, _State.seen = Mode.QUIT, None
        self._before: dict[int, object] = {}
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if handler is signal.SIG_IGN or handler is None:
                continue
            try:
                signal.signal(number, _handle)
            except ValueError:  # another thread
                return
            self._before[number] = handler

    def __exit__(self, *exception: object) -> None:
        for number, handler in () if self._last else self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        _State.seen = None


class mode:  # noqa: N801 - used as a function is
    """``with mode(Mode.HOLD):`` signals do this inside the block."""

    def __init__(self, new: Mode):
        self._new = new

    def __enter__(self) -> None:
        self._before, _State.mode = _State.mode, self._new

    def __exit__(self, *exception: object) -> None:
        _State.mode = self._before


class farewell:  # noqa: N801 - used as a function is
    """``with farewell(tell):`` a signal in ``Mode.QUIT`` calls ``tell`` with its number before the process ends."""

    def __init__(self, tell: Callable[[int], None]):
        self._tell = tell

    def __enter__(self) -> None:
        _State.farewell = self._tell

    def __exit__(self, *exception: object) -> None:
        _State.farewell = None


def seen() -> int | None:
    """The first signal that came, or None."""
    return _State.seen


def check() -> None:
    """Raise `Ended` if a signal was held back."""
    if _State.seen is not None:
        raise Ended(_State.seen)


def _handle(number: int, frame: object) -> None:
    if _State.mode is Mode.QUIT:
        _State.mode = Mode.HOLD
        try:
            if _State.farewell is not None:
                _State.farewell(number)
        finally:
            os._exit(128 + number)
    first, _State.seen = _State.seen is None, _State.seen or number
    if _State.mode is Mode.RAISE or (_State.mode is Mode.FINISH and not first):
        raise Ended(number)
