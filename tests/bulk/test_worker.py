"""A worker's rows are what `transcribe` says, and a recording that cannot be read is a row too."""

import json
from pathlib import Path

import pytest

from voxtral_kernels.bulk.manifest import Entry
from voxtral_kernels.bulk.plan import Group
from voxtral_kernels.bulk.shards import name
from voxtral_kernels.bulk.worker import Job, Worker, pack, unpack
from voxtral_kernels.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"
CARDS = [f"human-card-{n}.wav" for n in (1, 5)]


def group(*paths):
    entries = [Entry(f"id {n}", str(path), None, f"line {n}") for n, path in enumerate(paths)]
    return Group(name(e.id for e in entries), entries)


@pytest.fixture
def worker(tmp_path, monkeypatch):
    for variable in ("VOXTRAL_KERNELS_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    return Worker(Job("tiny", str(tmp_path), str(EXAMPLES)))


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


def test_a_shard_that_is_there_is_not_done_again(worker, monkeypatch):
    work = group("none.wav")
    first = worker.do(work)
    monkeypatch.setattr(worker, "row", None)
    assert worker.do(work) == first
