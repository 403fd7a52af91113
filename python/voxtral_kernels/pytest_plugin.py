"""The pytest plugin: the fixture ``metal``, and findings as readable failures.

    def test_softmax(metal):
        (y,) = metal.library("softmax.metal").run("softmax", {0: x, 1: y}, (256, 1, 1), (256, 1, 1), outputs=[1])

The package registers it; ``-p no:voxtral_kernels.pytest_plugin`` leaves it out. Nothing is imported until it is used.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .emulator import Library, MetalKernel


class Metal:
    """The emulator for a test; names of files count from the test's own folder."""

    def __init__(self, folder: Path):
        self._folder = folder

    def library(self, source: str | os.PathLike[str], include_dirs: Sequence[str] = (), **settings: Any) -> Library:
        """``emulator.library`` of a file (``*.metal``) or of a text."""
        from . import emulator

        is_list = not isinstance(include_dirs, (str, os.PathLike))  # which the emulator refuses
        folders = [self._folder / folder for folder in include_dirs] if is_list else include_dirs
        if isinstance(source, os.PathLike) or str(source).endswith(".metal"):
            return emulator.library(self._file(source), folders, **{"path": str(source), **settings})
        return emulator.library(source, folders, **settings)

    def metal_kernel(self, *args: Any, **settings: Any) -> MetalKernel:
        """``emulator.metal_kernel``: the arguments of ``mx.fast.metal_kernel``."""
        from . import emulator

        return emulator.metal_kernel(*args, **settings)

    def check(self, file: str | os.PathLike[str]) -> None:
        """Fails where Apple's compiler would refuse the file, as far as the emulator can tell."""
        self._require(file, "check")

    def run(self, file: str | os.PathLike[str], toml: str | os.PathLike[str] | None = None) -> None:
        """Runs the file as the TOML beside it says, every access checked; fails with what was found."""
        self._require(file, "run", toml)

    def _require(self, file: str | os.PathLike[str], action: str, toml: str | os.PathLike[str] | None = None) -> None:
        from .emulator import KernelError, suite

        path = self._file(file)
        if action == "check":
            outcomes = suite.check(path)
        else:
            described = self._file(toml or Path(file).with_suffix(".toml"))
            outcomes = suite.run(path, suite.read_spec(described))
        findings = [f for outcome in outcomes for f in outcome.findings]
        if findings:
            raise KernelError("\n".join(map(str, findings)), findings)

    def _file(self, name: str | os.PathLike[str]) -> Path:
        """The file, as the working folder sees it."""
        path = self._folder / name
        if not path.is_file():
            raise FileNotFoundError(f"[metal] expected a file in {self._folder} or below, got {name}, which is none.")
        return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


@pytest.fixture
def metal(request: pytest.FixtureRequest) -> Metal:
    """Metal kernels run and checked on the CPU; a finding fails the test."""
    return Metal(request.path.parent)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A kernel's error is told by its text, which names the kernel's own lines, and the line of the test."""
    report = yield
    if call.excinfo and report.failed and _is_ours(item, call.excinfo.value):
        report.longrepr = _told(item, call.excinfo)
    return report


def _is_ours(item: pytest.Item, error: BaseException) -> bool:
    """A kernel's error, or a refusal of what a test with the fixture gave."""
    errors = sys.modules.get("voxtral_kernels.emulator.errors")
    if errors and isinstance(error, errors.KernelError):
        return True
    refused = isinstance(error, (ValueError, OSError)) and str(error).startswith(("[emulat", "[metal"))
    return refused and "metal" in getattr(item, "fixturenames", ())


def _told(item: pytest.Item, caught: pytest.ExceptionInfo[BaseException]) -> Any:
    """The call in the test, then the error; pytest's summary shows the error's first line."""
    from _pytest._code.code import ReprEntry, ReprExceptionInfo, ReprFileLocation, ReprTraceback

    text = str(caught.value)
    entry = next((e for e in reversed(caught.traceback) if Path(e.path) == item.path), caught.traceback[0])
    at = ReprFileLocation(os.path.relpath(entry.path, item.config.rootpath), entry.lineno + 1, "")
    lines = [
        *(f">   {part}" for part in textwrap.dedent(str(entry.statement)).splitlines()),
        *(f"E   {part}" for part in text.splitlines()),
    ]
    told = ReprEntry(lines, None, None, at, "long")
    return ReprExceptionInfo(
        ReprTraceback([told], None, "long"),
        ReprFileLocation(str(entry.path), entry.lineno + 1, text.splitlines()[0] if text else "KernelError"),
    )
