"""Writes docs/faults.md: each kind of fault that people ran into, and the test that holds it.

A test says what it holds by ``@pytest.mark.fault("kind: what went wrong")``; the kinds are in `KINDS`.

    python tests/faults.py
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "faults.md"
KINDS = {
    "threads": "Threads and event loops",
    "ending": "Ending",
    "wrong values": "Wrong values",
    "convert": "What `convert` must not touch",
    "work lost": "No work lost",
    "live pipes": "Live pipes",
    "audio": "Audio",
    "subtitles": "Subtitles",
    "models": "Models",
    "errors": "Errors",
    "mutations": "Mutated files",
}
HEAD = """# Faults that people ran into, and the tests that hold them

Written by `python tests/faults.py` from the tests' `fault` marks; `tests/test_faults.py` compares.
"""


class Fault(NamedTuple):
    """One mark: its kind, what went wrong, and the test's file (from the root) and name."""

    kind: str
    what: str
    file: str
    test: str


def marked(source: str, file: str) -> list[Fault]:
    """The marks of one file of tests.

    Raises:
        ValueError: a mark that is not ``"kind: what"`` with a kind of `KINDS`.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        for mark in getattr(node, "decorator_list", []):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                found += [_fault(text, file, node) for text in mark.args or [None]]
    return found


def _fault(text: ast.expr | None, file: str, test: ast.AST) -> Fault:
    value = text.value if isinstance(text, ast.Constant) else None
    kind, _, what = value.partition(": ") if isinstance(value, str) else ("", "", "")
    if kind not in KINDS or not what or not isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        raise ValueError(f"{file}: expected 'kind: what' at a test, the kind one of {', '.join(KINDS)}, got {value!r}.")
    return Fault(kind, what, file, test.name)


def page() -> str:
    """The text of docs/faults.md."""
    files = sorted((ROOT / "tests").rglob("*.py"))
    found = sorted(f for file in files for f in marked(file.read_text(), file.relative_to(ROOT).as_posix()))
    parts = [HEAD]
    for kind, title in KINDS.items():
        rows = [f"| {what} | [`{test}`](../{file}) |\n" for k, what, file, test in found if k == kind]
        if rows:
            parts.append(f"## {title}\n\n| what went wrong | test |\n| --- | --- |\n{''.join(rows)}")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
