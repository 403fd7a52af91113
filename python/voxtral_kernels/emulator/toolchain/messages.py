"""What the compiler prints: its messages in Metal's words, each at a line of the user's text; lists of files."""

from __future__ import annotations

import re
from pathlib import Path

INCLUDE = Path(__file__).parents[1] / "include"

_MESSAGE = re.compile(r"(.+?):(\d+):(\d+): (?:fatal )?(error|note|warning): (.*)")
_REQUIREMENT = re.compile(r"static assertion failed(?: due to requirement '.*')?: ")


def readable(stderr: str) -> str:
    """The compiler's messages in Metal's words, each at a line of the user's text where the compiler names one."""
    words = {
        "__global": "device", "__constant": "constant", "__local": "threadgroup", "__private": "thread",
        "OpenCL": "Metal", "::metal::msl_construct": "construct", "metal::msl_construct": "construct",
    }  # fmt: skip
    dropped = (" generated.", "note: candidate", "expanded from macro", "In file included from", "<scratch space>:")
    lines: list[str] = []
    warned = False
    inside: str | None = None  # an error in one of our headers, until a note says who called it
    for line in stderr.splitlines():
        if any(words in line for words in dropped):
            continue
        found = _MESSAGE.fullmatch(line)
        warned = found[4] == "warning" or (warned and found[4] == "note") if found else warned
        if warned:
            continue
        ours = found is not None and found[1].startswith(str(INCLUDE))
        if found and found[4] == "error":
            lines += [inside] if inside else []
            inside = line if ours else None
        if ours:
            continue
        if found and found[4] == "note" and inside:
            line, inside = f"{found[1]}:{found[2]}:{found[3]}: error: {inside.split(' error: ', 1)[1]}", None
        lines.append(_REQUIREMENT.sub("", line))
    text = "\n".join([*lines, inside] if inside else lines)
    for ours_, theirs in words.items():
        text = text.replace(ours_, theirs)
    return text or "error: the compiler ended without a message; the text may be nested too deep for it"


def asked_for(stderr: str) -> str:
    """A refusal where a pragma that macros have made asked whether a file is there."""
    found = re.search(r"^(.+?):(\d+):\d+: warning: current file is older than dependency", stderr, re.MULTILINE)
    why = "a file outside of the given folders"
    return f"{found[1]}:{found[2]}: '#pragma GCC dependency': {why} [contained]" if found else ""


def dependencies(makefile: str) -> list[str]:
    """The files of a rule ``t: a b\\ c``."""
    words = re.findall(r"(?:\\[^\n]|[^\s\\])+", makefile.split(":", 1)[-1].replace("\\\n", " "))
    return [re.sub(r"\\(.)", r"\1", word).replace("$$", "$") for word in words if word != "-"]
