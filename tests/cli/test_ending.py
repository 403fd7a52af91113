"""Whatever ends a run early: what was transcribed is delivered, marked, and said; nothing that was there is touched."""

import json
import os
import re
import signal

import pytest
import soundfile

from voxtral_kernels.cli import streaming

HEARD = "eight of spades four of clubs"
CARDS = "eight of spades four of clubs seven of hearts"
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


class Interrupts:
    """A stream at whose second piece something happens: an error is raised, or a function is called."""

    def __init__(self, stream, event):
        self.stream, self.event, self.fed = stream, event, 0

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def feed(self, samples):
        self.fed += 1
        if self.fed == 2:
            if isinstance(self.event, BaseException):
                raise self.event
            self.event()
        return self.stream.feed(samples)


@pytest.fixture
def at_second_piece(monkeypatch):
    """Makes something happen after 1.28 s of audio."""

    def use(event):
        new_stream = streaming.new_stream

        def broken(*arguments, **options):
            stream, delay_ms = new_stream(*arguments, **options)
            return Interrupts(stream, event), delay_ms

        monkeypatch.setattr(streaming, "new_stream", broken)

    return use


@pytest.fixture
def kill(at_second_piece):
    """Sends this process a signal after 1.28 s; a suite in the background may have it ignored."""
    before = {number: signal.getsignal(number) for number, _ in SIGNALS}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    yield lambda number: at_second_piece(lambda: os.kill(os.getpid(), number))
    for number, handler in before.items():
        signal.signal(number, handler)


def check_partial(text, form):
    """The heard part, words in the delay included, marked as what it is; valid for its format."""
    said = {"text": text.strip().partition("\n")[0], "srt": "", "vtt": ""}.get(form)
    if form == "json":
        got = json.loads(text)
        assert (got["complete"], got["duration_s"]) == (False, 2.56)
        assert got["reason"].startswith("ended by SIG")
        said = got["text"]
        assert " ".join(s["text"] for s in got["segments"]) == said
    elif form == "text":
        assert re.fullmatch(r"\[incomplete: ended by SIG\w+ after 2\.6 s of audio\]", text.splitlines()[-1])
    else:
        said = re.findall(r" --> .*\n(.*)", text)[0]
        mark = r"\[incomplete: ended by SIG\w+ after 2\.6 s of audio\]"
        number = "2\n" if form == "srt" else ""
        times = r"00:00:02,560 --> 00:00:03,560\n" if form == "srt" else "NOTE "
        assert re.search(rf"\n\n{number}{times}{mark}\n$", text)
    # What was cut in the middle of a word is guessed at.
    assert said.startswith(HEARD)


@pytest.mark.fault("work lost: SIGTERM and SIGHUP lost the transcript")
@pytest.mark.parametrize(("number", "status"), SIGNALS, ids=lambda v: getattr(v, "name", ""))
@pytest.mark.parametrize("form", ["text", "json", "srt", "vtt"])
def test_a_signal_leaves_a_partial_file(run, kill, cards, tmp_path, number, status, form):
    kill(number)
    out = tmp_path / f"a.{form}"
    assert run("transcribe", cards, "-m", "tiny", "-f", form, "-o", out)[0] == status
    check_partial(out.read_text(), form)


def test_a_signal_keeps_the_file_that_was_there(run, kill, cards, tmp_path):
    kill(signal.SIGTERM)
    out, partial = tmp_path / "a.json", tmp_path / "a.partial.json"
    out.write_text("old")
    status, said, err = run("transcribe", cards, "-m", "tiny", "-o", out)
    assert (status, said) == (143, "")
    where = f"incomplete, ended by SIGTERM after 2.6 s of audio; what there is of it is in {partial}"
    assert err == f"voxtral-kernels: {cards}: {where}\n"
    assert out.read_text() == "old"
    check_partial(partial.read_text(), "json")
    partial.write_text("the user's")
    assert run("transcribe", cards, "-m", "tiny", "-o", out)[0] == 143
    assert partial.read_text() == "the user's"
    check_partial((tmp_path / "a.partial-2.json").read_text(), "json")


def test_a_signal_ends_the_text_on_standard_output(run, kill, cards):
    kill(signal.SIGTERM)
    status, out, err = run("transcribe", cards, "-m", "tiny")
    assert status == 143
    assert out.startswith(HEARD)
    assert err == f"voxtral-kernels: {cards}: incomplete, ended by SIGTERM after 2.6 s of audio\n"
    status, out, _ = run("transcribe", cards, "-m", "tiny", "-f", "json")
    check_partial(out, "json")


def test_a_signal_between_recordings(run, kill, cards, examples, tmp_path):
    kill(signal.SIGTERM)
    files = cards, examples / "human-card-1.wav"
    status, _, err = run("transcribe", *files, "-m", "tiny", "-o", f"{tmp_path}/out/", "--slots", "1")
    assert status == 143
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["human-card-5.txt"]
    assert err.endswith("0 of 2 recordings transcribed\n")


