"""A manifest is read as a stream, and refused by its line before any work."""

import json

import pytest

from voxtral_kernels.bulk.manifest import Digests, Manifest, digest

A, B = {"path": "a.wav"}, {"path": "b.wav"}


def test_rows_are_read_as_written(write):
    path = write("\ufeff" + json.dumps(A), "", {"path": "s.wav", "id": 7, "language": "fr", "speaker": 3})
    manifest = Manifest(path)
    assert [(e.id, e.path, e.language, e.place) for e in manifest] == [
        ("a.wav", "a.wav", None, "line 1"),
        ("7", "s.wav", "fr", "line 3"),
    ]
    assert manifest.check() == 2
    assert manifest.languages == {"fr": "line 3"}
    assert manifest.folder == path.rpartition("/")[0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "MANIFEST: expected at least one recording, got none"),
        (["", "  "], "MANIFEST: expected at least one recording, got none"),
        ([A, '{"path": '], "MANIFEST line 2: expected a JSON object"),
        ([A, '"b.wav"'], "MANIFEST line 2: expected a JSON object, got 'b.wav'"),
        ([A, "", {"id": "x"}], "MANIFEST line 3, path: expected a path or a URL, got none"),
        ([{"path": ""}], "MANIFEST line 1, path: expected a path or a URL, got ''"),
        ([{"path": 5}], "MANIFEST line 1, path: expected a path or a URL, got 5"),
        ([{**A, "id": True}], "MANIFEST line 1, id: expected a text of 1 to 1000 characters, or an integer, got True"),
        ([{**A, "id": "x" * 1001}], "MANIFEST line 1, id: expected a text of 1 to 1000 characters"),
        (['{"path": "a", "id": "\\ud800"}'], "MANIFEST line 1, id: expected a text that UTF-8 can hold"),
        (['{"path": "a", "language": "\\ud800"}'], "MANIFEST line 1, language: expected a text that UTF-8 can hold"),
        ([{**A, "language": 1}], 'MANIFEST line 1, language: expected a language such as "en", or none, got 1'),
        ([A, B, A], "MANIFEST line 3, id: expected an id that no other recording has, got 'a.wav' again, as in line 1"),
        ([{**A, "id": 7}, {**B, "id": "7"}], "MANIFEST line 2, id: expected an id that no other recording has"),
        ([A, {"path": "github://x"}], "MANIFEST line 2, path: expected a path, or a URL that fsspec opens"),
        ([A, {"path": "reference://x"}], "MANIFEST line 2, path: expected a path, or a URL that fsspec opens"),
        ([A, {"path": f"zip://a.wav::file://{__file__}"}], "MANIFEST line 2, path: expected a path, or a URL that"),
        ([A, {"path": "nobody://x/y.wav"}], "MANIFEST line 2, path: expected a path, or a URL that fsspec opens"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(write, rows, said):
    with pytest.raises(ValueError, match=r"^\[bulk\] ") as error:
        Manifest(write(*rows)).check()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_no_manifest(tmp_path):
    with pytest.raises(ValueError, match=r"MANIFEST: expected a file that exists, got '.*none.jsonl'"):
        Manifest(str(tmp_path / "none.jsonl"))
    with pytest.raises(ValueError, match=r"expected a file that exists, got the folder"):
        Manifest(str(tmp_path))


def test_a_url_is_read_by_fsspec():
    import fsspec

    with fsspec.open("memory://archive/m.jsonl", "w") as file:
        file.write(json.dumps(A))
    manifest = Manifest("memory://archive/m.jsonl")
    assert [e.path for e in manifest] == ["a.wav"]
    assert manifest.folder == "memory:///archive"


def test_parquet_is_read_as_jsonl_is(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pip install 'voxtral-kernels[ray]'")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'voxtral-kernels[ray]'")
    path = str(tmp_path / "m.parquet")
    rows = [{"path": "a.wav", "id": 1, "other": 2.5}, {"path": "b.wav", "id": 2, "other": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert [(e.id, e.path, e.place) for e in Manifest(path)] == [("1", "a.wav", "row 1"), ("2", "b.wav", "row 2")]
    parquet.write_table(pyarrow.Table.from_pylist([{"file": "a"}]), path)
    with pytest.raises(ValueError, match="MANIFEST: expected a column path, got file"):
        Manifest(path).check()
    (tmp_path / "m.parquet").write_text("{}")
    with pytest.raises(ValueError, match="MANIFEST: expected a Parquet file"):
        Manifest(path).check()


def test_digests_hold_what_was_put_in():
    from array import array

    names = [f"name {n}" for n in range(1000)]
    digests = Digests(array("B", b"".join(map(digest, names[:500]))))
    assert [digest(n) in digests for n in names] == [True] * 500 + [False] * 500
    assert digests.twice() is None
    again = Digests(array("B", b"".join(map(digest, [*names, "name 70"]))))
    assert again.twice() == digest("name 70")
