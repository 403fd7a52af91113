"""The live view of a transcription, on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from .console import readable, visible
from .footer import Footer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

# Audio longer than this gets a progress bar.
LONG_SECONDS = 30.0


class LiveView:
    """The transcript as it grows, with a progress bar for long audio; drawn on standard error if that is a terminal.

    It leaves nothing behind: the transcript itself goes to standard output or a file.

    Args:
        title: The name of the audio.
        total_s: Its length in seconds; None if that is not known yet (a pipe).
        shows: False: where standard output is a terminal too, the text appears on that; long audio has its progress bar
            below the text.
    """

    def __init__(self, title: str, total_s: float | None, *, shows: bool = True):
        self.title = visible(readable(title))
        self._drawn = sys.stderr.isatty() and (shows or not sys.stdout.isatty())
        self.total_s = total_s
        bar = sys.stderr.isatty() and not self._drawn and total_s is not None and total_s > LONG_SECONDS
        self._footer = Footer(total_s) if bar and total_s is not None and Footer.fits() else None
        self.text = ""
        self.heard_s = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._drawn:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True), get_renderable=self._render, transient=True, redirect_stdout=False
            )
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
        if self._footer is not None:
            self._footer.clear()

    def update(self, text: str, heard_s: float) -> None:
        """The transcript so far and the seconds heard."""
        self.text, self.heard_s = visible(text), heard_s
        if self._footer is not None:
            self._footer.draw(self.text, heard_s, _clock(heard_s, self.total_s))

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


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _clock(heard_s: float, total_s: float | None) -> str:
    return clock(heard_s) if total_s is None else f"{clock(heard_s)} / {clock(total_s)}"
