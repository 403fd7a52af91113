"""A server for all tests of a worker, started by its command; what the command line makes of a recording."""

import contextlib
import io
import sys
from pathlib import Path

import pytest

from tests.serve.starting import Started
from voxtral_kernels.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"
# Short ones, one for each of 8 clients.
SHORT = [f"human-card-{i}.wav" for i in range(1, 6)] + [f"synthetic-hibari-{i}.wav" for i in (1, 2, 3)]


@pytest.fixture(scope="session")
def server():
    """Eight slots, no key."""
    started = Started()
    yield started
    assert started.stop()[0] == 143
    assert "Traceback" not in started.said


@pytest.fixture(scope="session")
def said():
    """Runs the command line once for all short recordings: their texts by name."""
    done = command("transcribe", *[EXAMPLES / name for name in SHORT])
    lines = done.splitlines()
    assert lines[::2] == [f"==> {EXAMPLES / name} <==" for name in SHORT]
    return dict(zip(SHORT, lines[1::2], strict=True))


def command(name, *arguments, stdin=b""):
    """Standard output of the command line with the tiny model."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        assert main([name, "--model", "tiny", *map(str, arguments)]) == 0
    return out.getvalue()
