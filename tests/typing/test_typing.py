"""What users see of our types: `mypy --strict` on the examples, on a user's script and on its wrong twin."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import voxtral_kernels as vk
from voxtral_kernels.ops.explain import public_ops

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
USER, WRONG = HERE / "user.py", HERE / "wrong.py"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
ERROR = re.compile(r"^(?P<file>.+?):(?P<line>\d+): error: .*\[(?P<code>[\w-]+)\]$")


def new_ops():
    """Public ops that `user.py` does not use yet: an op becomes public without a change of it."""
    return sorted((set(vk.__all__) & set(public_ops())) - used_by(USER))


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """File name, line and code of every error, and mypy's text; errors inside the package are not a user's."""
    calls = tmp_path_factory.mktemp("typing") / "new_ops.py"
    calls.write_text("\n".join(["import voxtral_kernels as vk", *(f"vk.{name}()" for name in new_ops())]) + "\n")
    files = [USER, WRONG, calls, *EXAMPLES]
    options = ["--strict", "--follow-imports=silent", "--config-file=", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, f"--cache-dir={ROOT / 'build' / 'mypy'}", *map(str, files)],
        env=os.environ | {"MYPYPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode in (0, 1), done.stderr + done.stdout
    found = [ERROR.match(line) for line in done.stdout.splitlines()]
    return {(Path(m["file"]).name, int(m["line"]), m["code"]) for m in found if m}, done.stdout


@pytest.mark.parametrize("file", [USER, *EXAMPLES], ids=lambda file: file.stem)
def test_strict(errors, file):
    assert not [e for e in errors[0] if e[0] == file.name], errors[1]


def test_the_wrong_twin_fails_at_each_marked_line(errors):
    marked = {
        (WRONG.name, i, code)
        for i, line in enumerate(WRONG.read_text().splitlines(), 1)
        if "# error: " in line
        for code in line.partition("# error: ")[2].split(", ")
    }
    assert {e for e in errors[0] if e[0] == WRONG.name} == marked, errors[1]


def used_by(script):
    """The package's names that a script uses."""
    tree = ast.parse(script.read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_vk(node.value)}
    return used | {alias.name for alias in imported(tree)}


def test_every_public_name_is_used(errors):
    assert set(vk.__all__) <= used_by(USER) | set(new_ops())
    refused = {line for file, line, code in errors[0] if file == "new_ops.py" and code in ("call-arg", "call-overload")}
    assert refused == set(range(2, 2 + len(new_ops()))), "a call without arguments is refused: the op is typed"


def is_vk(node):
    return isinstance(node, ast.Name) and node.id == "vk"


def imported(tree):
    return [
        a for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "voxtral_kernels" for a in n.names
    ]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_import_public_names_only(file):
    tree = ast.parse(file.read_text())
    modules = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    modules |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert {m for m in modules if m.partition(".")[0] == "voxtral_kernels"} <= {"voxtral_kernels"}
    assert {alias.name for alias in imported(tree)} <= set(vk.__all__)
    used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and is_vk(n.value)}
    assert used <= {*vk.__all__, "__file__"}


def test_public_names_are_typed_where_they_are_found_at_first_use():
    """The names for type checkers and those of run time are the same."""
    tree = ast.parse((ROOT / "python" / "voxtral_kernels" / "__init__.py").read_text())
    typed = {(a.asname or a.name) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert typed >= set(vk.__all__)
    assert all(getattr(vk, name) is not None for name in vk.__all__)
