"""Our verdict on small kernels beside that of Apple's compiler: ``truth/``, read by truth_cases.py."""

import pathlib
import runpy
import types

import numpy as np
import pytest

from voxtral_kernels import emulator

truth_cases = types.SimpleNamespace(**runpy.run_path(str(pathlib.Path(__file__).parent / "truth_cases.py")))
FILES = sorted(truth_cases.HERE.glob("*.metal"))
LEAST_AGREEMENT = 0.97


def refusal(text, path, version):
    """What the emulator says against a text; "" if it takes it."""
    try:
        emulator.library(text, path=path, language_version=version).check()
    except emulator.KernelError as error:
        return str(error)
    return ""


def run(library, case):
    """Buffer 0 after the case's launch."""
    buffers = {0: np.full(case.out.shape, case.filled, np.float32)}
    if case.inputs.size:
        buffers[1] = case.inputs
    size = (case.threads, 1, 1)
    constants = {index: int(value) for index, value in case.constants.items()}
    more = {"constants": constants, "threadgroup_memory": case.threadgroup_memory, "outputs": [0]}
    (out,) = library.run(case.entry, buffers, size, size, mode="plain", **more)
    return np.array(out)


def failure(case, library=None):
    """Why an accepted case does not do what its head says; "" if it does."""
    try:
        library = library or emulator.library(case.text, path=case.path, language_version=case.version)
        out = run(library, case)
    except emulator.KernelError as error:
        return f"refused: {error}"
    return "" if np.array_equal(out, case.out) else f"values {out.tolist()}, expected {case.out.tolist()}"


def together(cases):
    """One library for all cases of a file and version: a compilation, where each alone would be one."""
    text = truth_cases.HEADER + "".join(case.text.removeprefix(truth_cases.HEADER) for case in cases)
    library = emulator.library(text, path="together.metal", language_version=cases[0].version)
    library.check()
    return library


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_what_apple_refuses_is_refused(path):
    cases = [case for case in truth_cases.read(path) if not case.accepted]
    found = {case.name: refusal(case.text, case.path, case.version) for case in cases}
    assert [case.name for case in cases if not found[case.name]] == [case.name for case in cases if case.differs]
    told = [case for case in cases if found[case.name]]
    unplaced = [case.name for case in told if f"{case.path}:" not in found[case.name]]
    assert unplaced == [], "each refusal names a line of the user's text"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_what_apple_accepts_gives_the_right_values(path):
    cases = [case for case in truth_cases.read(path) if case.accepted]
    alone = [case for case in cases if case.differs or case.constants]  # an unset constant would stop its neighbours
    found = {case.name: failure(case) for case in alone}
    for version in sorted({case.version for case in cases}):
        usual = [case for case in cases if case.version == version and case.name not in found]
        try:
            library = together(usual) if usual else None
        except emulator.KernelError:
            library = None  # one of them is refused: each alone says which
        found |= {case.name: failure(case, library) for case in usual}
    wrong = {name: why for name, why in found.items() if why}
    known = {case.name for case in cases if case.differs}
    assert {name: why for name, why in wrong.items() if name not in known} == {}
    assert sorted(wrong) == sorted(case.name for case in cases if case.differs)


def test_agreement():
    """The exceptions are those that the two tests above see; here they are few enough, each with its reason."""
    cases = truth_cases.cases()
    differ = [case for case in cases if case.differs]
    refused = sum(not case.accepted for case in cases)
    agreement = 1 - len(differ) / len(cases)
    print(f"{len(cases)} kernels, {refused} refused by Apple's compiler: {agreement:.1%} agreement")
    for case in differ:
        print(f"{case.name}: {case.differs}")
    assert refused >= 60
    assert len(cases) - refused >= 60
    assert agreement >= LEAST_AGREEMENT


def test_names_are_unique():
    names = [case.name for case in truth_cases.cases()]
    assert len(names) == len(set(names))


def test_a_wrong_value_is_seen(tmp_path):
    path = pathlib.Path(tmp_path) / "wrong.metal"
    path.write_text(
        "//= accepted one\n// source: none\n// out: 2\nkernel void one(device float* out) { out[0] = 1.0f; }\n"
    )
    (case,) = truth_cases.read(path)
    assert failure(case) == "values [1.0], expected [2.0]"
