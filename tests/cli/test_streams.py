"""The standard streams: closed, full, without a buffer; and Ctrl-C before the command has begun."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from voxtral_kernels.cli import console

CARDS = "eight of spades four of clubs seven of hearts"


class Fills:
    """A standard output on a disk that is full after some writes."""

    def __init__(self, room):
        self.room, self.written = room, []

    def isatty(self):
        return False

    def write(self, text):
        if len(self.written) == self.room:
            raise OSError(28, "No space left on device")
        self.written.append(text)

    def flush(self):
        pass

    def fileno(self):
        raise io.UnsupportedOperation


class TakesLittle(io.RawIOBase):
    """A file without a buffer that takes a part of what it is given, as a disk that is nearly full does."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data[:7])
        return min(7, len(data))


@pytest.mark.fault("work lost: with PYTHONUNBUFFERED a disk that filled up swallowed the end without an error")
def test_all_is_written_without_a_buffer(monkeypatch):
    file = TakesLittle()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding="utf-8", write_through=True))
    console.print_text("eight of spades, été\n")
    assert file.data.decode() == "eight of spades, été\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_standard_output_that_fills_up(run, cards, monkeypatch, form):
    """The run ends there; what was transcribed is on standard error, in the format asked for."""
    fills = Fills(3 if form == "text" else 0)
    monkeypatch.setattr(sys, "stdout", fills)
    status, _, err = run("transcribe", cards, "-m", "tiny", "-f", form)
    assert status == 2
    assert err.endswith("[stdout] output: expected a place to write to, got [Errno 28] No space left on device.\n")
    if form == "json":
        assert json.loads(err[err.index("{") : err.rindex("}") + 1])["text"] == CARDS
        return
    said, text, mark, _ = err.splitlines()
    assert "incomplete, the output could not be written after" in said
    assert text.startswith("".join(fills.written).strip())
    assert mark.startswith("[incomplete: the output could not be written after ")


@pytest.mark.fault(
    "work lost: closed standard streams: 2>&-, <&-, >&-",
    "work lost: a standard output that cannot be written lost the text",
)
@pytest.mark.parametrize(
    ("redirection", "status", "out", "err"),
    [
        ("<&- 2>&-", 0, CARDS + "\n", ""),
        ("-o {tmp}/a.txt >&- 2>&-", 0, "", ""),
        (">&-", 2, "", "[transcribe] --output: expected a file, as standard output is closed, got none."),
        ("> /dev/full", 2, "", "expected a file, as standard output cannot be written, got No space left on device."),
    ],
    ids=["in-err", "all-but-file", "out", "full"],
)
def test_standard_streams(cards, tmp_path, redirection, status, out, err):
    command = f'exec "$0" -m voxtral_kernels transcribe "$1" -m tiny {redirection.format(tmp=tmp_path)}'
    done = subprocess.run(["sh", "-c", command, sys.executable, cards], capture_output=True, text=True, timeout=120)
    assert done.returncode == status
    assert done.stdout == out
    assert err in done.stderr
    assert err or not done.stderr
    if "a.txt" in redirection:
        assert (tmp_path / "a.txt").read_text() == CARDS + "\n"


def test_closed_standard_input_is_said(cards):
    command = 'exec "$0" -m voxtral_kernels transcribe - -m tiny <&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected audio on standard input, got none: it is closed." in done.stderr


# Starts the command; the signal comes when it looks for the module named first.
AT_IMPORT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), number)

wanted, number = sys.argv.pop(1), int(sys.argv.pop(1))
sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)
from voxtral_kernels.cli import main
sys.exit(main())
"""


@pytest.mark.fault("live pipes: a traceback after Ctrl-C in the first 0.2 s")
@pytest.mark.parametrize("module", ["voxtral_kernels.cli.console", "typer", "numpy", "voxtral_kernels.models"])
def test_ctrl_c_before_the_work_has_begun(cards, module):
    done = at_import(module, signal.SIGINT, "transcribe", cards, "-m", "tiny")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def at_import(module, number, *arguments):
    command = [sys.executable, "-c", AT_IMPORT, module, str(int(number)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.fault("work lost: SIGTERM while the model was loaded ended without a word and without a file")
def test_a_signal_while_the_model_is_loaded_leaves_its_mark(cards, examples, tmp_path):
    module, number, name, status = "voxtral_kernels.models", signal.SIGTERM, "SIGTERM", 143
    out, said = tmp_path / "a.json", f"voxtral-kernels: {cards}: incomplete, ended by {name} after 0.0 s of audio"
    done = at_import(module, number, "transcribe", cards, "-m", "tiny", "-o", out)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"{said}; what there is of it is in {out}\n"
    got = json.loads(out.read_text())
    assert (got["complete"], got["reason"], got["text"], got["words"]) == (False, f"ended by {name}", "", [])
    done = at_import(module, number, "transcribe", cards, "-m", "tiny")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"{said}\n")
    done = at_import(module, number, "ask", cards, "What is it?", "-m", "tiny-offline", "-f", "json")
    assert (done.returncode, json.loads(done.stdout)["complete"]) == (status, False)
    folder = tmp_path / "out"
    both = (cards, examples / "human-card-1.wav")
    done = at_import(module, number, "transcribe", *both, "-m", "tiny", "-o", f"{folder}/")
    assert (done.returncode, [p.read_text() for p in folder.iterdir()]) == (
        status,
        [f"[incomplete: ended by {name} after 0.0 s of audio]\n"],
    )


@pytest.mark.soak
def test_ctrl_c_at_any_moment(cards):
    """From 50 ms after the interpreter began with us: before that it is Python's own start."""
    code = "import os, runpy; os.write(1, b'*'); runpy.run_module('voxtral_kernels', run_name='__main__')"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    for delay in (n / 50 for n in range(3, 80)):
        process = subprocess.Popen(
            [sys.executable, "-c", code, "transcribe", cards, "-m", "tiny"],
            **pipes,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert os.read(process.stdout.fileno(), 1) == b"*"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert b"Traceback" not in err, delay
        assert process.returncode in (0, 130), delay
        assert CARDS.startswith(out.decode().strip()[:28])
