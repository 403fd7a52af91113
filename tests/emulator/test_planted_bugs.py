"""Kernels with one planted bug each, and their corrected twins (``bugs/``, read by ``corpus.py``)."""

import pathlib
import runpy

import pytest

CORPUS = runpy.run_path(str(pathlib.Path(__file__).parent / "corpus.py"))
BUGS = CORPUS["corpus"]()


def test_the_corpus_is_wide_enough():
    assert len(BUGS) >= 50
    assert len({bug.kind for bug in BUGS}) >= 15


def test_the_tables_of_the_document_are_in_sync():
    document = CORPUS["DOCS"].read_text()
    assert CORPUS["written"](document) == document, "run python tests/emulator/corpus.py"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_head_is_complete(bug):
    assert f"kernel void {bug.name}(" in bug.text
    assert "#ifdef BUG" in bug.text or "#ifndef BUG" in bug.text or bug.threadgroup != bug.fixed_threadgroup
    assert bug.lines or "// line: none" in bug.text
    assert bug.outputs
