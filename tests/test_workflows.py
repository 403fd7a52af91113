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
    'test ! -f compare.md || cat compare.md >> "$GITHUB_STEP_SUMMARY"',
    "make .venv/.test-tools",
    "python3 tools/perf_comment.py compare/compare.md",  # test_release.py
    'python tools/release.py check "$GITHUB_REF"',
    'python tools/release.py notes "$GITHUB_REF" > notes.md',
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
    "make docs",
}
# The jobs of wheels.yml that build for this machine, line by line in an environment of their own.
WHEELS = ("sdist", "linux")
# Not run by a test, and why.
ELSEWHERE = {
    "make test": "this very suite",
    "make soak": "the suite's long half, which runs the lines of SOAK",
    ".venv/bin/python -m pytest tests/emulator": "a part of this suite, there with the runtime built on a Mac",
    ".venv/bin/python -m bench metal-sources --compile": "needs Apple's compiler; without --compile it runs below",
    ".venv/bin/voxtral-kernels selftest --json selftest-validated.json": "the soak line above under Metal's layers",
    "sudo apt-get update && sudo apt-get install --yes qemu-user-static libc6-arm64-cross": "changes the machine",
    "python -m cibuildwheel --output-dir wheelhouse": "builds on a Mac only; the Linux wheel's lines run below",
    "xcrun metal --version || xcodebuild -downloadComponent MetalToolchain": "Apple's",
}
PUBLISHES = {
    'gh release create "$GITHUB_REF_NAME" --verify-tag --title "$GITHUB_REF_NAME" --notes-file notes.md dist/*'
}


def commands():
    """Every ``run:`` line, comments left out."""
    found = []
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job.get("steps", ()):
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
    known = QUICK | SOAK | PUBLISHES | set(ELSEWHERE) | {line for job in WHEELS for line in lines_of("wheels.yml", job)}
    assert set(commands()) == known


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_least_permissions_pinned_actions_and_cancelled_runs(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] in ({"contents": "read"}, {})
    assert "cancel-in-progress" in workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] <= 90
        for step in job.get("steps", ()):
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]


def job(workflow, name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text())["jobs"][name]


def lines_of(workflow, name):
    steps = [step["run"] for step in job(workflow, name)["steps"] if "run" in step]
    return [line.strip() for text in steps for line in text.splitlines() if line.strip()]


def test_a_push_does_not_end_the_weekly_soak():
    concurrency = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["concurrency"]
    assert "github.event_name" in concurrency["group"]
    assert "schedule" not in concurrency["cancel-in-progress"]


def test_steps_behind_one_that_failed_still_run():
    for name in ("linux", "macos"):
        steps = job("ci.yml", name)["steps"]
        behind = steps[[step.get("run") for step in steps].index("make test") + 1 :]
        assert behind
        assert all(step["if"] == "${{ !cancelled() }}" for step in behind)


def test_no_forks_code_on_a_machine_of_ours():
    assert "github.event_name != 'pull_request'" in job("ci.yml", "metal")["if"]
    runner = job("perf.yml", "compare")["runs-on"]
    assert "head.repo.full_name == github.repository && vars.METAL_RUNNER || 'macos-15'" in runner


def test_summary(tmp_path):
    line = 'test ! -f compare.md || cat compare.md >> "$GITHUB_STEP_SUMMARY"'
    run(line, tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))  # no table: no second red
    (tmp_path / "compare.md").write_text("### bench compare: no regression\n")
    run(line, tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    assert (tmp_path / "summary").read_text().startswith("### bench compare")


@pytest.mark.skipif(not (ROOT / ".venv" / ".test-tools").exists(), reason="this interpreter is not make's environment")
def test_installation_is_up_to_date():
    run("make .venv/.test-tools", ROOT)


@pytest.mark.soak
def test_wheels(tmp_path):
    """What wheels.yml's jobs do on Linux, on a clone."""
    tree = tmp_path / "tree"
    subprocess.run(["git", "clone", "--quiet", ROOT, tree], check=True)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "tools"], check=True)
    environment = {**os.environ, "PATH": os.pathsep.join([str(tmp_path / "tools" / "bin"), os.environ["PATH"]])}
    for line in [line for name in WHEELS for line in lines_of("wheels.yml", name)]:
        done = subprocess.run(line, shell=True, cwd=tree, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, line + done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout == "ten of clubs\n"
    assert list((tree / "wheelhouse").glob("*manylinux_2_35_*.whl"))


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
