"""A worker's rows are what `transcribe` says, and a recording that cannot be read is a row too."""

import dataclasses
import json
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from voxtral_kernels.bulk import hearing
from voxtral_kernels.bulk.hearing import Told
from voxtral_kernels.bulk.journal import TRIES
from voxtral_kernels.bulk.manifest import Entry, Manifest
from voxtral_kernels.bulk.plan import Group, Plan
from voxtral_kernels.bulk.shards import Folder, name
from voxtral_kernels.bulk.worker import Job, Worker, pack, unpack
from voxtral_kernels.cli import main
from voxtral_kernels.transcripts.formats import Transcript

EXAMPLES = Path(__file__).parents[2] / "examples"
CARDS = [f"human-card-{n}.wav" for n in (1, 5)]


def group(*paths):
    entries = [Entry(f"id {n}", str(path), None, f"line {n}") for n, path in enumerate(paths)]
    return Group(name(e.id for e in entries), entries)


@pytest.fixture
def worker(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return Worker(Job("tiny", str(tmp_path), str(EXAMPLES)))


class Silent(Worker):
    """Hears nothing, and fails for the paths that are ``bad``."""

    def load(self):
        self.bad, self.heard = set(), []

    def hear(self, source):
        self.heard.append(source.path)
        return Told(Transcript(source.path), "[load_audio] bad" if source.path in self.bad else None, 0.0)

    def hear_together(self, entries, journal):
        for entry in entries:
            journal.begin(entry.id)
        for i, entry in enumerate(entries):
            yield i, self.hear(self._source(entry))


@pytest.fixture
def silent(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return Silent(Job("none", str(tmp_path), "/"))


def test_rows_are_those_of_transcribe(worker, tmp_path, capsys):
    import fsspec

    with fsspec.open("memory://cards.wav", "wb") as file:
        file.write((EXAMPLES / CARDS[0]).read_bytes())
    (tmp_path / "text.wav").write_text("no audio")
    cut = (EXAMPLES / CARDS[1]).read_bytes()[:60_000]
    (tmp_path / "cut.wav").write_bytes(cut)
    bad = ["none.wav", tmp_path / "text.wav"]
    work = group(*CARDS, "memory://cards.wav", tmp_path / "cut.wav", *bad)
    done = worker.do(unpack(work.shard, pack(work)))
    assert (done.files, done.errors) == (6, 2)
    rows = worker.out.rows(done.shard)
    assert [row["id"] for row in rows] == [f"id {n}" for n in range(6)]
    assert main(["transcribe", "--model", "tiny", "-f", "json", *(str(EXAMPLES / card) for card in CARDS)]) == 0
    for row, line in zip(rows, capsys.readouterr().out.splitlines(), strict=False):
        said = json.loads(line)
        for key in ("text", "words", "segments", "duration_s", "complete", "model", "delay_ms"):
            assert row[key] == said[key], key
        assert row["error"] is None
    assert rows[2]["text"] == rows[0]["text"] != ""
    assert not rows[3]["complete"]
    assert "cut off" in rows[3]["warnings"][0]
    assert "none.wav: expected a file that exists" in rows[4]["error"]
    assert "text.wav: expected" in rows[5]["error"]
    assert [rows[4][key] for key in ("text", "words", "duration_s", "complete")] == ["", [], 0.0, False]


@pytest.mark.fault("ending: a named pipe in the manifest kept a worker waiting for ever")
@pytest.mark.parametrize("slots", [1, 2])
def test_a_pipe_is_a_row_with_an_error(worker, tmp_path, slots):
    os.mkfifo(tmp_path / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(tmp_path / "s.wav"))
    worker.job = dataclasses.replace(worker.job, slots=slots)
    work = group(tmp_path / "pipe.wav", f"file://{tmp_path}/pipe.wav", tmp_path / "s.wav")

    def waited(*_):
        raise TimeoutError("it waited")

    before = signal.signal(signal.SIGALRM, waited)
    signal.setitimer(signal.ITIMER_REAL, 20, 2)
    try:
        rows = worker.out.rows(worker.do(work).shard)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [("expected an audio file, got the" in row["error"], row["text"]) for row in rows] == [(True, "")] * 3
    assert "got the pipe" in rows[0]["error"]
    assert "got the pipe" in rows[1]["error"]


@pytest.mark.fault("errors: of a server that did not answer, bulk said only that there is no file")
def test_an_error_of_a_url_names_its_cause(worker, monkeypatch):
    """fsspec's answer for a connection that is refused is FileNotFoundError with the URL."""

    def no_answer(*_):
        raise FileNotFoundError("http://x/a.wav") from ConnectionError("nobody answers")

    monkeypatch.setattr(hearing, "file_system", no_answer)
    for slots in (1, 2):
        worker.job = dataclasses.replace(worker.job, slots=slots)
        work = group(*["http://x/a.wav"] * 2, *CARDS[:slots])
        rows = worker.out.rows(worker.do(work).shard)
        assert [row["error"] for row in rows[:2]] == ["FileNotFoundError: http://x/a.wav (nobody answers)"] * 2
        assert rows[2]["text"]


def test_rows_of_several_at_once_are_those_of_one(worker, tmp_path):
    """One is no audio, one is not there, one is cut off; more recordings than slots."""
    (tmp_path / "text.wav").write_text("no audio")
    cut = (EXAMPLES / CARDS[1]).read_bytes()[:60_000]
    (tmp_path / "cut.wav").write_bytes(cut)
    paths = ["none.wav", *CARDS, tmp_path / "text.wav", tmp_path / "cut.wav", "human-card-2.wav"]
    work, again = group(*paths), group(*paths, CARDS[0])
    worker.do(work)
    worker.job = dataclasses.replace(worker.job, slots=3)
    worker.do(again)
    alone, together = (worker.out.rows(g.shard) for g in (work, again))
    assert [row["id"] for row in together] == [f"id {n}" for n in range(7)]
    for one, other in zip(alone, together[:6], strict=True):
        assert one.pop("seconds") >= 0
        assert other.pop("seconds") >= 0
        assert one == other
    assert together[6]["text"] == alone[1]["text"] != ""
    assert [row["error"] is None for row in alone] == [False, True, True, False, True, True]


def test_what_a_worker_died_in_is_heard_alone(silent):
    """Of three that were heard at once only the deadly one is given up."""
    silent.job = dataclasses.replace(silent.job, slots=3)
    work = group("good.wav", "deadly.wav", "good too.wav")
    assert died(silent, work, at=1) == ["good.wav"]
    for _ in range(TRIES - 1):
        died(silent, work, at=0)
    assert silent.do(work).errors == 1
    rows = silent.out.rows(work.shard)
    assert [row["error"] for row in rows] == [None, f"{TRIES} workers died in it", None]
    assert silent.heard == ["good.wav", "good too.wav"]


def test_a_shard_that_is_there_is_not_done_again(worker, monkeypatch):
    work = group("none.wav")
    first = worker.do(work)
    monkeypatch.setattr(worker, "hear", None)
    assert worker.do(work) == first


def died(worker, work, at):
    """A worker begins a group and dies in its recording ``at``."""
    done = []

    class Killed(BaseException):
        pass

    def hear(source):
        if len(done) == at:
            raise Killed
        done.append(source.path)
        return type(worker).hear(worker, source)

    worker.hear = hear
    with pytest.raises(Killed):
        worker.do(work)
    del worker.hear
    return done


def test_a_dead_workers_rows_are_kept(silent):
    work = group(*(f"{n}.wav" for n in range(4)))
    assert died(silent, work, at=2) == ["0.wav", "1.wav"]
    path = silent.out.scratch(work.shard)
    path.write_bytes(path.read_bytes() + b'{"row": {"id": "id 2", ')  # it died while it wrote
    assert silent.out.names() == set()
    assert died(silent, work, at=1) == ["2.wav"]
    assert silent.do(work).files == 4
    assert [row["id"] for row in silent.out.rows(work.shard)] == [f"id {n}" for n in range(4)]
    assert not path.exists()


def test_a_recording_that_kills_its_workers_is_given_up(silent):
    work = group("good.wav", "deadly.wav", "good too.wav")
    assert died(silent, work, at=1) == ["good.wav"]
    # The command was ended on purpose: no fault of the recording.
    silent.job = dataclasses.replace(silent.job, run="another")
    for _ in range(TRIES):
        assert died(silent, work, at=0) == []
    assert silent.do(work).errors == 1
    rows = silent.out.rows(work.shard)
    assert [row["error"] for row in rows] == [None, f"{TRIES} workers died in it", None]
    assert [row["id"] for row in rows] == ["id 0", "id 1", "id 2"]


@pytest.mark.fault(
    "work lost: a worker that outlived its command wrote recordings that the next command had in other shards"
)
@pytest.mark.parametrize("url", ["folder", "memory://taken"])
def test_no_recording_is_there_twice_though_an_older_command_still_writes(tmp_path, monkeypatch, write, url):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    manifest = Manifest(write(*({"path": f"{n}.wav"} for n in range(8))))
    out = Folder(url if "://" in url else str(tmp_path / url), "jsonl")

    def begin(size):
        job = Job("none", out.absolute, "/")
        out.prepare(job.settings)
        return Silent(job), list(Plan(manifest, out, size))

    old, groups = begin(4)
    old.do(groups[0])
    new, others = begin(3)
    out.prepare({**old.job.settings, "run": "only asked"}, write=False)
    for work in others[:1]:
        new.do(work)
    with pytest.raises(ValueError, match=r"--out: expected a folder into which one command writes, got .*another bulk"):
        old.do(groups[1])
    for work in others[1:]:
        new.do(work)
    rows = [row["id"] for shard in out.names() for row in out.rows(shard)]
    assert sorted(rows) == [f"{n}.wav" for n in range(8)]


def test_a_command_that_begins_waits_for_a_shard_that_is_being_written(silent, tmp_path, monkeypatch, write):
    """Between a worker's look at the settings and the shard's last name no other command comes in."""
    silent.out.prepare(silent.job.settings)
    moved, order = silent.out._fs.mv, []

    def move(*paths):
        begun.start()
        begun.join(0.5)
        moved(*paths)
        order.append("written")

    def begin():
        Folder(str(tmp_path), "jsonl").prepare(Job("none", str(tmp_path), "/").settings)
        order.append("begun")

    begun = threading.Thread(target=begin)
    with monkeypatch.context() as patch:
        patch.setattr(
            silent.out._fs, "mv", lambda *paths: move(*paths) if not order and not begun.ident else moved(*paths)
        )
        silent.do(group("a.wav"))
    begun.join(20)
    assert order == ["written", "begun"]


def test_errors_are_done_again_when_asked(silent, tmp_path):
    work = group("one.wav", "bad.wav", "two.wav")
    silent.bad = {"bad.wav"}
    assert silent.do(work).errors == 1
    silent.bad = set()
    assert silent.do(work).errors == 1
    silent.job = dataclasses.replace(silent.job, retry_errors=True)
    done = silent.heard[:]
    assert silent.do(work).errors == 0
    assert silent.heard == [*done, "bad.wav"]
    assert [(row["id"], row["error"]) for row in silent.out.rows(work.shard)] == [(f"id {n}", None) for n in range(3)]


@pytest.mark.fault("work lost: --retry-errors kept the errors of a command that was ended amid a shard")
def test_errors_of_an_ended_command_are_done_again_when_asked(silent):
    """They stand in the journal, for the shard is not written yet; this command's own are final."""
    work = group("bad.wav", "good.wav", "worse.wav", "last.wav")
    silent.bad = {"bad.wav"}
    assert died(silent, work, at=2) == ["bad.wav", "good.wav"]
    silent.job = dataclasses.replace(silent.job, run="another", retry_errors=True)
    silent.bad, silent.heard = {"worse.wav"}, []
    assert died(silent, work, at=2) == ["bad.wav", "worse.wav"]
    assert silent.do(work).errors == 1
    assert silent.heard == ["bad.wav", "worse.wav", "last.wav"]
    rows = silent.out.rows(work.shard)
    assert [(row["id"], bool(row["error"])) for row in rows] == [(f"id {n}", n == 2) for n in range(4)]
