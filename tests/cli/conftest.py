"""What the tests of the command line share."""

import io
import sys
from pathlib import Path

import pytest

from voxtral_kernels.cli import main

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="session")
def examples():
    """The folder of the recordings."""
    return EXAMPLES


@pytest.fixture
def cards(examples):
    """3.5 s: eight of spades four of clubs seven of hearts."""
    return examples / "human-card-5.wav"


@pytest.fixture
def run(capsys):
    """Runs a command in this process: ``run(*arguments) -> (status, out, err)``."""

    def call(*arguments):
        status = main([str(a) for a in arguments])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def stdin(monkeypatch):
    """Gives the next command bytes on standard input."""

    def give(data, terminal=False):
        file = io.TextIOWrapper(io.BytesIO(data))
        file.isatty = lambda: terminal
        monkeypatch.setattr(sys, "stdin", file)

    return give


@pytest.fixture
def fails(run):
    """Runs a command that must fail: nothing on standard output, one line on standard error, status 2."""

    def call(*arguments):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("voxtral-kernels: error: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        return err

    return call
