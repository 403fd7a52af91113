"""A tokenizer for Metal Shading Language, for the translator and the dialect check.

    tokens = tokenize(text, "kernel.metal")
    tokens[0].text, tokens[0].path, tokens[0].line      # every token knows the user's file and line
    partner = brackets(tokens)                          # partner[i]: index of the bracket that matches token i
    to_text(tokens)                                     # back to text; ``#line`` keeps the user's numbering

What to know before using it:

* Comments and white space are dropped; ``Token.space`` says whether any stood before the token.
* ``[[`` and ``]]``, ``>>`` and ``>>=`` come as single characters, so that attributes, nested subscripts and nested
  template lists need no special case. ``space`` tells ``a >> b`` from ``> >``; ``to_text`` glues them again.
* A preprocessor directive is one token of kind ``directive``, continuation lines included; ``directive()`` takes it
  apart, ``Directive.token()`` puts it together. ``#line 7 "x"`` and ``# 7 "x"`` are obeyed and leave no token.
* A new token is made from an old one with ``Token.like``, so that it inherits the line that errors should name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

IDENTIFIER = "identifier"  # keywords too
NUMBER = "number"
STRING = "string"  # raw strings too
CHAR = "char"
PUNCTUATOR = "punctuator"
DIRECTIVE = "directive"
OPENING = {"(": ")", "[": "]", "{": "}"}
CLOSING = {close: open_ for open_, close in OPENING.items()}


class TokenError(ValueError):
    """Text that is not C++ even before parsing: an open comment or string, an unbalanced bracket, a stray character."""

    def __init__(self, path: str, line: int, message: str):
        super().__init__(f"{path}:{line}: {message}")
        self.path, self.line, self.message = path, line, message


class Token(NamedTuple):
    """One token. ``line`` is where it starts, 1-based, in the file ``path`` (both as ``#line`` says)."""

    kind: str
    text: str
    path: str
    line: int
    space: bool = True  # white space, a comment or a line end stood before it

    def like(self, text: str, kind: str = IDENTIFIER, space: bool = True) -> Token:
        """A new token at this token's place."""
        return Token(kind, text, self.path, self.line, space)


_SPLICE = r"\\[ \t]*\r?\n"
_PATTERN = re.compile(
    rf"""
      (?P<newline>\r?\n)
    | (?P<blank>(?:[ \t\f\v]|{_SPLICE})+)
    | (?P<comment>//(?:{_SPLICE}|[^\n])*|/\*[\s\S]*?\*/)
    | (?P<raw>(?:u8|[uUL])?R"(?P<fence>[^()\\\s]{{0,16}})\([\s\S]*?\)(?P=fence)")
    | (?P<string>(?:u8|[uUL])?"(?:\\[\s\S]|[^"\\\n])*")
    | (?P<char>(?:u8|[uUL])?'(?:\\[\s\S]|[^'\\\n])+')
    | (?P<number>\.?\d(?:[eEpP][+-]|'\w|[\w.])*)
    | (?P<identifier>[^\W\d]\w*)
    | (?P<punctuator>\.\.\.|->\*|<<=|::|->|\.\*|\+\+|--|<<|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\#\#
                    |(?!/\*)[-+*/%&|^~!=<>?:;,.()\[\]{{}}\#@])
    """,
    re.VERBOSE,
)
# A directive runs to the end of its last continued line; comments in it may span lines, strings may hold "//". An open
# quote takes the rest of its line, as clang has it: its end is not sought from each further quote.
_QUOTED = rf"""(?:"(?:{_SPLICE}|\\.|[^"\\\n])*+"?+|'(?:{_SPLICE}|\\.|[^'\\\n])*+'?+)"""
_DIRECTIVE = re.compile(rf"""\#(?:{_SPLICE}|/\*[\s\S]*?\*/|//[^\n]*|{_QUOTED}|[^\n])*+""")
_DIRECTIVE_COMMENT = re.compile(rf"""({_QUOTED})|/\*[\s\S]*?\*/|//[^\n]*""")
_LINE = re.compile(r'#[ \t]*(?:line[ \t]+)?(\d+)(?:[ \t]+"((?:\\.|[^"\\])*)")?')


def tokenize(text: str, path: str = "<source>", line: int = 1) -> list[Token]:
    """The tokens of ``text``, a file called ``path`` whose first line has number ``line``.

    Raises:
        TokenError: an open comment or string, or a character that C++ does not have.
    """
    tokens: list[Token] = []
    append, match = tokens.append, _PATTERN.match
    position, end, space, line_start = 0, len(text), True, True
    while position < end:
        if line_start and text[position] == "#":
            found = _DIRECTIVE.match(text, position)
            assert found is not None
            raw, position = found.group(), found.end()
            marker = _LINE.match(raw)
            if marker:
                line = int(marker[1]) - 1  # the newline that follows steps onto it
                path = re.sub(r"\\(.)", r"\1", marker[2]) if marker[2] is not None else path
            else:
                append(Token(DIRECTIVE, _without_comments(raw), path, line, True))
                line += raw.count("\n")
            continue
        found = match(text, position)
        if found is None:
            what = "comment is never closed" if text[position] == "/" else "character is not one of MSL's"
            what = "quote is never closed on its line" if text[position] in "\"'" else what
            raise TokenError(path, line, f"{text[position]!r}: this {what}")
        kind, piece = found.lastgroup or "", found.group()
        position = found.end()
        if kind == "newline":
            line, space, line_start = line + 1, True, True
        elif kind in ("blank", "comment"):
            line, space = line + piece.count("\n"), True
        else:
            append(Token(STRING if kind == "raw" else kind, piece, path, line, space))
            space = line_start = False
            line += piece.count("\n")
    return tokens


def _without_comments(raw: str) -> str:
    """A directive's text; each comment becomes a blank, one that spans lines becomes continuations."""

    def blank(found: re.Match[str]) -> str:
        return found[1] or " " + "\\\n" * found[0].count("\n")

    return _DIRECTIVE_COMMENT.sub(blank, raw).replace("\r", "").rstrip(" \t")


class Directive(NamedTuple):
    """A directive taken apart: ``#define f(x) x`` has name ``define`` and tokens ``f ( x ) x``, each with its line."""

    name: str
    tokens: list[Token]
    at: Token

    def token(self, tokens: Sequence[Token]) -> Token:
        """The directive again, with other tokens; they keep their lines through continuations."""
        text, line = f"#{self.name}", self.at.line
        for i, token in enumerate(tokens):
            if token.line > line:
                text += " \\\n" * (token.line - line)
                line = token.line
            elif token.space or i == 0:
                text += " "
            text += token.text
        return self.at._replace(text=text)


def directive(token: Token) -> Directive:
    """Takes a directive token apart. An ``#include <x>`` path comes as its tokens; ``include_path`` reads it whole."""
    found = re.match(r"#[ \t]*(\w*)", token.text)
    assert found is not None, "not a directive"
    rest = token.text[found.end() :]
    if found[1] in ("error", "warning", "pragma", "include"):  # free text: apostrophes need not pair
        words = re.finditer(r"\S+", rest)
        return Directive(found[1], [token.like(w.group()) for w in words], token)
    return Directive(found[1], tokenize(rest, token.path, token.line), token)


def include_path(token: Token) -> tuple[str, bool] | None:
    """``("metal_stdlib", True)`` for ``#include <metal_stdlib>`` (True: angle brackets); None for another token."""
    if token.kind != DIRECTIVE:
        return None
    found = re.match(r'#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', token.text)
    return (found[1] or found[2], found[1] is not None) if found else None


def brackets(tokens: Sequence[Token]) -> list[int]:
    """For each token the index of its partner among ``( [ {`` and ``) ] }``, -1 for all other tokens.

    Raises:
        TokenError: a bracket without a partner, at that bracket.
    """
    partner, open_ = [-1] * len(tokens), []
    for i, token in enumerate(tokens):
        if token.kind != PUNCTUATOR:
            continue
        if token.text in OPENING:
            open_.append(i)
        elif token.text in CLOSING:
            if not open_ or tokens[open_[-1]].text != CLOSING[token.text]:
                raise TokenError(token.path, token.line, f"'{token.text}' closes nothing")
            partner[i] = open_.pop()
            partner[partner[i]] = i
    if open_:
        token = tokens[open_[-1]]
        raise TokenError(token.path, token.line, f"'{token.text}' is never closed")
    return partner


def closing(tokens: Sequence[Token], start: int) -> int:
    """Index of the bracket that closes the ``(``, ``[`` or ``{`` at ``start``; TokenError if none does."""
    depth = 0
    for i in range(start, len(tokens)):
        if tokens[i].kind == PUNCTUATOR:
            depth += (tokens[i].text in OPENING) - (tokens[i].text in CLOSING)
        if depth == 0:
            return i
    raise TokenError(tokens[start].path, tokens[start].line, f"'{tokens[start].text}' is never closed")


def closing_angle(tokens: Sequence[Token], start: int) -> int | None:
    """Index of the ``>`` that ends the template list opened by the ``<`` at ``start``; None where it is a comparison.

    Purely by shape: a list holds no ``;``, no brace block, no ``&&`` or ``||``, and its brackets balance.
    """
    depth, i = 0, start
    while i < len(tokens):
        token = tokens[i]
        if token.kind == PUNCTUATOR:
            if token.text in OPENING:
                if token.text == "{":
                    return None
                i = closing(tokens, i)
            elif token.text == "<":
                depth += 1
            elif token.text == ">":
                depth -= 1
                if depth == 0:
                    return i
            elif token.text in (";", "}", ")", "]", "&&", "||"):
                return None
        elif token.kind == DIRECTIVE:
            return None
        i += 1
    return None


def split_commas(tokens: Sequence[Token]) -> list[list[Token]]:
    """Splits at the commas that stand in no bracket and no template list; nothing in, nothing out."""
    parts, i = [list[Token]()], 0
    while i < len(tokens):
        token, stop = tokens[i], i
        if token.kind == PUNCTUATOR:
            if token.text in OPENING:
                stop = closing(tokens, i)
            elif token.text == "<" and i and tokens[i - 1].kind == IDENTIFIER:
                stop = closing_angle(tokens, i) or i
        if token.text == "," and token.kind == PUNCTUATOR:
            parts.append([])
        else:
            parts[-1].extend(tokens[i : stop + 1])
        i = stop + 1
    return parts if len(parts) > 1 or parts[0] else []


_LITERAL = re.compile(
    r"(0[xX][0-9a-fA-F]*+(?:\.[0-9a-fA-F]*+)?+(?:[pP][+-]?\d++)?+|0[bB][01]++|\d*+(?:\.\d*+)?+(?:[eE][+-]?\d++)?+)(\w*+)$"
)


def literal(text: str) -> tuple[str, str, bool] | None:
    """Digits, suffix (MSL's ``h`` and ``bf`` too) and whether it is floating-point: ``1.5h`` is ("1.5", "h", True)."""
    found = _LITERAL.match(text.replace("'", ""))
    marks = r"[.pP]" if found and found[1][:2] in ("0x", "0X") else r"[.eE]"
    return (found[1], found[2], bool(re.search(marks, found[1]))) if found else None


_MAX_BLANK_LINES = 8


def to_text(tokens: Iterable[Token]) -> str:
    """Text with every token on its own line number: line breaks where they suffice, ``#line`` where they do not."""
    out: list[str] = []
    path, line, fresh = None, 1, True  # fresh: at the start of an output line
    previous: Token | None = None
    for token in tokens:
        ahead = token.line - line
        needs_line = token.kind == DIRECTIVE and not fresh and not ahead
        if token.path != path or not 0 <= ahead <= _MAX_BLANK_LINES or needs_line:
            quoted = token.path.replace("\\", "\\\\").replace('"', '\\"')
            out.append(f'{"" if fresh else chr(10)}#line {token.line} "{quoted}"\n')
            path, line, fresh = token.path, token.line, True
        elif ahead:
            out.append("\n" * ahead)
            line, fresh = token.line, True
        if not fresh and previous is not None and (token.space or _would_join(previous, token)):
            out.append(" ")
        out.append(token.text)
        line += token.text.count("\n")
        fresh = token.kind == DIRECTIVE
        if fresh:
            out.append("\n")
            line += 1
        previous = token
    return "".join(out) + ("" if fresh else "\n")


def _would_join(left: Token, right: Token) -> bool:
    """Whether the two, written without a blank, would read as something else."""
    if left.kind == PUNCTUATOR and right.kind == PUNCTUATOR:
        if left.text == right.text and left.text in "[]>":  # split here, so safe to join here
            return False
        found = _PATTERN.match(left.text + right.text)
        return found is None or found.group() != left.text
    words = (IDENTIFIER, NUMBER)
    if left.text == ".":
        return right.kind == NUMBER
    return left.kind in words and right.kind in (*words, STRING, CHAR)
