"""``make new-op NAME=scale_shift``: the skeleton of CONTRIBUTING's steps 1 to 3; its test is red at first."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(__file__).parent
PLACES = {
    "reference.py.in": "python/voxtral_kernels/reference/{}.py",
    "ops.py.in": "python/voxtral_kernels/ops/{}.py",
    "test.py.in": "tests/ops/test_{}.py",
}


def write(op: str) -> list[Path]:
    """Write the files of an op.

    Raises:
        ValueError: the name is no stem, or a file of that name is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", op) or keyword.iskeyword(op):
        raise ValueError(f"[new-op] NAME: expected a stem in lower case such as scale_shift, got {op!r}.")
    files = {ROOT / place.format(op): (TEMPLATES / name).read_text() for name, place in PLACES.items()}
    there = [str(file.relative_to(ROOT)) for file in files if file.exists()]
    if there:
        raise ValueError(f"[new-op] NAME: expected a new stem, got {op!r}, which has {', '.join(there)}.")
    words = {"@op@": op, "@Op@": op.title().replace("_", ""), "@Words@": op.replace("_", " ").capitalize()}
    for file, text in files.items():
        for word, value in words.items():
            text = text.replace(word, value)
        file.write_text(text)
    return [file.relative_to(ROOT) for file in files]


def main() -> int:
    """Exit status 2 for a name that cannot be."""
    parser = argparse.ArgumentParser(prog="make new-op", description=__doc__)
    parser.add_argument("name")
    try:
        written = write(parser.parse_args().name)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(f"wrote {file}" for file in written))
    print("Next: the oracle in the first of them. CONTRIBUTING.md has the eight steps.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
