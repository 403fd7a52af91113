"""What Apple's compiler would refuse, as findings: read back from the lines of an error's text."""

from __future__ import annotations

import re
from collections.abc import Callable

from .findings import Finding, Place

KINDS = {
    "refused": "what Apple's compiler refuses, by a rule of the dialect check",
    "contained": "what reaches out of the language, and is refused",
    "compile-error": "what the compiler refuses",
}
_LINE = re.compile(r"(?P<path>.+?):(?P<line>\d+):(?:(?P<column>\d+):)? (?P<text>.*)", re.DOTALL)
_WORD = re.compile(r"'([^'\n]+)': ")
_RULE = re.compile(r"\[(?P<rule>[\w-]+)(?:, MSL [^\]]*)?\]$")


def refusals(message: str, source_line: Callable[[str, int], str] = lambda path, line: "") -> list[Finding]:
    """A finding for each line of a compilation's error; lines without a place belong to the one before them.

    ``source_line`` gives the user's line, in which the word that is refused has its column.
    """
    found: list[Finding] = []
    for line in message.splitlines():
        told = _LINE.fullmatch(line)
        if told is None or told["text"].startswith("note: "):
            if found:
                last = found.pop()
                found.append(Finding(last.kind, f"{last.message}\n    {line}", last.place, kernel=last.kernel))
            else:
                found.append(Finding("compile-error", line))
            continue
        source = source_line(told["path"], int(told["line"]))
        word = _WORD.match(told["text"])
        column = int(told["column"] or 0) or (source.find(word[1]) + 1 if word else 0)
        place = Place(told["path"], int(told["line"]), source.strip(), column)
        found.append(_refusal(told["text"], place))
    return found


def _refusal(text: str, place: Place) -> Finding:
    rule = _RULE.search(text)
    if text.startswith("error: ") or rule is None:
        return Finding("compile-error", text.removeprefix("error: "), place)
    return Finding("contained" if rule["rule"] == "contained" else "refused", text, place)
