"""Shards are named by their ids and written whole; what is done is skipped, whatever the manifest became."""

import json

import pytest

from voxtral_kernels.bulk.journal import Journal
from voxtral_kernels.bulk.manifest import Manifest
from voxtral_kernels.bulk.plan import Plan
from voxtral_kernels.bulk.shards import PREFIX, SETTINGS, Folder, Form, name


def row(n):
    return {"id": str(n), "text": "é\n" * n, "words": [], "duration_s": 1.0, "complete": True, "error": None}


def entries(ids):
    return [{"path": f"{n}.wav", "id": n} for n in ids]


def done(folder):
    return sorted(row["id"] for shard in folder.names() for row in folder.rows(shard))


def do(plan, folder):
    """A worker's part of a plan; returns the ids group by group."""
    groups = list(plan)
    for group in groups:
        folder.write(group.shard, [row(int(entry.id)) for entry in group.entries])
    return [[int(entry.id) for entry in group.entries] for group in groups]


def test_a_name_follows_from_the_ids_alone():
    assert name(["a", "b"]) == name(iter(["a", "b"]))
    assert len({name(ids) for ids in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""], ["a"])}) == 5


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("url", ["folder", "memory://shards"])
def test_what_is_written_is_read(tmp_path, form, url):
    if form is Form.PARQUET:
        pytest.importorskip("pyarrow", reason="pip install 'voxtral-kernels[ray]'")
    folder = Folder(url if "://" in url else str(tmp_path / url), form)
    folder.prepare({"model": "tiny"})
    rows = [row(1), row(2)]
    folder.write("abc", rows)
    folder.write("abc", rows)
    assert folder.names() == {"abc"}
    assert folder.has("abc")
    assert not folder.has("abd")
    assert folder.rows("abc") == rows
    assert folder.rows("abc", ["id"]) == [{"id": "1"}, {"id": "2"}]


@pytest.mark.fault("work lost: a language that was half of a pair of escapes ended every run into Parquet")
@pytest.mark.parametrize("form", Form)
def test_a_text_that_utf8_cannot_hold_is_written(tmp_path, form):
    """As of a model whose folder's name is no UTF-8."""
    if form is Form.PARQUET:
        pytest.importorskip("pyarrow", reason="pip install 'voxtral-kernels[ray]'")
    folder, bad = Folder(str(tmp_path), form), "a\ud800"
    words = [{"text": bad, "start_s": 0.1, "end_s": 0.2}]
    folder.write("abc", [{**row(1), "model": bad, "warnings": [bad], "words": words}])
    (found,) = folder.rows("abc")
    assert (found["model"], found["warnings"], found["words"]) == ("a?", ["a?"], [{**words[0], "text": "a?"}])


def test_a_shard_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = Folder(str(tmp_path), Form.JSONL)
    folder.write("abc", [row(1)])
    monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    for shard in ("abc", "abd"):
        with pytest.raises(OSError, match="No space"):
            folder.write(shard, [row(2)] * 1000)
    assert done(folder) == ["1"]
    assert [path.name for path in tmp_path.iterdir()] == ["abc.jsonl"]


@pytest.mark.fault("errors: of a full disk, or an output folder that went, bulk told Ray's advice")
def test_a_folder_that_went_is_told(tmp_path):
    folder = Folder(str(tmp_path / "out"), Form.JSONL)
    journal = Journal(folder.scratch("abc"), "run")
    told = r"^\[bulk\] --out: expected a folder that can be written, got '.*out' \(No such file or directory\)\.$"
    with pytest.raises(ValueError, match=told):
        journal.begin("1")
    with pytest.raises(ValueError, match=told):
        folder.write("abc", [row(1)], "run")


def test_the_output_is_checked_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="--out: expected a folder, got the file"):
        Folder(str(tmp_path / "file"), Form.JSONL).prepare({})
    with pytest.raises(ValueError, match="--out: expected a folder that can be written"):
        Folder(str(tmp_path / "file" / "out"), Form.JSONL).prepare({})
    out = Folder(str(tmp_path / "out"), Form.JSONL)
    out.prepare({"model": "a", "version": "1"}, write=False)
    assert not (tmp_path / "out").exists()
    out.prepare({"model": "a", "version": "1"})
    out.prepare({"model": "a", "version": "2"})
    with pytest.raises(ValueError, match="a folder that is new, or of the same settings, got one with model 'a', not"):
        out.prepare({"model": "b"})
    with pytest.raises(ValueError, match="--out: expected a folder, or a URL that fsspec opens, got ''"):
        Folder("", Form.JSONL)


