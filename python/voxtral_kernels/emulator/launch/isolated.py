"""A launch in a process of its own, which has limits, no environment and, on Linux, no files and no network."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ..containment import process
from ..errors import KernelError
from ..runtime import runtime
from .buffers import Buffer

_CHILD = Path(process.__file__).with_name("child.py")
_OPTIONS = ("seed", "step_limit", "seconds_limit", "grid", "threadgroup", "threadgroup_arguments", "variables",
            "absent_at")  # fmt: skip
_MEMORY = 16 << 30  # of addresses, beside those that the runtime reserves and never touches


@dataclass
class RawFinding:
    """A finding as the runtime has it, for one that the runtime could not make or hand over."""

    kind: str
    detail: str
    pc: int = -1
    buffer: str = ""
    offset: int | None = None
    lane: int = -1
    threadgroup: tuple[int, int, int] = (0, 0, 0)
    other_pc: int = -1
    other_lane: int = -1
    other_threadgroup: int = -1
    file: str = ""
    line: int = 0
    column: int = 0
    count: int = 1


@dataclass
class Result:
    """What the runtime's own result has."""

    outputs: dict[int, bytes]
    findings: list[RawFinding] = field(default_factory=list)
    findings_total: int = 0
    completed: bool = False
    counters: dict[str, Any] = field(default_factory=dict)
    is_narrow: bool = False
    absent: list[RawFinding] = field(default_factory=list)


def launch(library: Path, symbol: str, buffers: Sequence[Buffer], options: Any) -> Result:
    """As the runtime's ``launch``; an end of the process is a finding of kind ``crash`` or ``step-limit``.

    Raises:
        KernelError: this machine's kernel does not give what the process asks for.
    """
    native = runtime()
    seconds = options.seconds_limit or process.cpu_seconds()
    request = {
        "library": str(library), "symbol": symbol, "buffers": [b.header() for b in buffers],
        "options": {name: getattr(options, name) for name in _OPTIONS} | {"mode": options.mode.name},
        "limits": {"cpu": int(2 * seconds) + 10, "memory": native.RESERVED_BYTES + _MEMORY,
                   "file": process.OUTPUT_BYTES},
    }  # fmt: skip
    head = json.dumps(request).encode()
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        source.write(struct.pack("<Q", len(head)) + head)
        for b in buffers:
            source.write(b.content())
        source.seek(0)
        command = [sys.executable, "-I", "-S", str(_CHILD), native.__file__]
        child = subprocess.Popen(command, stdin=source, stdout=out, stderr=err, env={}, start_new_session=True)
        try:
            code: int | None = child.wait(timeout=4 * seconds + 30)
        except BaseException as error:
            child.kill()
            child.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            code = None
        return _result(code, out, err, buffers)


def _result(code: int | None, out: IO[bytes], err: IO[bytes], buffers: Sequence[Buffer]) -> Result:
    blank = {b.index: b"\xff" * b.size for b in buffers if b.is_output}
    if code is None or code == -signal.SIGXCPU:
        return Result(blank, [RawFinding("step-limit", "the kernel does not come to an end")], 1)
    if code < 0:
        name = {s.value: s.name for s in signal.Signals}.get(-code, f"signal {-code}")
        return Result(blank, [RawFinding("crash", f"the process of the launch was ended by {name}")], 1)
    out.seek(0)
    try:
        (size,) = struct.unpack("<Q", out.read(8))
        answer = json.loads(out.read(min(size, 64 << 20)))
        outputs = {b.index: out.read(b.size) for b in sorted(buffers, key=lambda b: b.index) if b.is_output}
        if any(len(outputs[i]) != len(blank[i]) for i in blank):
            raise ValueError("outputs are missing")
        findings, absent = ([RawFinding(**f) for f in answer[name]] for name in ("findings", "absent"))
        total, completed = int(answer["findings_total"]), bool(answer["completed"])
        return Result(outputs, findings, total, completed, answer["counters"], bool(answer["is_narrow"]), absent)
    except (struct.error, ValueError, KeyError, TypeError, RecursionError):
        err.seek(0)
        said = err.read(1 << 20).decode(errors="replace").strip().splitlines()
        if said and ("ConfinementError" in said[-1]):
            raise KernelError(f"isolate=True: {said[-1].split(': ', 1)[-1]}") from None
        detail = f"the process of the launch ended with status {code}" + (f": {said[-1]}" if said else "")
        return Result(blank, [RawFinding("crash", detail)], 1)
