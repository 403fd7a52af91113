"""Damaged files of each kind: sound, or one line of ours, soon, in the same memory, and never a crash."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.audio.mutate import ORIGINALS

HERE = Path(__file__).parent
CORPUS = sorted((HERE.parent / "corpus" / "audio").iterdir())
GROWTH, PEAK = 2e6, 300e6


def run(*arguments):
    """The lines of a run; its last is ``done``, or the case that ended it."""
    command = [sys.executable, str(HERE / "mutate.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1])
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{lines[-1:]} ended it with status {done.returncode}: {done.stderr}"
    assert done.stderr == ""
    assert lines[-1].startswith("done ")
    assert not [line for line in lines if line.startswith("wrong")]
    return lines


def check(kind, first, count, folder):
    lines = run(kind, first, count, folder)
    growth, peak = (int(line.split()[1]) for line in lines[-3:-1])
    counts = [int(n) for n in lines[-1].split()[1:]]
    print(f"{kind}: read, warned, refused: {counts[:3]}; memory grew by {growth / 1e6:.1f} MB to {peak / 1e6:.0f} MB")
    assert sum(counts) == count
    assert all(counts[:3]), "each outcome is met"
    assert growth <= GROWTH
    assert peak <= PEAK


@pytest.mark.fault("mutations: a damaged recording crashed the decoder, or took its memory or the user's time")
@pytest.mark.parametrize("kind", ORIGINALS)
def test_mutations(kind, tmp_path):
    check(kind, 0, 200, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ORIGINALS)
def test_many_mutations(kind, tmp_path):
    check(kind, 200, 2000, tmp_path)


def test_corpus():
    """What once failed: 42 planar channels (a crash in PyAV), samples of 64 bits (another program's error)."""
    assert run(*CORPUS)[-1] == "done warned warned"
