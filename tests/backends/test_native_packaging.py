"""Installing without a C++ compiler: a pure-Python package that says so (``make soak``)."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_a_failed_build_falls_back_to_pure_python():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scikit-build"]
    assert {"if": {"failed": True}, "wheel": {"cmake": False}} in settings["overrides"]


@pytest.mark.soak
def test_installs_without_a_compiler(tmp_path):
    environment = {**os.environ, "CC": "/no/such/compiler", "CXX": "/no/such/compiler"}
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    config = ["--config-settings", f"build-dir={tmp_path / 'build'}"]
    built = subprocess.run([*wheel, *config], env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = tmp_path.glob("voxtral_kernels-*.whl")
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(target), str(file)]
    subprocess.run(install, check=True, capture_output=True)
    assert not list(target.rglob("*.so"))
    script = "import mlx.core as mx, voxtral_kernels as vk; from voxtral_kernels.backends import extension; "
    script += "print(vk.__file__, extension.status(), vk.explain('ada_rms_norm', mx.ones((1, 32)))[0], sep='\\n')"
    # -S: an editable installation's import hook would find this checkout first.
    paths = os.pathsep.join([str(target), *(p for p in sys.path if p.endswith("site-packages"))])
    command = [sys.executable, "-S", "-c", script]
    shown = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, cwd=tmp_path, capture_output=True, text=True
    )
    where, status, backend = shown.stdout.splitlines()
    assert where.startswith(str(target)), shown.stderr
    assert status.endswith("the extension is not installed (the package was installed without a C++ compiler).")
    assert backend == "composed"
