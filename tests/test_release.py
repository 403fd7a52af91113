"""Set-up and release: the Python that make chooses, the MLX that is refused, a pull request's comment, a tag."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools import perf_comment, release
from voxtral_kernels import _supported

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def programs(folder, **pythons):
    """A folder for PATH: what a shell and make need, and interpreters that claim a version and run or refuse code."""
    folder.mkdir()
    for name in ("sh", "make", "find"):
        (folder / name).symlink_to(shutil.which(name))
    for name, (version, refuses) in pythons.items():
        path = folder / name.replace("_", ".")
        path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "Python {version}"; else exit {refuses}; fi\n')
        path.chmod(0o755)
    return folder


def find_python(path, *arguments):
    command = ["/bin/sh", ROOT / "tools" / "find_python.sh", *arguments]
    return subprocess.run(command, env={"PATH": str(path)}, capture_output=True, text=True)


def test_an_old_python_first_on_the_path_is_passed_over(tmp_path):
    path = programs(tmp_path / "bin", python3=("3.10.13", 1), python3_12=("3.12.1", 0))
    assert find_python(path).stdout == f"{path}/python3.12\n"


def test_without_a_python_that_serves_make_says_which_to_install(tmp_path):
    path = programs(tmp_path / "bin", python3=("3.10.13", 1))
    command = ["make", "demo", f"VENV={tmp_path}/venv"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": str(path)}, capture_output=True, text=True)
    sentences = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert done.returncode == 2
    assert len(sentences) == 1
    assert "Python 3.11, 3.12 or 3.13" in sentences[0]
    assert "python3 is Python 3.10.13" in sentences[0]
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(("version", "refuses"), [("3.10.13", 1), ("3.12.1", 0)])
def test_the_python_that_was_asked_for(tmp_path, version, refuses):
    path = programs(tmp_path / "bin", python=(version, refuses))
    done = find_python(path, f"{path}/python")
    assert done.returncode == refuses
    assert (version in done.stderr) == bool(refuses)


def test_a_missing_cmake_is_asked_for(tmp_path):
    if subprocess.run([sys.executable, "-c", "import scikit_build_core"], capture_output=True).returncode:
        pytest.skip("the build backend is not installed in this environment")
    command = [sys.executable, ROOT / "tools" / "requirements.py", "cmake"]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert any(line.startswith("cmake>=") for line in done.stdout.splitlines())


def test_the_promised_pythons_are_the_ones_that_are_built():
    promised = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    wheels = (ROOT / ".github" / "workflows" / "wheels.yml").read_text()
    assert f"python: {json.dumps(promised)}" in wheels
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]["build"]
    assert build == [f"cp{v.replace('.', '')}-*" for v in promised]
    assert all(v in find_python(ROOT).stderr for v in promised)


def test_every_extra_that_the_documents_print_exists():
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for names in re.findall(r"voxtral-kernels\[([\w,-]+)\]", path.read_text()):
            assert set(names.split(",")) <= set(PROJECT["optional-dependencies"]), path


def test_the_range_of_mlx_is_that_of_the_package():
    ranges = [re.match(r"mlx(?:\[cpu\])?([>=<.,\d]+);", d) for d in PROJECT["dependencies"]]
    assert {found[1] for found in ranges if found} == {f">={_supported.FIRST},<{_supported.BELOW}"}


@pytest.mark.parametrize("version", ["0.32.4", "0.32.4.dev20261101+abc", "0.33.9"])
def test_a_supported_mlx(version):
    _supported.require(version)


@pytest.mark.parametrize("version", ["0.32.3", "0.34.0", "1.0"])
def test_another_mlx_is_refused(version):
    with pytest.raises(ImportError, match=rf"MLX {version} is installed: pip install 'mlx>=0\.32\.4,<0\.34'\.$"):
        _supported.require(version)


def test_the_commands_refuse_another_mlx_in_one_line():
    code = (
        "import mlx.core as mx; mx.__version__ = '0.31.2'; from voxtral_kernels.cli import main; exit(main(['info']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "MLX 0.31.2 is installed: pip install" in done.stderr


class GitHub:
    """`gh api` as a script that keeps what it was asked; the first page of comments may hold one of ours."""

    def __init__(self, folder, monkeypatch, ours):
        self.log = folder / "log"
        self.log.write_text("")
        pulls = [{"number": 7, "head": {"sha": "abc"}}, {"number": 8, "head": {"sha": "def"}}]
        comments = [{"id": 1, "user": {"login": "someone"}, "body": perf_comment.MARK}]
        if ours:
            comments.append({"id": 2, "user": {"login": perf_comment.AUTHOR}, "body": f"{perf_comment.MARK}\nold"})
        for name, answer in (("pulls", pulls), ("comments", comments), ("none", [])):
            (folder / name).write_text(json.dumps(answer))
        script = folder / "gh"
        script.write_text(
            f"""#!/bin/sh
