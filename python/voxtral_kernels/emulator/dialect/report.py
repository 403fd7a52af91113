"""What the dialect check hands back."""

from __future__ import annotations

from dataclasses import dataclass

from ..frontend.tokens import Token

SPECIFICATION = "Metal Shading Language Specification, version 4 (2025-06-05)"
Version = tuple[int, int]
RULES: dict[str, Rule] = {}


@dataclass(frozen=True)
class Rule:
    """One thing that Apple's compiler refuses. ``section`` is where SPECIFICATION says so, or why it is not there."""

    name: str
    section: str
    text: str

    def at(self, token: Token, what: str = "") -> Violation:
        return self.at_place(token.path, token.line, what)

    def at_place(self, path: str, line: int, what: str = "") -> Violation:
        return Violation(self, path, line, what)


@dataclass(frozen=True)
class Violation:
    """A rule broken at a line of the user's text; ``what`` is the word or name concerned."""

    rule: Rule
    path: str
    line: int
    what: str = ""

    def __str__(self) -> str:
        what = f"'{self.what}': " if self.what else ""
        return f"{self.path}:{self.line}: {what}{self.rule.text} [{self.rule.name}, MSL {self.rule.section}]"


def rule(name: str, section: str, text: str) -> Rule:
    """Makes a rule, or hands back the one of that name."""
    return RULES.setdefault(name, Rule(name, section, text))
