"""`python -m bench drop-in` makes its table, and the caches of an accelerated host stay flat."""

import json

import pytest

from bench.hosts import importing
from bench.suites import drop_in


def test_a_row_for_every_host(tmp_path, capsys):
    record = tmp_path / "record.json"
    assert drop_in.main(["--seconds", "6", "--blocks", "5", "--json", str(record)]) == 0
    rows = json.loads(record.read_text())["steps"]
    assert [row["host"] for row in rows] == ["voxmlx", "whisperlivekit", "mlx-audio", "mlx-audio", "mlx-voxtral"]
    for row in rows[:3]:
        assert row["after_bytes"] < row["before_bytes"]
        assert row["after_ms"] > 0 < row["before_ms"]
    assert "A step after 6 s of audio" in capsys.readouterr().out


def test_without_the_hosts_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importing, "FOLDER", tmp_path)
    assert drop_in.main([]) == 2
    assert "run `make build/hosts/.installed`" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--blocks", "2"], ["--seconds", "0"]], ids=lambda wrong: wrong[0])
def test_a_bad_option_is_refused(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        drop_in.main(wrong)
    assert stop.value.code == 2
    assert f"{wrong[0]}: expected" in capsys.readouterr().err
