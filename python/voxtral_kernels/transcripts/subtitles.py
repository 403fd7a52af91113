"""Subtitles: words gathered to cues, written as SubRip (srt) or WebVTT (vtt).

A word is written as its language writes it: no space between words that had none in the text, no cue that begins inside
one. Languages without spaces break between any two characters that line-breaking rules let apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# Two lines of 42 characters for at most 6 seconds: what subtitle guidelines agree on.
MAX_CHARACTERS = 84
MAX_SECONDS = 6.0
# A pause that starts a new cue.
MAX_PAUSE = 1.0
# Words that end in the same 80 ms have no length of their own; a cue must.
MIN_SECONDS = 0.04

# Scripts written without spaces: kana and ideographs, Thai, Lao, Burmese, Khmer, full-width forms.
_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u31f0-\u31ff"
    "\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{_SCRIPTS}]")
_WORD = re.compile(r"\S+")
# No cue begins with these (closing marks, small kana, marks above and below a letter), none ends with those.
_NOT_FIRST = re.compile(
    "[\\s!%),.:;?\\]}»’”…‥›。、〉》」』】〕〗〙〛・：；？！），．］｝～ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々ゝゞヽヾ]"
    "|[\u0e2f-\u0e3a\u0e45-\u0e4e\u0eb0-\u0ebc\u0ec6-\u0ecd\u102b-\u103e\u17b4-\u17d3\u3099-\u309c\ufe00-\ufe0f\u0300-\u036f]"
)
_NOT_LAST = re.compile("[(\\[{«‘“‹〈《「『【〔〖〘〚（［｛\u0e40-\u0e44\u0ec0-\u0ec4]")
# A sentence's end, with the quotation marks and brackets that may close behind it.
_SENTENCE_END = re.compile("[.?!…。！？｡．؟۔।॥։።]['\"’”»›)\\]」』）】》〉]*\\Z")
# What stands between the times of a cue.
_ARROW = re.compile("-{2,}>")


class Word(NamedTuple):
    """A word and its times; ``space``: white space stands before it in the text."""

    text: str
    start_s: float
    end_s: float
    space: bool = True


@dataclass
class Cue:
    """A line of subtitles."""

    text: str
    start_s: float
    end_s: float


def spaced(text: str, words: Sequence[tuple[str, float, float]]) -> list[Word]:
    """The words with the spaces that the text has between them; a space each where the text does not hold them."""
    found, at = [], 0
    for word, start, end in words:
        word = " ".join(word.split())
        if not word:
            continue
        here = _WORD.search(text, at)
        if here and text.startswith(word, here.start()):
            found.append(Word(word, start, end, here.start() > at))
            at = here.start() + len(word)
        else:
            found.append(Word(word, start, end))
    return found


def spread(pieces: Sequence[tuple[str, float, float]]) -> list[Word]:
    """The words of texts of which only the whole is timed: each has the share of the time that its characters are."""
    words: list[Word] = []
    for text, start_s, end_s in pieces:
        text = " ".join(text.split())
        per_character = (end_s - start_s) / max(1, len(text))
        for found in _WORD.finditer(text):
            start, end = (start_s + per_character * n for n in found.span())
            space = found.start() > 0 or not words or not _joined(words[-1].text, found[0])
            words.append(Word(found[0], start, end, space))
    return words


def cues(words: Sequence[Word]) -> Iterator[Cue]:
    """Words gathered to cues: in order, none empty, none overlapping, each longer than zero and at most `MAX_SECONDS`
    and `MAX_CHARACTERS`."""
    cue: Cue | None = None
    for word in _units(words):
        # Times rounded to the milliseconds that are printed, so that what holds here holds in the file.
        floor = cue.end_s if cue else 0.0
        end = max(round(word.end_s, 3), round(floor + MIN_SECONDS, 3))
        start = max(round(word.start_s, 3), floor, round(end - MAX_SECONDS, 3))
        end = max(end, round(start + MIN_SECONDS, 3))
        gap = " " if word.space else ""
        if cue is not None and not _breaks(cue, gap + word.text, start, end):
            cue = Cue(cue.text + gap + word.text, cue.start_s, end)
            continue
        if cue is not None:
            yield cue
        cue = Cue(word.text, start, end)
    if cue is not None:
        yield cue


def _units(words: Sequence[Word]) -> Iterator[Word]:
    """What a cue may begin with: words joined where the text has no space, cut where their script lets them apart."""
    unit: Word | None = None
    for word in words:
        for part in _parts(word):
            if unit is not None and not part.space and not _apart(unit.text, part.text):
                joined = Word(unit.text + part.text, unit.start_s, part.end_s, unit.space)
                if len(joined.text) <= MAX_CHARACTERS:
                    unit = joined
                    continue
            if unit is not None:
                yield unit
            unit = part
    if unit is not None:
        yield unit


def _parts(word: Word) -> Iterator[Word]:
    """A word in pieces that fit a cue: its characters if it is of a script without spaces, else as long as fits."""
    pieces: list[str] = []
    for character in word.text:
        last = pieces[-1] if pieces else ""
        if last and not _apart(last, character) and len(last) < MAX_CHARACTERS:
            pieces[-1] += character
        else:
            pieces.append(character)
    at, total = 0, len(word.text)
    for piece in pieces:
        start, end = (word.start_s + (word.end_s - word.start_s) * n / total for n in (at, at + len(piece)))
        yield Word(piece, start, end, word.space and at == 0)
        at += len(piece)


def _apart(before: str, after: str) -> bool:
    """Whether a cue may end between these two, which stand side by side without a space."""
    return _joined(before, after) and not _NOT_FIRST.match(after) and not _NOT_LAST.match(before[-1:])


def _joined(before: str, after: str) -> bool:
    """Whether the script of one of them takes no space between them."""
    return bool(_UNSPACED.match(before[-1:]) or _UNSPACED.match(after))


def join(before: str, after: str) -> str:
    """Two stretches of text as their language joins them."""
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return before + after
    return before + ("" if _joined(before, after) else " ") + after


def _breaks(cue: Cue, text: str, start: float, end: float) -> bool:
    """Whether a word, with the space before it, starts a new cue."""
    return (
        len(cue.text) + len(text) > MAX_CHARACTERS
        or end - cue.start_s > MAX_SECONDS
        or start - cue.end_s > MAX_PAUSE
        or bool(_SENTENCE_END.search(cue.text))
    )


def srt(lines: Sequence[Cue]) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    blocks = []
    for i, cue in enumerate(lines, start=1):
        text = _ARROW.sub("->", cue.text)  # SubRip has no way to escape it
        blocks.append(f"{i}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{text}\n")
    return "\n".join(blocks)


def vtt(lines: Sequence[Cue], note: str = "") -> str:
    """WebVTT: full stop before the milliseconds; ``&``, ``<`` and ``>`` escaped; ``note`` is a comment at the end."""
    blocks = ["WEBVTT\n"]
    for cue in lines:
        text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{text}\n")
    if note:
        blocks.append(f"NOTE {_ARROW.sub('->', note)}\n")
    return "\n".join(blocks)


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
