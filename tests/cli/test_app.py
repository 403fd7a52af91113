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


@pytest.mark.fault("errors: -h was unknown")
def test_help_and_version(run):
    assert run("--version") == (0, f"voxtral-kernels {voxtral_kernels.__version__}\n", "")
    for arguments in ((), ("--help",), ("-h",)):
        status, out, err = run(*arguments)
        assert (status, err) == (0, "")
        assert all(name in out for name in ("transcribe", "mic", "info", "convert", "bench"))
    assert "--delay-ms" in run("transcribe", "-h")[1]


@pytest.mark.fault("errors: ask --help offered formats that it refuses")
def test_ask_offers_what_it_takes(run):
    text = run("ask", "--help")[1]
    assert "json" in text
    assert "srt" not in text


@pytest.mark.fault("errors: no completion for the shell")
def test_completion(monkeypatch, run):
    assert "--install-completion" in run("--help")[1]
    monkeypatch.setenv("_VOXTRAL_KERNELS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "voxtral-kernels tr")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert run()[:2] == (0, "transcribe\n")


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["transcribe"], ["info", "x"]], ids=" ".join)
def test_wrong_usage(fails, arguments):
    fails(*arguments)


def test_bench_is_the_benchmark_packages(run):
    status, out, err = run("bench", "--help")
    assert (status, err) == (0, "")
    assert "counters" in out
    assert run("bench", "nonsense")[0] == 2


def test_heavy_imports_wait_for_the_command_that_needs_them():
    code = "import sys, voxtral_kernels.cli.app; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in modules
    assert not {"numpy", "av", "mistral_common", "huggingface_hub", "sounddevice", "rich.live"} & set(modules)


def test_a_traceback_can_be_asked_for(run, monkeypatch):
    monkeypatch.setenv("VOXTRAL_KERNELS_TRACEBACK", "1")
    with pytest.raises(ValueError, match="delay_ms"):
        run("transcribe", "x.wav", "--delay-ms", "100")


@pytest.mark.fault("errors: status 1 where the documents say 141")
def test_a_reader_that_goes_away(examples):
    """``| head -0``: no complaint."""
    command = [*COMMAND, "transcribe", examples / "human-card-1.wav", "--model", "tiny"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


@pytest.mark.fault(
    "live pipes: text of a pipe appeared at the end, all at once",
    "live pipes: Ctrl-C on a recorder's pipe lost the last words",
)
def test_a_raw_pipe_is_heard_as_it_comes_and_ctrl_c_brings_the_last_words(examples):
    """A raw pipe that goes quiet, as a microphone's recorder would; then the signal that Ctrl-C sends."""
    pcm = (examples / "human-card-5.wav").read_bytes()[44:]
    command = [*COMMAND, "transcribe", "-", "--raw", "--model", "tiny"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A shell starts what runs in the background with this signal ignored, and so this suite perhaps.
    process = subprocess.Popen(command, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    process.stdin.write(pcm)
    process.stdin.flush()
    text = b""
    while not text.endswith(b"clubs"):
        text += os.read(process.stdout.fileno(), 100)
        assert text
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130, "while the recorder goes on"
    rest, err = process.communicate()
    assert (text + rest).decode() == "eight of spades four of clubs seven of hearts\n"
    assert err.decode() == "voxtral-kernels: -: incomplete, ended by SIGINT after 3.5 s of audio\n"


def test_live_text_on_a_terminal(examples, tmp_path):
    """Standard output has the text as it is decoded. Where it goes to a file, text and position are shown meanwhile.

    A bar below text on the same terminal: test_footer.py.
    """
    samples, rate = soundfile.read(examples / "one-minute.wav", dtype="int16", stop=31 * 16_000)
    soundfile.write(tmp_path / "long.wav", samples, rate)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    shown_by = {}
    for options in ((), ("-o", tmp_path / "a.txt")):
        with terminal() as (shown, end):
            command = [*COMMAND, "transcribe", tmp_path / "long.wav", "--model", "tiny", *options]
            environment["TERM"] = "xterm" if options else "dumb"
            process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment)
            os.close(end)
            shown_by[bool(options)] = list(shown())
            assert process.wait() == 0
    text = (tmp_path / "a.txt").read_text()
    assert text.startswith("go forward ten meters eight of spades")
    assert "".join(shown_by[False]) == text.replace("\n", "\r\n")
    assert len(shown_by[False]) > 5, "as it is decoded"
    view = "".join(shown_by[True])
    assert re.search(r"0:\d\d / 0:31", view)
    assert "━" in view, "a bar, as the recording is long"
    assert any("seven of hearts" in line and len(line) <= 100 for line in re.split(r"[\r\n]+", view))


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
