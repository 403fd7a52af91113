"""Outputs are proven to be writable before any work, and several recordings do not hurt one another."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from voxtral_kernels.cli import output
from voxtral_kernels.transcripts.formats import Format

CARDS = "eight of spades four of clubs seven of hearts"


@pytest.fixture
def refused(fails, cards, monkeypatch):
    """The error of an output that must be refused before a recording or a model is opened."""

    def call(*arguments, files=(cards,)):
        def work(*arguments, **options):
            raise AssertionError("work was begun")

        with monkeypatch.context() as m:
            m.setattr("voxtral_kernels.cli.transcribe.open_recording", work)
            m.setattr("voxtral_kernels.cli.transcribe.load_model", work)
            return fails("transcribe", *files, "-m", "tiny", *arguments)

    return call


@pytest.fixture
def unwritable(monkeypatch):
    """Makes the file system refuse to make files: this suite may run as root, who may do anything."""

    def use(number):
        def no(*arguments, **options):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(output.tempfile, "TemporaryFile", no)

    return use


@pytest.mark.fault(
    "work lost: an output that cannot be written was found out at the end",
    "work lost: a full disk was found out at the end",
)
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC], ids=os.strerror)
def test_a_folder_that_takes_no_files(refused, unwritable, tmp_path, number):
    unwritable(number)
    expected = "[transcribe] --output: expected a folder that can be written, with room, got "
    error = refused("-o", tmp_path / "a.txt")
    assert expected in error
    assert os.strerror(number) in error
    assert expected in refused("-o", tmp_path)


@pytest.mark.fault("work lost: a name that the file system refuses was found out at the end")
def test_a_name_that_the_file_system_refuses(refused, run, cards, tmp_path):
    assert "a name that the file system takes" in refused("-o", tmp_path / ("a" * 256))
    longest = tmp_path / ("a" * 255)
    assert run("transcribe", cards, "-m", "tiny", "-o", longest)[0] == 0
    assert longest.read_text() == CARDS + "\n"
    assert list(tmp_path.iterdir()) == [longest], "nothing else is left behind"


@pytest.mark.fault("work lost: a file's name that is not UTF-8 lost the transcript")
def test_a_name_that_is_not_utf_8(run, cards, tmp_path):
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    shutil.copy(cards, bad + ".wav")
    status, out, _ = run("transcribe", bad + ".wav", "-m", "tiny", "-o", bad + ".json")
    assert (status, out) == (0, "")
    assert f'"source": "{tmp_path}/caf�.wav"' in Path(bad + ".json").read_text("utf-8")
    status, out, _ = run("transcribe", bad + ".wav", cards, "-m", "tiny")
    assert (status, out.splitlines()[0]) == (0, f"==> {tmp_path}/caf�.wav <==")
    for name in (bad + "/none.txt", bad + ".wav"):
        assert "caf�" in run("transcribe", bad + ".wav", "-m", "tiny", "-o", name)[2]


@pytest.mark.fault("work lost: Talk.wav and x/talk.wav wrote one file where capitals make no difference")
def test_names_that_are_one_file_on_this_volume(refused, run, cards, tmp_path, monkeypatch):
    files = [tmp_path / "Talk.wav", tmp_path / "x" / "talk.wav", tmp_path / "TALK.wav"]
    files[1].parent.mkdir()
    for file in files:
        shutil.copy(cards, file)
    assert run("transcribe", *files[:2], "-m", "tiny", "-o", f"{tmp_path}/out/")[0] == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"Talk.txt", "talk.txt"}, "two where they make one"
    for name in ("Talk.txt", "talk.txt"):
        (tmp_path / "out" / name).unlink()
    exists = Path.exists

    def folded(path, **options):
        return any(p.name.casefold() == path.name.casefold() for p in path.parent.iterdir()) or exists(path)

    monkeypatch.setattr(Path, "exists", folded)
    error = refused("-o", tmp_path / "out", files=files[1:])
    assert "FILE: expected recordings of different names, got two that would be written to" in error
    assert "which are the same file" in error
    assert list((tmp_path / "out").iterdir()) == []


def test_a_read_only_file_is_not_replaced(refused, tmp_path, monkeypatch):
    out = tmp_path / "a.txt"
    out.write_text("mine")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write it
    assert "expected a file that may be written, got the read-only" in refused("-o", out)


def test_a_folder_for_the_outputs_is_made(run, refused, cards, tmp_path):
    assert run("transcribe", cards, "-m", "tiny", "-o", f"{tmp_path}/new/")[0] == 0
    assert (tmp_path / "new" / "human-card-5.txt").read_text() == CARDS + "\n"
    assert "expected an existing folder" in refused("-o", f"{tmp_path}/none/new/")
    (tmp_path / "file").touch()
    assert "expected an existing folder" in refused("-o", f"{tmp_path}/file/")


@pytest.mark.fault("subtitles: -o x.srt wrote text", "subtitles: -o - wrote a file named -")
def test_the_output_implies_the_format(run, cards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("transcribe", cards, "-m", "tiny", "-o", "a.SRT")[0] == 0
    assert Path("a.SRT").read_text().startswith("1\n00:00:00,320 --> ")
    assert run("transcribe", cards, "-m", "tiny", "-o", "-", "-f", "vtt")[1].startswith("WEBVTT\n")
    assert run("transcribe", cards, "-m", "tiny", "-o", "-") == (0, CARDS + "\n", "")
    assert [p.name for p in tmp_path.iterdir()] == ["a.SRT"]
    found = [output.format_of(form, out) for form, out in ((None, "a.json"), (Format.TEXT, "a.json"), (None, "a.md"))]
    assert found == [Format.JSON, Format.TEXT, Format.TEXT]


@pytest.mark.fault("work lost: a bad file among several ended the run")
@pytest.mark.parametrize("bad_at", [0, 1, 2])
def test_a_bad_one_among_several(run, cards, examples, tmp_path, bad_at):
    (tmp_path / "bad.mp3").write_bytes(b"no audio at all\n" * 50)
    files = [cards, examples / "human-card-1.wav"]
    files.insert(bad_at, tmp_path / "bad.mp3")
    status, out, err = run("transcribe", *files, "-m", "tiny", "-o", f"{tmp_path}/out/")
    assert (status, out) == (1, "")
    error, count = err.splitlines()
    assert error.startswith("voxtral-kernels: error: [load_audio] ")
    assert "bad.mp3" in error
    assert count == "voxtral-kernels: 2 of 3 recordings transcribed"
    texts = {p.name: p.read_text() for p in (tmp_path / "out").iterdir()}
    assert texts == {"human-card-5.txt": CARDS + "\n", "human-card-1.txt": "ten of clubs\n"}


@pytest.mark.fault("mutations: control characters in names and texts reached the terminal")
def test_control_characters_do_not_reach_the_terminal(run, cards, tmp_path, monkeypatch):
    name = f"{tmp_path}/e\x1b]0;vil\x07\x9b31m.wav"
    assert "\\u001b]0;vil\\u0007\\u009b31m" in run("transcribe", name, "-m", "tiny")[2].replace("\\x", "\\u00")
    shutil.copy(cards, name)
    monkeypatch.setattr("voxtral_kernels.tokenizer.Tokenizer.token_bytes", lambda self, token: b"\x1b[2J\rz \x07")
    for options in (("-f", "text"), ("-f", "json"), ("-f", "srt"), ("-f", "vtt"), ("-o", f"{tmp_path}/a.txt")):
        status, *said = (
            run("transcribe", name, name, "-m", "tiny", *options[:2])
            if options[1] in "text json"
            else run("transcribe", name, "-m", "tiny", *options)
        )
        assert status == 0
        assert not any((c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f" for c in "".join(said))
    assert "\\u001b[2J\\u000dz" in (tmp_path / "a.txt").read_text()


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a tmpfs: Linux, root")
def test_a_disk_of_64_kb(cards, examples, tmp_path):
    """Full before the work: refused. Full at its end: the text on standard error. The old file stays whole."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    try:
        old = "old\n" * 13_000
        (disk / "a.json").write_text(old)
        command = [sys.executable, "-m", "voxtral_kernels", "transcribe", "-m", "tiny", "-o", disk / "a.json"]
        done = subprocess.run([*command, examples / "one-minute.wav"], capture_output=True, text=True)
        assert done.returncode == 2
        assert '"complete": true' in done.stderr
        assert done.stderr.endswith("No space left on device\n")
        assert (disk / "a.json").read_text() == old
        assert list(disk.iterdir()) == [disk / "a.json"]
        command[-2:] = ["-f", "json"]
        with (disk / "out").open("wb") as out:
            done = subprocess.run(
                [*command, examples / "one-minute.wav"], stdout=out, stderr=subprocess.PIPE, text=True
            )
        assert done.returncode == 2
        assert '"complete": true' in done.stderr
        command[-2:] = ["-o", disk / "a.json"]
        (disk / "more").write_bytes(bytes(12_288 - (disk / "out").stat().st_size // 4096 * 4096))
        done = subprocess.run([*command, cards], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        assert "expected a folder that can be written, with room, got" in done.stderr
        assert (disk / "a.json").read_text() == old
    finally:
        subprocess.run(["umount", disk], check=True)
