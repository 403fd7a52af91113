"""``python -m bench``: suites by name, and the help of each."""

import pytest

from bench.__main__ import SUITES, main


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
