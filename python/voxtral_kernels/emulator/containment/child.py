"""One launch in a process of its own: ``python -I -S child.py RUNTIME``, the request and the buffers on standard input.

It reads what it needs, gives up files, network and other processes, loads the kernel, gives up opening files as well,
runs, and writes what came out. Nothing that it writes is trusted: the parent reads JSON and bytes of known sizes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import sys
from typing import Any


def _module(name: str, path: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read(n: int) -> bytes:
    data = sys.stdin.buffer.read(n)
    if len(data) != n:
        raise EOFError("the request ended early")
    return data


def _finding(f: object) -> dict[str, object]:
    names = ("kind", "detail", "pc", "buffer", "offset", "lane", "threadgroup", "other_pc", "other_lane",
             "other_threadgroup", "file", "line", "column", "count")  # fmt: skip
    return {name: getattr(f, name) for name in names}


def main() -> None:
    """Reads a request, runs it, answers."""
    native = _module("_emulator", sys.argv[1])
    confine = _module("confine", os.path.join(os.path.dirname(os.path.abspath(__file__)), "confine.py"))
    request = json.loads(_read(struct.unpack("<Q", _read(8))[0]))
    buffers = []
    for b in request["buffers"]:
        data = _read(b["size"]) if b["given"] else None
        space = getattr(native.Space, b["space"])
        args = (b["index"], b["name"], space, b["size"], b["granule"], b["initialised"], data)
        buffers.append(native.Buffer(*args, b["shares"], b["shares_from"]))
    options = native.Options()
    for name, value in request["options"].items():
        setattr(options, name, getattr(native.Mode, value) if name == "mode" else value)
    if sys.platform.startswith("linux"):
        confine.limits(**request["limits"])
        confine.landlock([request["library"]], [])
        confine.only_computing(may_open=True)
    library = native.Library(request["library"])
    if sys.platform.startswith("linux"):
        confine.only_computing(may_open=False)
    result = native.launch(library, request["symbol"], buffers, options)
    sizes = {str(i): len(data) for i, data in result.outputs.items()}
    answer = {
        "findings": [_finding(f) for f in result.findings],
        "absent": [_finding(f) for f in result.absent],
        "findings_total": result.findings_total,
        "completed": result.completed,
        "is_narrow": result.is_narrow,
        "counters": result.counters,
        "outputs": sizes,
    }
    head = json.dumps(answer).encode()
    out = sys.stdout.buffer
    out.write(struct.pack("<Q", len(head)) + head)
    for data in result.outputs.values():
        out.write(data)
    out.flush()
    os._exit(0)


main()
