"""The law of the tree: an op is one stem in every place, and no file has outgrown its purpose."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import voxtral_kernels as vk
from tests import stages
from voxtral_kernels import testing
from voxtral_kernels.ops.explain import public_ops

ROOT = Path(__file__).resolve().parents[1]
LIMIT, DISPATCH_LIMIT, FUNCTION_LIMIT = 300, 120, 50
# Longer than the limit, each for one purpose that does not divide.
LONG = set()


def tracked():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(line) for line in listing.splitlines() if (ROOT / line).is_file()]


# Place -> the one that must have landed before it.
PLACES = {
    "python/voxtral_kernels/ops/{}.py": "python/voxtral_kernels/reference/{}.py",
    "tests/ops/test_{}.py": "python/voxtral_kernels/ops/{}.py",
    "csrc/ops/{}.cpp": "tests/ops/test_{}.py",
    "csrc/cpu/{}.cpp": "csrc/ops/{}.cpp",
    "kernels/{}*.metal": "tests/ops/test_{}.py",
    "python/voxtral_kernels/dispatch/{}.py": "kernels/{}*.metal",
    "bench/cases/{}.py": "python/voxtral_kernels/ops/{}.py",
}
# What makes an op public: then nothing may be missing.
RELEASED = [op for op in testing.OPS if op in vk.__all__]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("op", testing.OPS)
def test_an_op_is_one_stem_in_every_place(op, place):
    if op in RELEASED or list(ROOT.glob(place.format(op))):
        assert list(ROOT.glob(place.format(op))), f"{op} is missing in {place}"
        assert list(ROOT.glob(PLACES[place].format(op))), f"{op} is in {place} before it is in {PLACES[place]}"


def test_every_public_op_has_a_stem():
    assert set(stages.PUBLIC) <= set(public_ops())


def test_no_file_has_outgrown_its_purpose():
    code = [p for p in tracked() if p.suffix in {".py", ".cpp", ".h", ".metal"}]
    long = {str(p): n for p in code if (n := len((ROOT / p).read_text().splitlines())) > LIMIT and str(p) not in LONG}
    assert not long, f"files of more than {LIMIT} lines: {long}"


def test_host_dispatch_is_short():
    files = [p for p in tracked() if p.match("python/voxtral_kernels/dispatch/*.py") or p.match("csrc/metal/*.cpp")]
    assert len(files) > 8
    long = {str(p): n for p in files if (n := len((ROOT / p).read_text().splitlines())) > DISPATCH_LIMIT}
    assert not long, f"host dispatch of more than {DISPATCH_LIMIT} lines: {long}"


def body_length(function):
    """Lines of a function without its docstring."""
    length = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return length
    return length - (function.body[0].end_lineno - function.body[0].lineno + 1)


def test_no_python_function_is_long():
    long = {}
    for path in [p for p in tracked() if p.suffix == ".py" and p.parts[0] in ("python", "bench")]:
        functions = [n for n in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(n, ast.FunctionDef)]
        long |= {f"{path} {f.name}": body_length(f) for f in functions if body_length(f) > FUNCTION_LIMIT}
    assert not long, f"functions of more than {FUNCTION_LIMIT} lines: {long}"


def test_no_banners_and_no_task_without_an_issue():
    retired = re.compile(r"(#|//) ?[-=*#]{6,}|\bTODO(?!\(#\d+\))")
    code = [p for p in tracked() if p.suffix in {".py", ".cpp", ".h", ".metal"} and p.name != "test_layout.py"]
    found = [str(p) for p in code if retired.search((ROOT / p).read_text())]
    assert not found


@pytest.mark.parametrize("kernel", sorted((ROOT / "kernels").glob("*.metal")), ids=lambda p: p.stem)
def test_a_kernel_starts_with_its_seven_lines(kernel):
    head = kernel.read_text().split("\n#", 1)[0]
    heads = re.findall(r"^// ([A-Z]\w+)  +\S", head, re.MULTILINE)
    assert heads == ["Formula", "Layout", "Grid", "Numerics", "Traffic", "Limits", "Source"]
