"""What reaches the terminal: errors on one line, and the live view of a transcription."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

ERROR = 2
INTERRUPTED = 130
# Audio longer than this gets a progress bar.
LONG_SECONDS = 30.0


class Interrupted(BaseException):
    """Ctrl-C during a transcription; ``partial`` is what there is of it, in the format asked for."""

    def __init__(self, partial: str):
        super().__init__(partial)
        self.partial = partial


def print_text(text: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_note(text: str) -> None:
    """One line on standard error that is no error."""
    sys.stderr.write(f"voxtral-kernels: {text}\n")
    sys.stderr.flush()


def print_error(error: BaseException | str) -> None:
    """One line on standard error: house errors and usage errors as they are, others with their type."""
    message = error if isinstance(error, str) else _message(error)
    sys.stderr.write(f"voxtral-kernels: error: {' '.join(message.split())}\n")
    sys.stderr.flush()


def _message(error: BaseException) -> str:
    if hasattr(error, "format_message"):  # a usage error of typer
        return error.format_message()
    if isinstance(error, (ValueError, OSError)) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class Interrupt:
    """While it is entered, the first Ctrl-C only sets ``seen``, for a loop that wants to end in order."""

    def __init__(self) -> None:
        self.seen = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: object) -> None:
        self.seen = True
        signal.signal(signal.SIGINT, self._before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what C libraries write to standard error from the terminal: the error that follows says it in one line."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed: nothing to keep
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class LiveView:
    """The transcript as it grows, with a progress bar for long audio; drawn on standard error if that is a terminal.

    It leaves nothing behind: the transcript itself goes to standard output or a file.

    Args:
        title: The name of the audio.
        total_s: Its length in seconds; None if that is not known yet (a pipe).
    """

    def __init__(self, title: str, total_s: float | None):
        self.title = title
        self.total_s = total_s
        self.text = ""
        self.heard_s = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), get_renderable=self._render, transient=True)
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, text: str, heard_s: float) -> None:
        """The transcript so far and the seconds heard."""
        self.text, self.heard_s = text, heard_s

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        console = self._live.console if self._live else None
        room = 4 * (console.width if console else 80)
        tail = self.text if len(self.text) <= room else "…" + self.text[-room:]
        line = Table.grid(padding=(0, 1), expand=self.total_s is not None)
        cells: list[RenderableType] = [Text(self.title, style="bold", no_wrap=True, overflow="ellipsis")]
        if self.total_s is not None and self.total_s > LONG_SECONDS:
            cells.append(ProgressBar(total=self.total_s, completed=min(self.heard_s, self.total_s)))
        cells.append(Text(_clock(self.heard_s, self.total_s), style="cyan", no_wrap=True))
        line.add_row(*cells)
        return Group(Text(tail.strip()), line)


def _clock(heard_s: float, total_s: float | None) -> str:
    def minutes(seconds: float) -> str:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02}"

    return minutes(heard_s) if total_s is None else f"{minutes(heard_s)} / {minutes(total_s)}"
