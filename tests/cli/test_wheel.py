"""The wheel works where there is no checkout: it carries the kernels, the benchmarks and the tiny checkpoint."""

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an environment with the wheel in it, outside the tree. Pure Python: built without a compiler."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--config-settings", "wheel.cmake=false"]
    built = subprocess.run(
        [*pip, "wheel", *options, "--wheel-dir", folder, ROOT], capture_output=True, text=True, env=environment()
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("voxtral_kernels-*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    # The dependencies of this environment, without what it installs in editable mode: a path that a .pth file adds is
    # not searched for further .pth files.
    site = Path(sysconfig.get_path("purelib", vars={"base": folder / "env", "platbase": folder / "env"}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env"


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VOXTRAL"))}


def command(installed, *arguments):
    run = subprocess.run(
        [installed / "bin" / "voxtral-kernels", *arguments],
        capture_output=True,
        text=True,
        cwd=installed,
        env=environment(),
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_info(installed):
    facts = json.loads(command(installed, "info", "--json"))
    assert facts["package"].startswith(str(installed))
    assert all(entry["backend"] for entry in facts["ops"])


@pytest.fixture
def extension(installed):
    """Puts this environment's extension into the installed package, as if it had been built against another MLX."""
    own = importlib.util.find_spec("voxtral_kernels._ext")
    if own is None:
        pytest.skip("the extension was not built here")
    (package,) = installed.glob("lib/python*/site-packages/voxtral_kernels")
    added = [package / Path(own.origin).name, package / "_ext_mlx_version.txt", package / "_ext_optimised.txt"]

    def put(mlx):
        shutil.copy(own.origin, added[0])
        added[1].write_text(f"{mlx}\n")

    yield put
    for file in added:
        file.unlink(missing_ok=True)


def extension_line(installed):
    return next(line for line in command(installed, "info").splitlines() if line.startswith("extension"))


def test_info_without_the_extension(installed):
    assert extension_line(installed).endswith(
        "native: not in use: the extension is not installed (the package was installed without a C++ compiler)."
    )


def test_info_with_the_extension(installed, extension):
    version = importlib.metadata.version("mlx")
    extension(version)
    assert re.search(rf"native: in use, instruction set .* built against MLX {version}\.$", extension_line(installed))


def test_info_and_a_transcription_with_an_extension_for_another_mlx(installed, extension, examples):
    extension("0.31.9")
    assert extension_line(installed).endswith(
        f"native: not in use: the extension was built against MLX 0.31.9 and steps aside for MLX "
        f"{importlib.metadata.version('mlx')}; reinstall voxtral-kernels to use it."
    )
    assert command(installed, "transcribe", examples / "human-card-1.wav", "--model", "tiny") == "ten of clubs\n"


def test_transcription(installed, examples):
    assert command(installed, "transcribe", examples / "human-card-1.wav", "--model", "tiny") == "ten of clubs\n"


def test_benchmarks(installed):
    assert "counters" in command(installed, "bench", "--help")


def test_files(installed):
    (package,) = installed.glob("lib/python*/site-packages/voxtral_kernels")
    for folder, pattern in (("kernels", "*.metal"), ("bench", "*.py"), ("python/voxtral_kernels", "*.py")):
        target = {"kernels": package / "kernels", "bench": package / "_bench"}.get(folder, package)
        sources = {p.relative_to(ROOT / folder) for p in (ROOT / folder).rglob(pattern)}
        assert sources - {p.relative_to(target) for p in target.rglob(pattern)} == set()
    assert (package / "py.typed").is_file()
