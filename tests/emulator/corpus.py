"""The planted bugs as data, and the tables of docs/emulator.md: ``python tests/emulator/corpus.py`` writes them anew.

Each ``bugs/<name>.metal`` holds one kernel of that name: with ``BUG`` defined it has the bug, without it is the
corrected twin. Its head says what to expect and how to launch it; ``// finding`` ends each line that the report must
name (both lines of a race).
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import runpy

import numpy as np

from voxtral_kernels.emulator import dialect
from voxtral_kernels.emulator.report import KINDS

HERE = pathlib.Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "emulator.md"
DTYPES = {"float": np.float32, "uint": np.uint32}


@dataclasses.dataclass(frozen=True)
class Bug:
    """One kernel of the corpus."""

    name: str
    text: str
    kind: str
    what: str
    also: frozenset[str]  # kinds that the same mistake may bring along
    lines: frozenset[int]  # empty: the finding has no line
    line_may_be_missing: bool  # the documented limit of private variables
    grid: int
    threadgroup: int
    fixed_grid: int
    fixed_threadgroup: int
    inputs: dict[int, np.ndarray]
    outputs: dict[int, np.ndarray]
    unset: list[int]  # outputs without a value of their own
    threadgroup_memory: dict[int, int]


def read(path: pathlib.Path) -> Bug:
    """Reads one file of the corpus."""
    text = path.read_text()
    heads = re.findall(r"^// ([\w ]+): (.*)$", text, re.MULTILINE)
    head = dict(heads)
    launch = re.fullmatch(r"grid (\d+)(?: fixed (\d+))?, threadgroup (\d+)(?: fixed (\d+))?", head["launch"])
    assert launch is not None, path
    grid, fixed_grid, threadgroup, fixed_threadgroup = launch.groups()
    buffers = {int(key.split()[1]): value for key, value in heads if key.startswith("buffer ")}
    marked = (i for i, line in enumerate(text.splitlines(), 1) if line.endswith("// finding"))
    return Bug(
        name=path.stem,
        text=text,
        kind=head["kind"],
        what=head["what"],
        also=frozenset(head.get("also", "").split()),
        lines=frozenset(() if head.get("line") == "none" else marked),
        line_may_be_missing=head.get("line") == "any",
        grid=int(grid),
        threadgroup=int(threadgroup),
        fixed_grid=int(fixed_grid or grid),
        fixed_threadgroup=int(fixed_threadgroup or threadgroup),
        inputs={i: array(spec) for i, spec in buffers.items() if spec.startswith("in ")},
        outputs={i: array(spec) for i, spec in buffers.items() if spec.startswith("out ")},
        unset=[i for i, spec in buffers.items() if spec.startswith("out ") and "=" not in spec],
        threadgroup_memory={
            int(key.split()[-1]): int(value) for key, value in heads if key.startswith("threadgroup memory ")
        },
    )


def array(spec: str) -> np.ndarray:
    """``in float[64]`` counts up; ``out float[64]`` starts as NaN, or as what follows ``=``."""
    found = re.fullmatch(r"(in|out) (\w+)\[(\d+)\](?: = (.*))?", spec)
    assert found is not None, spec
    way, dtype, size, value = found.groups()
    i = np.arange(int(size), dtype=np.float64)
    if value is not None:
        filled = np.broadcast_to(eval(value, {"i": i}), i.shape)
    else:
        filled = i if way == "in" or dtype != "float" else np.full_like(i, np.nan)
    return filled.astype(DTYPES[dtype])


def corpus() -> list[Bug]:
    """All bugs, by kind and name."""
    return sorted((read(path) for path in (HERE / "bugs").glob("*.metal")), key=lambda bug: (bug.kind, bug.name))


def tables() -> dict[str, str]:
    """The generated parts of the document, by the name of their markers."""
    bugs = ["| kind | planted bug | what is wrong |", "| --- | --- | --- |"]
    bugs += [f"| `{b.kind}` | [`{b.name}`](../tests/emulator/bugs/{b.name}.metal) | {b.what} |" for b in corpus()]
    rules = ["| rule | refused because | section |", "| --- | --- | --- |"]
    rules += [f"| `{r.name}` | {r.text} | {r.section} |" for _, r in sorted(dialect.RULES.items())]
    kinds = ["| kind | what it means |", "| --- | --- |", *(f"| `{k}` | {text} |" for k, text in KINDS.items())]
    chapter6 = runpy.run_path(str(HERE / "chapter6.py"))["table"]()
    return {
        "verdicts": verdicts(),
        "library": "\n".join(chapter6),
        "kinds": "\n".join(kinds),
        "bugs": "\n".join(bugs),
        "rules": "\n".join(rules),
    }


def verdicts() -> str:
    """What ``truth/`` says of our verdicts and Apple's, and those that differ."""
    cases = runpy.run_path(str(HERE / "truth_cases.py"))["cases"]()
    differ = [case for case in cases if case.differs]
    refused = sum(not case.accepted for case in cases)
    agreement = f"{len(cases) - len(differ)} of {len(cases)} ({1 - len(differ) / len(cases):.1%})"
    lines = [
        f"{refused} kernels that Apple's compiler refuses, {len(cases) - refused} that it accepts: {agreement} agree.",
        "",
    ]
    lines += ["| kernel | Apple's verdict | why ours differs | source |", "| --- | --- | --- | --- |"]
    for case in differ:
        verdict = "accepted" if case.accepted else "refused"
        lines.append(f"| `{case.name}` | {verdict} | {case.differs} | {case.source} |")
    return "\n".join(lines)


def written(document: str) -> str:
    """The document with its tables replaced."""
    for name, table in tables().items():
        start, end = f"<!-- {name}: written by tests/emulator/corpus.py -->", f"<!-- end of {name} -->"
        before, rest = document.split(start)
        document = f"{before}{start}\n{table}\n{end}{rest.split(end)[1]}"
    return document


if __name__ == "__main__":
    DOCS.write_text(written(DOCS.read_text()))
