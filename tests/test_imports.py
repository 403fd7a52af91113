"""Imports run downwards only: the contracts of pyproject.toml, and that each of them can fail."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
RUN = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"

# Which contract a line breaks, and the file that it is put into.
PLANTED = {
    "upwards": ("The package: one way down", "reference/ada_rms_norm.py", "from ..models import layers"),
    "beside": ("The package: one way down", "backends/select.py", "from . import native"),
    "testing": ("Nothing in the package imports what is for tests", "models/stack.py", "from .. import testing"),
    "version": ("The emulator stands alone", "emulator/errors.py", "from .._version import __version__"),
    "root": ("No way round by the package's own names", "models/result.py", "from voxtral_kernels import accelerate"),
    "emulator": ("The emulator stands alone", "emulator/errors.py", "from ..reference import rule"),
    "benchmarks": ("The benchmarks: one way down", "../../bench/measure/stats.py", "from ..suites import host"),
    "circle": ("No circle in any folder", "models/sampling.py", "from . import voxtral"),
}


def lint(folder):
    # The package of the folder, not the installed one.
    command = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {['.', 'python', *sys.path]!r}; {RUN}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path):
    for name in ("python", "bench"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("data", "__pycache__", "results"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_tree_keeps_every_contract(tree):
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_import_breaks_its_contract(tree, plant):
    contract, file, line = PLANTED[plant]
    path = tree / "python" / "voxtral_kernels" / file
    path.write_text(path.read_text().replace("from __future__ import annotations\n", f"{line}\n", 1))
    done = lint(tree)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout


def test_every_part_of_the_package_has_its_layer():
    package = ROOT / "python" / "voxtral_kernels"
    parts = {p.stem for p in package.iterdir() if (p / "__init__.py").is_file() or p.suffix == ".py"}
    layered = " ".join(CONTRACTS[0]["layers"])
    assert not {p for p in parts - {"__init__", "emulator"} if f"voxtral_kernels.{p}" not in layered}


@pytest.mark.parametrize(
    ("folder", "known"), [("kernels", "kernels/common"), ("csrc/emulator", "python/voxtral_kernels/emulator/include")]
)
def test_shaders_and_the_emulators_runtime_know_no_model(folder, known):
    files = [p for p in (ROOT / folder).rglob("*") if p.suffix in {".metal", ".h", ".cpp"}]
    included = {name for p in files for name in re.findall(r'^\s*#\s*include "(.*)"', p.read_text(), re.MULTILINE)}
    assert included
    places = (ROOT / folder, (ROOT / known).parent, ROOT / known, ROOT / "csrc")  # what the modules share lies in csrc/
    assert not {name for name in included if not any((place / name).is_file() for place in places)}