@pytest.mark.parametrize("text", ["junk", "[1]", "\x00"])
def test_settings_that_are_none_are_named(tmp_path, text):
    (tmp_path / SETTINGS).write_text(text)
    with pytest.raises(
        ValueError, match=r"--out: expected settings as they were written, got \.voxtral-kernels-bulk\.json"
    ):
        Folder(str(tmp_path), Form.JSONL).prepare({"model": "a"})


def test_a_shard_that_is_a_folder_is_named(tmp_path, write):
    (tmp_path / "out" / "abc.jsonl").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"--out: expected shards that can be read, got abc.jsonl \(Is a directory\)"):
        Plan(Manifest(write(*entries(range(3)))), Folder(str(tmp_path / "out"), Form.JSONL), 2)


@pytest.mark.parametrize(
    "text", ['{"id": ', '{"id": 3, "error": null}', '{"id": "\\ud800", "error": null}', '{"id": "3"}', "3"]
)
def test_a_damaged_shard_is_named(tmp_path, write, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "abc.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"got abc.jsonl .*; remove it, and its recordings are done again"):
        Plan(Manifest(write(*entries(range(3)))), Folder(str(tmp_path / "out"), Form.JSONL), 2)


def test_what_is_done_is_skipped(tmp_path, write):
    folder = Folder(str(tmp_path / "out"), Form.JSONL)
    folder.prepare({})
    manifest = Manifest(write(*entries(range(10))))
    first = Plan(manifest, folder, 3)
    assert first.left() == (4, 10)
    groups = list(first)
    folder.write(groups[1].shard, [row(n) for n in (3, 4, 5)])
    (tmp_path / "out" / f"{PREFIX}left").write_text("of a killed worker")
    second = Plan(manifest, folder, 3)
    # The groups keep their names: an earlier run's worker that still writes one writes the same shard.
    assert {g.shard for g in second} == {g.shard for g in groups} - {groups[1].shard}
    assert do(second, folder) == [[0, 1, 2], [6, 7, 8], [9]]
    assert Plan(manifest, folder, 3).left() == (0, 0)
    assert len(list((tmp_path / "out").glob("*.jsonl"))) == 4


def test_nothing_is_done_twice_after_the_manifest_or_the_size_changed(tmp_path, write):
    folder = Folder(str(tmp_path / "out"), Form.JSONL)
    folder.prepare({})
    assert do(Plan(Manifest(write(*entries(range(5)))), folder, 2), folder) == [[0, 1], [2, 3], [4]]
    longer = Manifest(write({"path": "new", "id": 77}, *entries(range(7))))
    assert do(Plan(longer, folder, 2), folder) == [[77], [5, 6]]
    assert do(Plan(longer, folder, 3), folder) == []
    assert done(folder) == sorted(map(str, [*range(7), 77]))


@pytest.mark.parametrize("size", [3, 4])
def test_errors_are_left_when_asked(tmp_path, write, size):
    folder = Folder(str(tmp_path / "out"), Form.JSONL)
    folder.prepare({})
    manifest = Manifest(write(*entries(range(9))))
    groups = list(Plan(manifest, folder, 3))
    do(groups, folder)
    folder.write(groups[1].shard, [{**row(n), "error": "bad" if n == 4 else None} for n in (3, 4, 5)])
    assert Plan(manifest, folder, size).left() == (0, 0)
    left = list(Plan(manifest, folder, size, retry_errors=True))
    # It keeps its shard, whatever groups are cut now: a row is replaced, never added.
    assert [(g.shard, [e.id for e in g.entries]) for g in left] == [(groups[1].shard, ["4"])]


def test_the_settings_are_no_shard(tmp_path):
    folder = Folder(str(tmp_path), Form.JSONL)
    folder.prepare({"model": "tiny"})
    assert folder.names() == set()
    assert json.loads((tmp_path / f"{PREFIX}bulk.json").read_text()) == {"model": "tiny"}