cd {folder}
[ "$3" = GET ] || printf '%s\\n' "$@" >> log
case "$*" in *PATCH*|*POST*) echo '{{}}';; */pulls*) cat pulls;; *page=1) cat comments;; *) cat none;; esac
"""
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        facts = {"GITHUB_REPOSITORY": "o/r", "HEAD_OWNER": "f", "HEAD_BRANCH": "b", "RUN_URL": "https://x/1"}
        for name, value in facts.items():
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize("ours", [False, True])
def test_one_comment_updated_in_place(tmp_path, monkeypatch, ours):
    github = GitHub(tmp_path, monkeypatch, ours)
    monkeypatch.setenv("HEAD_SHA", "def")
    (tmp_path / "compare.md").write_text("### bench compare: no regression\n\n| a | b |\n")
    assert perf_comment.main([str(tmp_path / "compare.md")]) == 0
    asked = github.log.read_text()
    assert ("repos/o/r/issues/comments/2" in asked) == ours
    assert ("repos/o/r/issues/8/comments" in asked) != ours
    assert "### bench compare: no regression" in asked


def test_no_comment_for_another_commit_or_without_a_table(tmp_path, monkeypatch):
    github = GitHub(tmp_path, monkeypatch, ours=True)
    monkeypatch.setenv("HEAD_SHA", "of a push since")
    (tmp_path / "compare.md").write_text("table")
    assert perf_comment.main([str(tmp_path / "compare.md")]) == 0
    assert perf_comment.main([str(tmp_path / "no.md")]) == 0
    assert github.log.read_text() == ""


def test_a_forks_table_addresses_nobody_and_links_nowhere():
    hostile = "### worse: @all\n<img src=x> [a](https://b) ![c](d) #12 www.e.f\x1b[0m\n" + "x\n" * 90_000
    text = perf_comment.body(hostile, "RUN")
    table = text.partition("\n\nFrom [")[0].removeprefix(perf_comment.MARK)
    assert not re.search(r"[@<\x1b]|\[|://|www\.", table)
    assert len(text) < 65_536


def test_a_tag_is_the_version_and_has_notes(tmp_path):
    version = PROJECT["version"]
    assert release.wrong("refs/heads/main") == []
    assert any("expected the tag" in sentence for sentence in release.wrong("refs/tags/v9.9.9"))
    for name in ("pyproject.toml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "python" / "voxtral_kernels").mkdir(parents=True)
    shutil.copy(ROOT / "python" / "voxtral_kernels" / "_version.py", tmp_path / "python" / "voxtral_kernels")
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## [Unreleased]\n")
    assert "no section" in release.wrong(f"refs/tags/v{version}", tmp_path)[0]
    changelog.write_text(f"## [Unreleased]\n\n## [{version}] - 2026-12-01\n\n- A\n\n## [0.0.1] - 2026-01-01\n\n- B\n")
    assert release.wrong(f"refs/tags/v{version}", tmp_path) == []
    assert release.section(version, tmp_path) == "- A"


def test_links_of_the_readme_work_on_pypi():
    base = PROJECT["urls"]["Homepage"]
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text())
    assert [link for link in links if not link.startswith("https://")] == []
    ours = [
        re.fullmatch(rf"{base}/(?:blob|tree)/main/([^#]+)(?:#.*)?", link) for link in links if link.startswith(base)
    ]
    assert ours
    assert [found[1] for found in ours if not (ROOT / found[1]).exists()] == []
