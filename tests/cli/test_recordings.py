"""Pipes: read as they are filled, ended by a signal after what they still hold."""

import contextlib
import json
import os
import re
import signal
import sys
import threading

import pytest
import soundfile

from voxtral_kernels.cli import ending, recordings
from voxtral_kernels.cli.recordings import LAST_BYTES, Pipe

CARDS = "eight of spades four of clubs seven of hearts"


@pytest.fixture
def pipe():
    """A pipe's reader and the file of its other end."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as source, os.fdopen(writing, "wb", 0) as end:
        yield Pipe(source.fileno()), end


@pytest.fixture
def interrupt():
    """Presses Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background may ignore it
    with ending.Signals(), ending.mode(ending.Mode.FINISH):
        yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_what_is_there_comes_at_once(pipe):
    reader, end = pipe
    end.write(b"abc")
    assert (reader.read(2), reader.read(100)) == (b"ab", b"c")
    threading.Timer(0.15, end.write, [b"later"]).start()
    assert reader.read(100) == b"later"
    end.close()
    assert (reader.read(1), reader.at_end) == (b"", True)


def test_a_signal_ends_it_after_what_it_holds(pipe, interrupt):
    reader, end = pipe
    end.write(b"x" * 5000)
    interrupt()
    waited_for = threading.Timer(60, end.close)
    waited_for.start()
    assert reader.read(-1) == b"x" * 5000
    assert not reader.at_end, "the writer goes on"
    waited_for.cancel()


def test_a_writer_that_ends_too_is_heard_to_its_end(pipe, interrupt, monkeypatch):
    monkeypatch.setattr(recordings, "LAST_S", 60)
    reader, end = pipe
    interrupt()
    threading.Timer(0.1, lambda: (end.write(b"last"), end.close())).start()
    assert (reader.read(-1), reader.at_end) == (b"last", True)


def test_a_writer_that_never_stops_is_left(pipe, interrupt, monkeypatch):
    monkeypatch.setattr(recordings, "LAST_S", 60)
    reader, end = pipe
    os.set_blocking(end.fileno(), False)
    interrupt()
    count = 0
    while True:
        with contextlib.suppress(BlockingIOError):
            end.write(bytes(4096))
        if not (data := reader.read(4096)):
            break
        count += len(data)
    assert count == LAST_BYTES


@pytest.mark.fault("live pipes: a container through a pipe was read to its end before the first word")
def test_a_container_through_a_pipe(run, cards, examples, monkeypatch, capsys):
    """Its text comes while its writer has not ended."""
    reading, writing = os.pipe()
    data = cards.read_bytes()
    heard = threading.Event()
    pieces = []

    def write():
        os.write(writing, data[:-4096])
        heard.wait(60)
        os.write(writing, data[-4096:])
        os.close(writing)

    def show(output, text):
        pieces.append(text)
        if "clubs" in "".join(pieces):
            heard.set()

    monkeypatch.setattr("voxtral_kernels.cli.delivery.Output.show", show)
    monkeypatch.setattr(sys, "stdin", os.fdopen(reading))
    os.set_blocking(writing, True)
    writer = threading.Thread(target=write)
    writer.start()
    assert run("transcribe", "-", "-m", "tiny")[0] == 0
    writer.join()
    assert heard.is_set()
    assert "".join(pieces).strip() == CARDS


def test_an_offline_model_answers_to_what_was_recorded_until_ctrl_c(run, offline, cards, monkeypatch, interrupt):
    """The writer ends with it, as arecord does: complete, and status 130."""
    reading, writing = os.pipe()
    pcm = soundfile.read(cards, dtype="int16")[0].tobytes()[:60_000]
    os.write(writing, pcm)
    read, heard = Pipe.read, []

    def ended(self, size=-1):
        data = read(self, size)
        heard.append(len(data))
        if sum(heard) == len(pcm) and data:
            interrupt()
            os.close(writing)
        return data

    monkeypatch.setattr(Pipe, "read1", ended)
    monkeypatch.setattr(sys, "stdin", os.fdopen(reading))
    status, out, err = run("transcribe", "-", "--raw", "-m", offline, "-f", "json", "--max-tokens", "3")
    got = json.loads(out)
    assert status == 130
    assert (got["complete"], got["duration_s"], len(got["tokens"])) == (True, 1.875, 3)
    assert re.match(r"voxtral-kernels: -: 1\.9 s in 1 piece,", err)
