"""``python -m bench``: suites by name, and the help of each."""

import pytest

import voxtral_kernels as vk
from bench.__main__ import SUITES, main
from bench.measure.pass_parts import parts


def test_help_names_every_suite(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in SUITES)


@pytest.mark.parametrize("name", SUITES)
def test_each_suite_lists_its_options(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: ")
    assert "SUITE" not in out


def test_an_unknown_suite_is_refused_in_one_line(capsys):
    assert main(["speed"]) == 2
    assert capsys.readouterr().err == f"bench: expected one of {', '.join(SUITES)}, got 'speed'.\n"


@pytest.mark.parametrize("name", SUITES)
def test_a_wrong_option_is_refused_in_one_line(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--no-such-option"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_decoding_is_measured_for_each_kind_of_file():
    from bench.suites import audio

    rows = list(audio.measure(minutes=1, rounds=1))
    assert [row.name for row in rows] == [name for name, *_ in audio.KINDS]
    for row in rows:
        assert abs(row.audio_s - 60) < 0.1, row
        assert row.hours_a_second > 0
        assert row.megabytes < 20, row


def test_the_time_of_a_pass_is_that_of_its_parts():
    model = vk.load("tiny")
    few, many = (sum(parts(model, rows, passes=8)) for rows in (1, 16))
    assert 0 < few < many
