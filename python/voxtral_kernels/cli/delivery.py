"""A transcript on its way out: text as it is decoded, the rest at the end, what there is when that comes early."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..transcripts.formats import Format, Transcript, render
from . import ending
from .console import Unwritable, is_mute, print_error, print_note, print_text, readable, rescue
from .ending import Ended, Mode
from .output import beside, write_atomic

# Takes each new piece of text.
Show = Callable[[str], None]


@dataclass
class Output:
    """Where one transcript goes.

    Args:
        transcript: What is delivered; whoever fills it keeps it up to date at every moment.
        path: File to write; None: standard output.
        form: Format.
        several: It is one of several: marked as such on standard output.
    """

    transcript: Transcript
    path: Path | None
    form: Format
    several: bool = False

    def __post_init__(self) -> None:
        self.refresh: Callable[[], None] = lambda: None  # brings the transcript up to date
        # Text on standard output; white space is held back until text follows it.
        self._begun, self._held = False, ""

    @property
    def is_live(self) -> bool:
        """Whether the text appears on standard output as it is decoded."""
        return self.path is None and self.form is Format.TEXT

    def show(self, text: str) -> None:
        """Take a new piece of text."""
        if not self.is_live:
            return
        text = self._held + text if self._begun else text.lstrip()
        shown = text.rstrip()
        self._held = text[len(shown) :]
        if shown:
            self._begin()
            print_text(shown)

    def finish(self) -> None:
        """Write the whole transcript."""
        if self.is_live:
            self._begin()
            print_text("\n")
        elif self.path is None:
            print_text(self._whole())
        elif not is_mute():
            write_atomic(self.path, self._whole())

    def finish_early(self) -> str:
        """Write what there is, without touching a file that was there; returns where it is, in words."""
        if self.is_live:
            if self.transcript.duration_s > 0:
                self._begin()
                print_text("\n")
            return ""
        if self.path is None or is_mute():
            print_text(self._whole())
            return ""
        place = beside(self.path)
        write_atomic(place, self._whole())
        return f"; what there is of it is in {readable(str(place))}"

    def rescue(self) -> None:
        """Write what there is where it can still be read."""
        rescue(self._whole())

    def _begin(self) -> None:
        if not self._begun and self.several:
            print_text(f"==> {readable(self.transcript.source)} <==\n")
        self._begun = True

    def _whole(self) -> str:
        return render(self.transcript, self.form, one_line=self.several and self.path is None)


def deliver(run: Callable[[], None], output: Output) -> None:
    """Fill a transcript and write it. Whatever ends that early, what there is gets written, marked, and told.

    Args:
        run: Fills it, and shows each new piece of its text.
        output: Where it goes.

    Raises:
        Ended: a signal came, and the transcript is written.
        Exception: of the run, of the output; the transcript is written, or on standard error.
    """
    transcript = output.transcript
    try:
        run()
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as cause:
        interrupted = isinstance(cause, KeyboardInterrupt) and transcript.duration_s > 0
        if transcript.text.strip() or interrupted or _is_told(cause):
            _deliver_early(output, cause)
        raise
    with ending.mode(Mode.HOLD):
        _write(output)
        for note in transcript.notes:
            print_note(note)
    ending.check()


def deliver_lost(output: Output) -> None:
    """Write what there is: another rank has ended, and the process ends behind this."""
    output.refresh()
    if output.transcript.text.strip():
        _deliver_early(output, RuntimeError())


def before_work(output: Output) -> ending.farewell:
    """Inside ``with``, SIGTERM and SIGHUP leave their mark, though nothing was heard yet."""

    def tell(number: int) -> None:
        if _is_told(ended := Ended(number)):
            _deliver_early(output, ended)

    return ending.farewell(tell)


def _is_told(cause: BaseException) -> bool:
    """Whether somebody waits who does not know: SIGTERM and SIGHUP come from elsewhere, Ctrl-C from the keyboard."""
    return isinstance(cause, Ended) and cause.number != signal.SIGINT


def _deliver_early(output: Output, cause: BaseException) -> None:
    with ending.mode(Mode.HOLD):
        output.transcript.complete, output.transcript.reason = False, _reason(cause)
        _write_early(output, cause)


def _write(output: Output) -> None:
    try:
        output.finish()
    except BrokenPipeError:
        raise
    except (OSError, Unwritable):
        print_error(f"{_name(output)}: the transcript could not be written; it follows")
        output.rescue()
        raise


def _write_early(output: Output, cause: BaseException) -> None:
    transcript = output.transcript
    where = ""
    try:
        if isinstance(cause, Unwritable):
            raise cause
        where = output.finish_early()
    except BrokenPipeError:
        pass
    except (OSError, Unwritable) as error:
        where = f" and could not be written ({error}): what there is of it follows"
    for note in transcript.notes:
        print_note(note)
    print_note(f"{_name(output)}: incomplete, {transcript.reason} after {transcript.duration_s:.1f} s of audio{where}")
    if where.endswith("follows"):
        output.rescue()


def _name(output: Output) -> str:
    return readable(output.transcript.source)


def _reason(cause: BaseException) -> str:
    if isinstance(cause, Ended):
        return f"ended by {cause}"
    if isinstance(cause, KeyboardInterrupt):
        return "ended by SIGINT"
    return "the output could not be written" if isinstance(cause, Unwritable) else "an error"
