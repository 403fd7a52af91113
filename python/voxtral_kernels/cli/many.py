"""Several recordings through a realtime model at once, for ``transcribe``."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import ending
from .delivery import Output, deliver
from .ending import Ended, Mode
from .live import LiveView
from .options import Asked, Loaded, default_delay
from .output import STDIN
from .recordings import Recording, open_recording
from .streaming import OP, fill_from, note_blanks, refuse_options

if TYPE_CHECKING:
    from ..audio.blocks import Blocks
    from ..models.voxtral_realtime.batch_stream import BatchStream

# Delivers one of several.
One = Callable[[Output, Callable[[], None]], None]


def serves(loaded: Loaded, files: Sequence[str], slots: int, *, raw: bool) -> bool:
    """Whether they are heard at once: files, several, by a model that streams."""
    regular = all(file != STDIN and stat.S_ISREG(Path(file).stat().st_mode) for file in files)
    streams = not loaded.offline and loaded.model.ranks is None
    return regular and not raw and streams and min(slots, len(files)) > 1


def run(
    loaded: Loaded,
    asked: Asked,
    outputs: Sequence[Output],
    slots: int,
    one: Callable[[Output, Callable[[], None]], None],
) -> None:
    """Transcribe them all; what one gives is delivered at its end, on standard output in the order of the files.

    The first signal ends all audio, so that the words come that were heard; then it is raised.

    Args:
        loaded, asked: Of the command.
        outputs: One for each recording.
        slots: Recordings at once.
        one: Delivers one: ``deliver``, and what becomes of its errors.
    """
    from ..models.voxtral_realtime.batch import Batch
    from ..models.voxtral_realtime.many import hear, length, longest_first

    refuse_options(loaded, asked)
    delay = default_delay(loaded, asked.delay_ms)
    recordings: dict[int, Recording] = {}

    def opened(i: int) -> Blocks:
        outputs[i].transcript.settings = {"model": loaded.name, "delay_ms": delay}
        recordings[i] = open_recording(OP, outputs[i].transcript.source, raw=False)
        return recordings[i].blocks

    done = _Done(outputs, recordings, one)
    lengths = [length(output.transcript.source) for output in outputs]
    openers = [(i, partial(opened, i)) for i in longest_first(lengths)]
    total_s = sum(lengths) if sum(lengths) < float("inf") else None
    running: dict[int, BatchStream] = {}
    seats, bits = min(slots, len(outputs)), asked.cache_bits
    with Batch(loaded.model, seats, cache_bits=bits) as batch, ending.mode(Mode.FINISH):
        new_stream = partial(
            batch.stream,
            delay,
            retry_blanks=asked.retry_blanks,
            chunk_ms=asked.chunk_ms or 80,
            exact=False,
        )
        view = LiveView(f"{len(outputs)} recordings", total_s, shows=not outputs[0].is_live)
        try:
            with view:
                for heard in hear(batch, openers, new_stream, lambda: bool(ending.seen())):
                    if heard.stream is not None:
                        running[heard.index] = heard.stream
                    if heard.done:
                        running.pop(heard.index, None)
                        done.take(heard.index, heard.stream, heard.error, cut=heard.cut)
                    view.update("", done.heard_s + sum(stream.duration_s for stream in running.values()))
        except KeyboardInterrupt as ended:
            for index in sorted(running):
                done.take(index, running[index], ended, cut=True)
            raise
        finally:
            done.flush()
    ending.check()


class _Done:
    """Recordings at their end: on standard output they follow in their order."""

    def __init__(
        self,
        outputs: Sequence[Output],
        recordings: Mapping[int, Recording],
        one: One,
    ) -> None:
        self._outputs, self._recordings, self._one = outputs, recordings, one
        self._held: dict[int, Callable[[], None]] = {}
        self._next, self.heard_s = 0, 0.0

    def take(self, index: int, stream: BatchStream | None, error: BaseException | None, *, cut: bool) -> None:
        """A recording is over."""
        output = self._outputs[index]
        if stream is not None:
            fill_from(stream, output.transcript)
            note_blanks(output.transcript, stream.suspicious)
            self.heard_s += stream.duration_s
        if index in self._recordings:
            self._recordings[index].note(output.transcript)

        def settle() -> None:
            output.show(output.transcript.text)
            if error is not None:
                raise error
            if cut:
                ending.check()

        if output.path is not None:
            return self._deliver(output, settle)
        self._held[index] = settle
        while self._next in self._held:
            self._deliver(self._outputs[self._next], self._held.pop(self._next))
            self._next += 1

    def flush(self) -> None:
        """What stands behind a recording that never began."""
        for index in sorted(self._held):
            self._deliver(self._outputs[index], self._held.pop(index))

    def _deliver(self, output: Output, settle: Callable[[], None]) -> None:
        # A signal is raised once the others are written too.
        with contextlib.suppress(Ended):
            self._one(output, lambda: deliver(settle, output))
