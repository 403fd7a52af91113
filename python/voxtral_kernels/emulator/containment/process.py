"""A program run with limits of time, memory and output, without this process's environment."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import NamedTuple

from ..errors import KernelError
from . import confine

CPU_SECONDS = 120  # of one run of the compiler; VOXTRAL_KERNELS_COMPILE_SECONDS sets another
MEMORY_BYTES = 6 << 30
OUTPUT_BYTES = 1 << 30
_WALL = 10  # a loaded machine gives a process this much less than its processor time, at worst


class LimitError(KernelError):
    """The compiler was stopped: the text takes more time, memory or output than is given."""


class Done(NamedTuple):
    """What a run left."""

    returncode: int
    stdout: str
    stderr: str


# Folders to read and to write that a confined run has; None where runs are limited only.
_confined: ContextVar[tuple[list[str], list[str]] | None] = ContextVar("confined", default=None)


@contextlib.contextmanager
def confined(read: Sequence[str], write: Sequence[str]) -> Iterator[None]:
    """Runs within see these folders only, and no network, as far as the kernel gives that without privileges."""
    token = _confined.set((list(read), list(write)))
    try:
        yield
    finally:
        _confined.reset(token)


def cpu_seconds() -> int:
    """The processor time that one run of the compiler is given."""
    given = os.environ.get("VOXTRAL_KERNELS_COMPILE_SECONDS", "")
    try:
        return max(1, int(given)) if given else CPU_SECONDS
    except ValueError:
        message = f"[emulator] VOXTRAL_KERNELS_COMPILE_SECONDS: expected whole seconds, got {given!r}."
        raise KernelError(message) from None


def run(command: Sequence[str], text: str | None = None) -> Done:
    """Runs ``command`` in an empty folder.

    Raises:
        LimitError: it took too long, or too much.
    """
    seconds = cpu_seconds()
    with tempfile.TemporaryDirectory() as scratch, open(f"{scratch}/in", "w+b") as source:
        source.write((text or "").encode())
        source.seek(0)
        with open(f"{scratch}/out", "w+b") as out, open(f"{scratch}/err", "w+b") as err:
            work = f"{scratch}/work"
            os.mkdir(work)
            process = subprocess.Popen(
                _command(command, seconds, work), stdin=source, stdout=out, stderr=err, cwd=work, env={},
                start_new_session=True,
            )  # fmt: skip
            _limit(process.pid, seconds)
            try:
                code = process.wait(timeout=_WALL * seconds)
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise LimitError(_stopped(seconds)) from None
                raise
            printed = [_read(file) for file in (out, err)]
    _require_within(code, printed[1], seconds)
    return Done(code, *printed)


def _command(command: Sequence[str], seconds: int, work: str) -> list[str]:
    folders = _confined.get()
    if folders is None or not sys.platform.startswith("linux"):
        return list(command)
    read = [folder for folder in (os.path.dirname(command[0]), *folders[0], "/proc/self") if os.path.exists(folder)]
    spec = {
        "cpu": seconds, "memory": MEMORY_BYTES, "file": OUTPUT_BYTES,
        "read": read, "write": [work, *folders[1], "/dev/null"],
    }  # fmt: skip
    return [sys.executable, "-I", "-S", confine.__file__, json.dumps(spec), *command]


def _limit(pid: int, seconds: int) -> None:
    if not hasattr(resource, "prlimit"):  # Linux alone can limit another process; elsewhere the clock has to do
        return
    given = (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES),
        (resource.RLIMIT_CORE, 0),
    )
    with contextlib.suppress(ProcessLookupError):
        for kind, value in given:
            resource.prlimit(pid, kind, confine.within(resource.prlimit(pid, kind), value))


def _read(file: object) -> str:
    file.seek(0)  # type: ignore[attr-defined]
    data: bytes = file.read()  # type: ignore[attr-defined]
    return data.decode(errors="replace")


_OUT_OF_MEMORY = ("out of memory", "Cannot allocate memory", "bad_alloc", "OutOfMemory")


def _require_within(code: int, stderr: str, seconds: int) -> None:
    """Raises if the process ended at a limit; ``zig`` hands the signal of its compiler on as text or as a code."""
    ended = {-code, code - 128}
    if ended & {signal.SIGXCPU, signal.SIGKILL}:
        raise LimitError(_stopped(seconds))
    if signal.SIGXFSZ in ended or "File too large" in stderr:
        raise LimitError(f"the text was not compiled: what it expands to has more than {OUTPUT_BYTES >> 20} MiB")
    if code and any(word in stderr for word in _OUT_OF_MEMORY):
        raise LimitError(f"the text was not compiled: the compiler needs more than {MEMORY_BYTES >> 30} GiB for it")


def _stopped(seconds: int) -> str:
    return f"the text was not compiled: the compiler was stopped after {seconds} seconds of processor time"
