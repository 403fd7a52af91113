"""The law of the tree: an op is one stem in every place, and no file has outgrown its purpose."""

import subprocess
from pathlib import Path

import pytest

from voxtral_kernels import ops, testing

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 300
# Longer than the limit, each for one purpose that does not divide.
LONG = set()


def tracked():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(line) for line in listing.splitlines() if (ROOT / line).is_file()]


PLACES = [
    "python/voxtral_kernels/ops/{}.py",
    "python/voxtral_kernels/reference/{}.py",
    "python/voxtral_kernels/dispatch/{}.py",
    "kernels/{}*.metal",
    "csrc/ops/{}.cpp",
    "csrc/cpu/{}.cpp",
    "csrc/metal/{}.cpp",
    "tests/ops/test_{}.py",
    "bench/cases/{}.py",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("op", testing.OPS)
def test_an_op_is_one_stem_in_every_place(op, place):
    assert list(ROOT.glob(place.format(op))), f"{op} is missing in {place}"


def test_every_public_op_has_a_stem():
    assert set(testing.OPS) <= set(ops.REQUESTS)


def test_no_file_has_outgrown_its_purpose():
    code = [p for p in tracked() if p.suffix in {".py", ".cpp", ".h", ".metal"}]
    long = {str(p): n for p in code if (n := len((ROOT / p).read_text().splitlines())) > LIMIT and str(p) not in LONG}
    assert not long, f"files of more than {LIMIT} lines: {long}"
