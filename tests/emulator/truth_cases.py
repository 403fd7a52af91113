"""The corpus of verdicts: small kernels that Apple's Metal compiler refuses or accepts, each with its source.

``truth/<subject>.metal`` holds sections. ``//= refused NAME`` or ``//= accepted NAME`` opens one; its head says

* ``// source:`` the public report of a compiler's message (owner/repository#number) or the clause of the specification,
  numbered as in its editions since 3.1 (before, chapter 1 counts one less: restrictions are 1.4.4 in 3.0);
* ``// says:`` what the compiler says, or the clause;
* ``// version:`` of the language, 3.1 if none is given;
* ``// differs:`` why our verdict is another one: an exception, which the tests count;
* for the accepted ones how to run it: ``// out:`` the values of buffer 0, ``// in:`` those of buffer 1, ``// threads:``
  of the one threadgroup, ``// filled:`` what buffer 0 holds before, ``// constant n:``, ``// threadgroup:`` bytes,
  ``// entry:`` where it is not NAME.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re

import numpy as np

HERE = pathlib.Path(__file__).parent / "truth"
HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"


@dataclasses.dataclass(frozen=True)
class Case:
    """One kernel and Apple's verdict."""

    name: str
    accepted: bool
    text: str
    path: str
    source: str
    says: str
    differs: str
    version: str
    entry: str
    out: np.ndarray
    inputs: np.ndarray
    filled: float
    threads: int
    constants: dict[int, float]
    threadgroup_memory: dict[int, int]


def read(path: pathlib.Path) -> list[Case]:
    """The sections of one file."""
    pieces = re.split(r"^//= (\w+) (\w+)\n", path.read_text(), flags=re.MULTILINE)
    assert pieces[0].strip() == "", path
    return [section(path, *pieces[i : i + 3]) for i in range(1, len(pieces), 3)]


def section(path: pathlib.Path, verdict: str, name: str, body: str) -> Case:
    """One section, its head taken apart."""
    lines = body.splitlines(keepends=True)
    end = next(i for i, line in enumerate(lines) if not line.startswith("// "))
    head = dict(line[3:].rstrip("\n").split(": ", 1) for line in lines[:end])
    text = "".join(lines[end:])
    accepted = {"accepted": True, "refused": False}[verdict]
    assert head.get("source"), f"{path.name}: {name} names no source"
    return Case(
        name=name,
        accepted=accepted,
        text=text if "#include <metal_stdlib>" in text else HEADER + text,
        path=f"{name}.metal",
        source=head["source"],
        says=head.get("says", ""),
        differs=head.get("differs", ""),
        version=head.get("version", "3.1"),
        entry=head.get("entry", name),
        out=numbers(head.get("out", "")),
        inputs=numbers(head.get("in", "")),
        filled=float(head.get("filled", "nan")),
        threads=int(head.get("threads", "1")),
        constants={int(k.split()[1]): float(v) for k, v in head.items() if k.startswith("constant ")},
        threadgroup_memory={0: int(head["threadgroup"])} if "threadgroup" in head else {},
    )


def numbers(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()], np.float32)


def cases() -> list[Case]:
    """The whole corpus, by subject."""
    return [case for path in sorted(HERE.glob("*.metal")) for case in read(path)]
