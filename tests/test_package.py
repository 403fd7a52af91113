"""The package imports and knows its version."""

import tomllib
from pathlib import Path

import voxtral_kernels as vk

ROOT = Path(__file__).resolve().parents[1]


def test_version_is_the_one_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert vk.__version__ == project["version"]
