"""Kernels with one planted bug each, and their corrected twins (``bugs/``, read by ``corpus.py``)."""

import pathlib
import runpy

import pytest

from voxtral_kernels import emulator

CORPUS = runpy.run_path(str(pathlib.Path(__file__).parent / "corpus.py"))
BUGS = CORPUS["corpus"]()
SEEDS = range(4)
STEP_LIMIT = 1_000_000  # no kernel here needs a tenth of it


def texts():
    """All kernels in two texts, with the bugs and without; ``#line`` gives each its own file."""
    parts = [f'#line 1 "{bug.name}.metal"\n{bug.text}' for bug in BUGS]
    head = "#include <metal_stdlib>\nusing namespace metal;\n"
    return {
        "bug": emulator.library("\n".join(["#define BUG", head, *parts]), time_limit=2),
        "fixed": emulator.library("\n".join([head, *parts]), time_limit=2),
    }


@pytest.fixture(scope="module")
def libraries():
    return texts()


def run(library, bug, fixed=False, **options):
    """The outputs of one launch."""
    grid, threadgroup = (bug.fixed_grid, bug.fixed_threadgroup) if fixed else (bug.grid, bug.threadgroup)
    return library.run(
        bug.name,
        buffers=bug.inputs | bug.outputs,
        outputs=list(bug.outputs),
        uninitialised=bug.unset,
        grid=(grid, 1, 1),
        threadgroup=(threadgroup, 1, 1),
        threadgroup_memory=bug.threadgroup_memory,
        step_limit=STEP_LIMIT,
        **options,
    )


def findings(library, bug, fixed=False):
    if bug.kind == "order-dependence":
        return emulator.check_order(lambda seed: run(library, bug, fixed, seed=seed), seeds=SEEDS, raise_findings=False)
    run(library, bug, fixed, raise_findings=False)
    return library.report.findings


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_finds_the_bug(libraries, bug):
    found = findings(libraries["bug"], bug)
    assert bug.kind in {f.kind for f in found} <= {bug.kind} | bug.also
    lines = {place.line for f in found if f.kind == bug.kind for place in (f.place, f.other) if place}
    assert lines == bug.lines or (bug.line_may_be_missing and lines <= bug.lines)
    assert all(place.path == f"{bug.name}.metal" for f in found for place in (f.place, f.other) if place)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_finds_nothing_in_the_corrected_twin(libraries, bug):
    library = libraries["fixed"]
    assert findings(library, bug, fixed=True) == []
    for seed in SEEDS:
        run(library, bug, fixed=True, seed=seed)


@pytest.mark.parametrize("bug", [b for b in BUGS if b.kind != "order-dependence"], ids=lambda bug: bug.name)
def test_raises(libraries, bug):
    with pytest.raises(emulator.KernelError, match=bug.kind):
        run(libraries["bug"], bug)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_several_threads_find_the_same(libraries, bug):
    for name, library in libraries.items():
        options = {"fixed": name == "fixed", "raise_findings": False}
        one = list(map(bytes, run(library, bug, **options)))
        report = str(library.report)
        refusal = ""
        try:
            several = list(map(bytes, run(library, bug, threads=3, **options)))
        except emulator.KernelError as error:
            refusal = str(error)
        if refusal:
            assert "uses atomics in device memory" in refusal
            assert "device atomic" in bug.text
        elif bug.kind == "step-limit" and name == "bug":  # where it is stopped may be a matter of time
            assert {f.kind for f in library.report.findings} == {"step-limit"}
        else:
            assert str(library.report) == report
            assert several == one


def test_the_corpus_is_wide_enough():
    assert len(BUGS) >= 50
    assert {bug.kind for bug in BUGS} >= set(emulator.report.KINDS) - {"crash"}


def test_the_first_example_of_the_document_does_what_it_says():
    example = CORPUS["DOCS"].read_text().split("```python\n")[1].split("```")[0]
    with pytest.raises(emulator.KernelError) as caught:
        exec(example, {})
    (finding,) = caught.value.findings
    assert (finding.kind, finding.buffer, finding.line, finding.lane, finding.offset) == (
        "out-of-bounds",
        "y",
        1,
        63,
        256,
    )


def test_the_tables_of_the_document_are_in_sync():
    document = CORPUS["DOCS"].read_text()
    assert CORPUS["written"](document) == document, "run python tests/emulator/corpus.py"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_head_is_complete(bug):
    assert f"kernel void {bug.name}(" in bug.text
    assert "#ifdef BUG" in bug.text or "#ifndef BUG" in bug.text or bug.threadgroup != bug.fixed_threadgroup
    assert bug.lines or "// line: none" in bug.text
    assert bug.outputs
