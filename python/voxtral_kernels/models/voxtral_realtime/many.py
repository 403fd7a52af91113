"""Recordings through a batch: as many at once as it has slots, each read as it is heard."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...audio.load import Blocks, blocks
from .batch import Batch
from .batch_stream import BatchStream
from .transcription import StreamEvent

# A recording is read on while less of it than this waits, in seconds.
AHEAD_S = 1.0


class Heard:
    """A recording on its way through a batch.

    Attributes:
        index: Which of those given.
        blocks, stream: Of it; None where it could not be opened.
        events: New ones.
        done: There will be no more.
        cut: Its audio was ended before it was over.
        error: What ended its audio, or its stream.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.blocks: Blocks | None = None
        self.stream: BatchStream | None = None
        self.events: list[StreamEvent] = []
        self.done = self.cut = self._ended = False
        self.error: BaseException | None = None

    def open(self, opener: Callable[[], Blocks], new_stream: Callable[[], BatchStream]) -> None:
        """Whatever goes wrong stands in ``error``."""
        try:
            self.blocks = opener()
            self.stream = new_stream()
        except Exception as error:
            self._fail(error)

    def feed(self) -> None:
        """Read on, if it is time."""
        if self.stream is None or self.blocks is None or self._ended or self.stream.backlog_s > AHEAD_S:
            return
        try:
            block = next(self.blocks, None)
        except Exception as error:
            # What was heard until there comes out.
            self.error, block = error, None
        if block is None:
            self._end()
        elif not self.stream.done:
            self.stream._give(block)

    def cut_off(self) -> None:
        """Its audio ends here."""
        if not self._ended:
            with contextlib.suppress(Exception):
                self.cut = self.blocks is not None and next(self.blocks, None) is not None
            self._end()

    def moved(self) -> bool:
        """Take the stream's new events; whether there is anything new."""
        if self.done or self.stream is None:
            return self.done
        self.events, self.done = self.stream._take_unread(), self.stream.done
        if self.done:
            self.error = self.error or self.stream.error
            self.close()
        return bool(self.events) or self.done

    def close(self) -> None:
        """Free its file and its slot."""
        self._ended = True
        if self.blocks is not None:
            self.blocks.close()
        if self.stream is not None:
            self.stream.close()

    def _end(self) -> None:
        self._ended = True
        if self.stream is not None and self.error is not None and self.stream.duration_s == 0:
            self._fail(self.error)
        elif self.stream is not None:
            self.stream.end()

    def _fail(self, error: BaseException) -> None:
        self.error, self.done = error, True
        self.close()


def hear(
    batch: Batch,
    openers: Sequence[tuple[int, Callable[[], Blocks]]],
    new_stream: Callable[[], BatchStream],
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Heard]:
    """Transcribe recordings.

    Args:
        batch: With no other streams.
        openers: Index and opener of each, in the order in which they begin.
        new_stream: Makes a stream of the batch.
        stop: Once true, no recording begins, and those that have begun end where they are.

    Yields:
        A recording whenever it has new events, and as ``done`` at its end.
    """
    waiting, running = deque(openers), list[Heard]()
    try:
        while running or (waiting and not stop()):
            while waiting and len(running) < batch.slots and not stop():
                index, opener = waiting.popleft()
                running.append(Heard(index))
                running[-1].open(opener, new_stream)
            for recording in running:
                recording.cut_off() if stop() else recording.feed()
            batch.step()
            for recording in list(running):
                if recording.moved():
                    yield recording
                if recording.done:
                    running.remove(recording)
    finally:
        for recording in running:
            recording.close()


def longest_first(lengths: Sequence[float]) -> list[int]:
    """Indices of recordings by `length`."""
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


def length(source: Any) -> float:
    """Seconds as stated, or any measure of them for samples; infinite where nobody can tell, or nothing is there."""
    if isinstance(source, np.ndarray):
        return len(source) / 16000 if source.ndim else 0.0
    if not isinstance(source, (str, os.PathLike, bytes)):
        return float("inf")  # it can be read only once
    try:
        if not isinstance(source, bytes) and not os.path.isfile(source):
            return float("inf")
        with blocks(source) as opened:
            return float("inf") if opened.duration_s is None else opened.duration_s
    except Exception:
        return 0.0  # told when it is its turn