@pytest.mark.parametrize(("number", "status"), SIGNALS, ids=lambda v: getattr(v, "name", ""))
def test_a_signal_before_the_first_audio(run, monkeypatch, kill, cards, tmp_path, number, status):
    """SIGTERM and SIGHUP leave an empty transcript that is marked; Ctrl-C, whose sender knows, nothing."""
    kill(number)
    new_stream = streaming.new_stream

    def before(*arguments, **options):
        os.kill(os.getpid(), number)
        return new_stream(*arguments, **options)

    monkeypatch.setattr(streaming, "new_stream", before)
    out = tmp_path / "a.srt"
    got = run("transcribe", cards, "-m", "tiny", "-o", out)
    if number == signal.SIGINT:
        assert (got, out.exists()) == ((130, "", ""), False)
        return
    said = f"incomplete, ended by {number.name} after 0.0 s of audio"
    assert got == (status, "", f"voxtral-kernels: {cards}: {said}; what there is of it is in {out}\n")
    assert f"[{said.replace(', ', ': ')}]" in out.read_text()


def test_a_second_signal_does_not_wait_for_the_last_words(run, at_second_piece, kill, cards):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    at_second_piece(twice)
    status, out, _ = run("transcribe", cards, "-m", "tiny", "-f", "json")
    assert status == 130
    assert json.loads(out)["duration_s"] == 1.28


def test_an_ignored_signal_stays_ignored(run, kill, cards):
    """As nohup has it."""
    kill(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert run("transcribe", cards, "-m", "tiny") == (0, CARDS + "\n", "")
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.fault("work lost: an error in the middle lost what was transcribed")
def test_an_error_in_the_middle(run, at_second_piece, cards, tmp_path):
    out = tmp_path / "a.txt"
    out.write_text("old")
    at_second_piece(RuntimeError("out of\nmemory"))
    status, said, err = run("transcribe", cards, "-m", "tiny", "-o", out)
    assert (status, said) == (2, "")
    assert err.splitlines()[-1] == "voxtral-kernels: error: RuntimeError: out of memory"
    assert out.read_text() == "old"
    partial = (tmp_path / "a.partial.txt").read_text().splitlines()
    assert CARDS.startswith(partial[0])
    assert partial[1] == "[incomplete: an error after 1.3 s of audio]"
    assert "".join(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == ""


@pytest.mark.fault("work lost: one bad byte at the end of raw input lost the text")
def test_half_a_sample_at_the_end_of_raw_input(run, stdin, cards):
    stdin(soundfile.read(cards, dtype="int16")[0].tobytes() + b"\0")
    status, out, err = run("transcribe", "-", "--raw", "-m", "tiny", "-f", "json")
    got = json.loads(out)
    assert (status, got["text"], got["complete"]) == (0, CARDS, False)
    assert re.fullmatch(r"voxtral-kernels: warning: stdin ends with half a sample.*\n", err)


@pytest.mark.fault("work lost: samples that are no numbers, late in a file, lost the text before them")
def test_an_unreadable_rest(run, cards, tmp_path):
    samples = soundfile.read(cards, dtype="float32")[0]
    samples[50_000] = float("nan")
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    status, out, err = run("transcribe", tmp_path / "a.wav", "-m", "tiny", "-f", "json")
    got = json.loads(out)
    assert (status, got["complete"], got["reason"]) == (2, False, "an error")
    assert got["text"].startswith(HEARD)
    assert got["duration_s"] >= 2.56
    incomplete, error = err.splitlines()
    assert re.search(r"incomplete, an error after \d\.\d s of audio$", incomplete)
    assert "expected finite samples, got nan at sample 50000" in error


def test_a_truncated_file(run, examples, tmp_path):
    data = (examples / "human-card-5.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[: len(data) // 2])
    status, out, err = run("transcribe", tmp_path / "a.wav", "-m", "tiny", "-o", tmp_path / "a.vtt")
    assert (status, out) == (0, "")
    assert re.fullmatch(r"voxtral-kernels: warning: .*a\.wav' ends at 1\.75 s of 3\.50 s.*\n", err)
    assert (tmp_path / "a.vtt").read_text().endswith("\nNOTE [incomplete: no more can be read after 1.8 s of audio]\n")


@pytest.mark.fault("work lost: a full disk lost the transcript")
def test_a_disk_that_is_full_at_the_end(run, cards, tmp_path, monkeypatch):
    """What is written at the end does not fit: the text on standard error, the old file whole."""
    out = tmp_path / "a.txt"
    out.write_text("old")
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 1:  # the first one is the proof, before any work
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("os.fsync", full)
    status, said, err = run("transcribe", cards, "-m", "tiny", "-o", out)
    assert (status, said) == (2, "")
    assert f"\n{CARDS}\n" in err
    assert err.endswith("error: [Errno 28] No space left on device\n")
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
