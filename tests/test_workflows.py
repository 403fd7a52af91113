"""Each command of the workflows that can run here is run by a test, so that the YAML does not rot."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

# Run by tests below in every suite, or in the soak where they take long.
QUICK = {
    'cat compare.md >> "$GITHUB_STEP_SUMMARY"',
    "make .venv/.installed",
}
SOAK = {
    ".venv/bin/voxtral-kernels selftest --json selftest.json",
    "make lint",
    "make demo",
    "make check-macos",
    ".venv/bin/python -m bench counters",
    ".venv/bin/python -m bench launches",
    '.venv/bin/python -m bench compare "$BASE" "$HEAD" --limit "$LIMIT" --markdown compare.md --json compare.json',
    ".venv/bin/python -m bench --sustained 300 --json bench.json --html bench.html",
    "python -m pip install cibuildwheel==4.3.5",
}
# Not run by a test, and why.
ELSEWHERE = {
    "make test": "this very suite",
    "make soak": "the suite's long half, which runs the lines of SOAK",
    ".venv/bin/python -m bench metal-sources --compile": "needs Apple's compiler; without --compile it runs below",
    ".venv/bin/voxtral-kernels selftest --json selftest-validated.json": "the soak line above under Metal's layers",
    "sudo apt-get update && sudo apt-get install --yes qemu-user-static": "changes the machine itself",
    "python -m cibuildwheel --output-dir wheelhouse": "needs a container engine; tests/cli builds a wheel",
}


def commands():
    """Every ``run:`` line, comments left out."""
    found = []
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                found += [line.strip() for line in step.get("run", "").splitlines() if line.strip()]
    return found


def run(command, folder, **environment):
    """As a step would: in the checkout, with this interpreter in place of the virtual environment's."""
    here = Path(sys.executable).parent
    command = re.sub(r"(?<![\w/])\.venv/bin/", f"{here}/", command)
    command = re.sub(r"^python ", f"{sys.executable} ", command)
    path = os.pathsep.join([str(here), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, **environment}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_every_command_is_accounted_for():
    known = QUICK | SOAK | set(ELSEWHERE)
    assert set(commands()) == known


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_least_permissions_pinned_actions_and_cancelled_runs(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]


def test_summary(tmp_path):
    (tmp_path / "compare.md").write_text("### bench compare: no regression\n")
    run('cat compare.md >> "$GITHUB_STEP_SUMMARY"', tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    assert (tmp_path / "summary").read_text().startswith("### bench compare")


@pytest.mark.skipif(not (ROOT / ".venv" / ".installed").exists(), reason="this interpreter is not make's environment")
def test_installation_is_up_to_date():
    run("make .venv/.installed", ROOT)


def test_metal_sources(tmp_path):
    run(f".venv/bin/python -m bench metal-sources --out {tmp_path}", ROOT)
    assert list(tmp_path.glob("*.metal"))


@pytest.mark.soak
@pytest.mark.timed
@pytest.mark.parametrize("command", sorted(SOAK))
def test_long_command(command, tmp_path):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    command = re.sub(r"(compare|bench|selftest)\.(md|json|html)", rf"{tmp_path}/\1.\2", command)
    run(command, ROOT, BASE=head.stdout.strip(), HEAD=head.stdout.strip(), LIMIT="25")
