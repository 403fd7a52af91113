"""CONTRIBUTING's eight steps, taken one by one in a copy of the tree by a small op, ``scale_shift`` (``make soak``).

Each step is a commit after which the tests of what it touches pass. ``new_op/<step>/`` holds the files that a step
adds, `EDITS` what it changes in files that are there.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STEPS = Path(__file__).with_name("new_op")
OP = "scale_shift"
MOST_FILES = 12

# Step -> (file, what stands there, what takes its place).
EDITS = {
    4: [
        (
            "csrc/cpu/args.h",
            "// Every op with its arguments",
            """struct ScaleShiftArgs {
  const void* x;      // [rows, dim]
  const void* scale;  // [dim]
  const void* shift;  // [dim]
  void* y;            // [rows, dim]
  Index rows, dim;
  Dtype dtype;
  Index rows_per_task;
};

// Every op with its arguments""",
        ),
        (
            "csrc/cpu/args.h",
            "  OP(ada_rms_norm, AdaRmsNormArgs, isa) ",
            "  OP(scale_shift, ScaleShiftArgs, isa) \\\n  OP(ada_rms_norm, AdaRmsNormArgs, isa) ",
        ),
    ],
    8: [
        (
            "python/voxtral_kernels/__init__.py",
            "from .ops.sliding_window_attention",
            "from .ops.scale_shift import scale_shift\n    from .ops.sliding_window_attention",
        ),
        (
            "python/voxtral_kernels/__init__.py",
            '    "sliding_window_attention",',
            '    "scale_shift",  # a worked example\n    "sliding_window_attention",',
        ),
        ("CHANGELOG.md", "### Added\n\n", "### Added\n\n- `scale_shift`, a worked example.\n"),
        (
            "docs/kernels.md",
            "| `ada_rms_norm` |",
            "| `scale_shift` | | always |\n| `ada_rms_norm` |",
        ),
    ],
}
STAGES = ["tests/test_layout.py", "tests/test_imports.py", "tests/cli/test_selftest.py", "tests/cli/test_info.py"]
# Of cases, those of the op: the others' are the same as before.
ITS_CASES = ["-k", f"{OP} or not matches_oracle and not extremes"]
# What a step touches; step 6, the shader's launch by the extension, is in the file of step 4.
TESTS = {
    1: ["tests/test_layout.py", "tests/ops/test_cases.py", *ITS_CASES],
    2: [*STAGES, "tests/test_package.py", "tests/backends/test_select.py"],
    3: [f"tests/ops/test_{OP}.py", "tests/ops/test_cases.py", "tests/test_layout.py", *ITS_CASES],
    4: [*STAGES, "tests/backends/test_native.py", *ITS_CASES],
    5: [*STAGES, "tests/ops", "tests/backends/test_shaders.py", "tests/backends/test_selfcheck.py", *ITS_CASES],
    6: ["tests/backends/test_native_gpu.py", "-m", "soak or not soak", "-k", OP],
    7: ["tests/bench/test_launches.py", "tests/test_layout.py"],
    8: [*STAGES, "tests/test_package.py", "tests/test_docs.py", "tests/typing", f"tests/ops/test_{OP}.py"],
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree, installed, as a repository of its own."""
    copy = tmp_path_factory.mktemp("tree") / "voxtral-kernels"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, files):
        if not (ROOT / name).is_file():  # removed, and not yet committed
            continue
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    run(copy, "git", "init", "--quiet")
    commit(copy, "The tree as it is")
    run(copy, sys.executable, "-m", "venv", ".venv")
    link_packages(Path(sys.prefix), copy / ".venv")
    install(copy)
    hosts = Path("build", "hosts")
    if (ROOT / hosts).is_dir():
        shutil.copytree(ROOT / hosts, copy / hosts, copy_function=link)
        (copy / hosts / ".installed").touch()
    run(copy, "make", str(hosts / ".installed"))
    return copy


def install(tree):
    """What has to be built is built: without it the package would be installed all the same."""
    run(tree, "make", ".venv/.installed")
    run(tree, ".venv/bin/python", "-c", "import voxtral_kernels._ext")


def link_packages(here, there):
    """The packages that are installed here, but for this one: fetched and copied once is enough."""
    packages = Path(sysconfig.get_path("purelib")).relative_to(here)
    for package in (here / packages).iterdir():
        to = there / packages / package.name
        if package.name == "__pycache__" or "voxtral_kernels" in package.name or to.exists():
            continue
        if package.is_dir():
            shutil.copytree(package, to, copy_function=link, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            link(package, to)


def link(here, there):
    try:
        os.link(here, there)
    except OSError:  # another disk
        shutil.copy2(here, there)


def run(tree, *command, status=0):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # the build tools
    environment["CCACHE_BASEDIR"] = str(tree)  # what another run compiled is found, wherever that run's copy lay
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
    return done.stdout


def commit(tree, text):
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    run(tree, "git", "add", "--all")
    run(tree, "git", *who, "commit", "--quiet", "--message", text)


def take(tree, step):
    """Make the step's edits, install what has to be built, commit."""
    if (STEPS / str(step)).is_dir():
        shutil.copytree(STEPS / str(step), tree, dirs_exist_ok=True)
    for file, there, instead in EDITS.get(step, []):
        text = (tree / file).read_text()
        assert there in text, f"step {step}: {file} has no {there!r} any more; EDITS says what is changed there"
        (tree / file).write_text(text.replace(there, instead, 1))
    install(tree)
    commit(tree, f"{OP}, step {step}")


def passes(tree, *tests, status=0):
    marked = [] if "-m" in tests else ["-m", "not soak"]
    return run(tree, ".venv/bin/python", "-m", "pytest", "-q", "-n", "2", *marked, *tests, status=status)


def test_the_steps_fit_the_tree():
    """What the steps stand on has not moved."""
    for step, edits in EDITS.items():
        for file, there, _ in edits:
            assert there in (ROOT / file).read_text(), f"step {step}: {file} has no {there!r}"
    named = {test for tests in TESTS.values() for test in tests if test.startswith("tests/") and OP not in test}
    assert not [test for test in named if not (ROOT / test).exists()]
    added = [path for path in STEPS.rglob("*") if path.is_file()]
    assert added
    for path in added:
        place = ROOT / path.relative_to(STEPS / path.relative_to(STEPS).parts[0])
        assert place.parent.is_dir(), f"{path} has no folder in the tree"
        assert not place.exists(), f"{path} is in the tree already"


@pytest.mark.soak
def test_an_op_lands_in_eight_steps_that_each_pass(tree):
    before = run(tree, "git", "rev-parse", "HEAD").strip()
    run(tree, "make", "new-op", f"NAME={OP}")
    assert "oracle: expected NumPy in float64, got none yet" in passes(tree, f"tests/ops/test_{OP}.py", status=1)
    passes(tree, "tests/test_layout.py", "tests/cli/test_info.py")
    # Step by step: what the skeleton has beyond the first comes back with its own step.
    for place in ("python/voxtral_kernels/ops", "tests/ops/test_"):
        (tree / (f"{place}{OP}.py" if place.endswith("_") else f"{place}/{OP}.py")).unlink()
    for step, tests in TESTS.items():
        began = time.monotonic()
        if step != 6:
            take(tree, step)
        taken = time.monotonic()
        passes(tree, *tests)
        print(f"step {step}: {taken - began:.0f} s to take, {time.monotonic() - taken:.0f} s of tests")
    touched = run(tree, "git", "diff", "--name-only", before, "HEAD").split()
    print(f"\n{OP}: {len(touched)} files touched in eight steps:", *touched, sep="\n  ")
    assert len(touched) <= MOST_FILES


@pytest.mark.soak
def test_a_name_that_cannot_be_is_refused(tree):
    for name, message in (("Scale", "expected a stem in lower case"), ("ada_rms_norm", "expected a new stem")):
        done = subprocess.run(["make", "new-op", f"NAME={name}"], cwd=tree, capture_output=True, text=True)
        assert done.returncode == 2
        assert f"[new-op] NAME: {message}" in done.stderr
