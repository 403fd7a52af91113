"""``voxtral-kernels report``: one JSON and one HTML, whatever fails on the way; ``record --from`` takes the JSON."""

import json
import re
import sys
from pathlib import Path

import pytest

import voxtral_kernels as vk
from bench.suites import host, record, report


def cheap(monkeypatch, **parts):
    """Stands in for the long parts."""
    for name in report.PARTS:
        monkeypatch.setitem(report.PARTS, name, parts.get(name, lambda options: {}))


def test_a_short_run_gives_a_row(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(host, "works", lambda: {})  # timed, and by bench host's own tests
    files = ["--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")]
    assert report.main(["--ops", "ada_rms_norm", "--blocks", "5", "--stream", "0.4", *files]) == 0
    text = (tmp_path / "r.json").read_text()
    found = json.loads(text)
    assert found["failed"] == {}
    assert sum(row["right"] for row in found["selftest"]["rows"]) > 10
    assert not found["selftest"]["wrong"]
    assert len(found["stream"]["step_seconds"]) == 5
    folders = (Path(vk.__file__).parents[1], Path(sys.prefix), Path.home())
    assert not [folder for folder in folders if f"{folder}/" in text], "the report is public"
    html = (tmp_path / "r.html").read_text()
    assert "src=" not in html
    assert "ada_rms_norm, native" in html
    right = sum(row["right"] for row in found["selftest"]["rows"])
    assert f"<p class='headline'>All {right} results are right. " in html
    assert re.search(
        r"\d+ of \d+ cases are faster than stock MLX, \d+ slower; the middle one is \d+\.\dx\. A live", html
    )
    assert "/" in capsys.readouterr().out

    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    path = record.keep(record.read(tmp_path / "r.json"))
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["environment"]["instruction_set"] == found["environment"]["instruction_set"] is not None


def test_a_part_that_fails_is_told_and_the_others_run(tmp_path, monkeypatch):
    def fails(options):
        raise RuntimeError("Metal says\nno")

    cheap(monkeypatch, host=fails, ops=lambda options: {"ops": []})
    files = ["--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")]
    assert report.main(files) == 1
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["failed"] == {"host": "RuntimeError: Metal says no"}
    assert found["ops"] == []
    assert "Metal says no" in (tmp_path / "r.html").read_text()


def test_what_was_measured_before_ctrl_c_is_kept(tmp_path, monkeypatch):
    def interrupted(options):
        raise KeyboardInterrupt

    cheap(
        monkeypatch, selftest=lambda options: {"selftest": {"rows": [], "wrong": [], "not_served": []}}, ops=interrupted
    )
    files = ["--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")]
    assert report.main(files) == 130
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["failed"] == {"ops": "interrupted", "stream": "interrupted"}
    assert "selftest" in found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--blocks", "4"], "--blocks: expected at least 5, got 4"),
        (["--stream", "0"], "--stream: expected at least 0.08, got 0"),
        (["--html", "/no/such/folder/x.html"], "--html: expected a path in an existing folder"),
    ],
)
def test_bad_options(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        report.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
