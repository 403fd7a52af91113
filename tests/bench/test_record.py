"""The README's results table is what the kept records say."""

import json
from pathlib import Path

import pytest

from bench.suites import record

README = Path(__file__).resolve().parents[2] / "README.md"


def made_up(chip, gate="ok"):
    rows = [
        {
            "op": op,
            "name": name,
            "dtype": dtype,
            "backend": "native",
            "gate": gate,
            "seconds": None if gate != "ok" else 1.25e-3,
            "stock_seconds": None if gate != "ok" else 1e-2,
            "speedup": None if gate != "ok" else {"median": 8.0, "low": 7.5, "high": 8.25},
        }
        for op, name, dtype in record.COLUMNS
    ]
    environment = {"chip": chip, "cores": 8, "device": "gpu", "mlx": "0.32.4"}
    return {"date": "2026-01-02T03:04:05+00:00", "environment": environment, "ops": rows}


def test_the_readme_holds_the_table_of_the_kept_records():
    text = README.read_text()
    assert record.with_table(text, record.table(record.records())) == text


def test_a_machine_without_a_record_says_so_and_one_with_a_record_shows_it():
    before = record.table([])
    assert before.count("not measured yet") == len(record.AWAITED)
    after = record.table([made_up("Apple M2")])
    assert "| Apple M2 | " not in after
    assert "8.0x [7.5, 8.2], 1.25 ms" in after


def test_a_wrong_result_shows_no_speed():
    text = record.table([made_up("Apple M1", gate="off")])
    assert "wrong result" in text
    assert "8.0x" not in text


def test_a_record_is_appended(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    for _ in range(2):
        path = record.keep(made_up("Apple M9 (8-core)"))
    assert path.name == "apple-m9-8-core.jsonl"
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2
    assert [r["environment"]["chip"] for r in record.records()] == ["Apple M9 (8-core)"]


def test_machines_of_one_name_differ_by_model_and_instruction_set(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    for model, isa in (("family 25, model 1", "v3"), ("family 26, model 2", "v4"), ("family 26, model 2", "v3")):
        found = made_up("AMD EPYC")
        found["environment"] |= {"chip_model": model, "instruction_set": isa}
        record.keep(found)
    assert len(record.records()) == 3
    assert "| AMD EPYC, family 26, model 2, v4, 8 cores" in record.table(record.records())


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("", "Expecting value"),
        ("[]", "environment, ops"),
        ('{"ops": [{}], "environment": {}}', "chip, cores, device, mlx"),
    ],
)
def test_a_file_that_is_no_record_is_refused_in_one_line(text, lacks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SystemExit):
        record.main(["--from", str(tmp_path / "x.json")])
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert lacks in line
    assert not (tmp_path / "results").exists()


def test_a_readme_without_marks_is_refused():
    with pytest.raises(ValueError, match=r"README\.md: expected the marks"):
        record.with_table("# title", "table")
