"""The command as a process: entry points, help, Ctrl-C, a live terminal, the import time's cause."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys

import pytest
import soundfile

import voxtral_kernels

COMMAND = [sys.executable, "-m", "voxtral_kernels"]


def test_help_and_version(run):
    assert run("--version") == (0, f"voxtral-kernels {voxtral_kernels.__version__}\n", "")
    for arguments in ((), ("--help",)):
        status, out, err = run(*arguments)
        assert (status, err) == (0, "")
        assert all(name in out for name in ("transcribe", "mic", "info", "convert", "bench"))
    assert "--delay-ms" in run("transcribe", "--help")[1]


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["transcribe"], ["info", "x"]], ids=" ".join)
def test_wrong_usage(fails, arguments):
    fails(*arguments)


def test_bench_is_the_benchmark_packages(run):
    status, out, err = run("bench", "--help")
    assert (status, err) == (0, "")
    assert "counters" in out
    assert run("bench", "nonsense")[0] == 2


def test_heavy_imports_wait_for_the_command_that_needs_them():
    code = "import sys, voxtral_kernels.cli; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in modules
    assert not {"soundfile", "mistral_common", "huggingface_hub", "sounddevice", "rich.live"} & set(modules)


def test_a_traceback_can_be_asked_for(run, monkeypatch):
    monkeypatch.setenv("VOXTRAL_KERNELS_TRACEBACK", "1")
    with pytest.raises(ValueError, match="delay_ms"):
        run("transcribe", "x.wav", "--delay-ms", "100")


def test_a_reader_that_goes_away(examples):
    """``| head -0``: no complaint."""
    command = [*COMMAND, "transcribe", examples / "human-card-1.wav", "--model", "tiny"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() != 0


def test_ctrl_c_prints_what_there_is(examples):
    """A raw pipe that goes quiet, as a microphone's recorder would; then the signal that Ctrl-C sends."""
    pcm = (examples / "human-card-5.wav").read_bytes()[44:]
    # A shell starts what runs in the background with this signal ignored, and so this suite perhaps.
    options = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    }
    with terminal() as (shown, end):
        process = subprocess.Popen([*COMMAND, "transcribe", "-", "--raw", "--model", "tiny"], stderr=end, **options)
        os.close(end)
        process.stdin.write(pcm)
        process.stdin.flush()
        assert any("spades" in text for text in shown())
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        assert "Traceback" not in "".join(shown())
    assert process.returncode == 130
    assert out.decode().startswith("eight of spades")


def test_live_text_on_a_terminal(examples, tmp_path):
    """Partial text and the position while it goes; at the end the transcript alone, on a line of its own."""
    samples, rate = soundfile.read(examples / "one-minute.wav", dtype="int16", stop=31 * 16_000)
    soundfile.write(tmp_path / "long.wav", samples, rate)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with terminal() as (shown, end):
        command = [*COMMAND, "transcribe", tmp_path / "long.wav", "--model", "tiny"]
        process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment)
        os.close(end)
        text = "".join(shown())
        assert process.wait() == 0
    assert re.search(r"0:\d\d / 0:31", text)
    assert "━" in text, "a bar, as the recording is long"
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert lines[-1].startswith("go forward ten meters eight of spades")
    assert len(lines[-1]) > 200
    assert any("seven of hearts" in line and len(line) <= 100 for line in lines[:-1])


@contextlib.contextmanager
def terminal():
    """A terminal's two ends: what it shows, as an iterator that ends with the process, and the end to give away."""
    master, end = pty.openpty()

    def shown():
        while select.select([master], [], [], 60)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:  # the other end is closed
                return
            yield re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))

    yield shown, end
    os.close(master)
