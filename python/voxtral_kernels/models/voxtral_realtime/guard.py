"""The blank guard: says where a model was silent over what sounds like speech. It changes nothing of the transcript.

A tiny numeric change can tip a realtime model into minutes of [STREAMING_PAD] over speech (vllm#47614). Pauses, noise
and music are blank for good reasons. So a blank run counts where, for several seconds, the audio is well above the
stream's own floor, goes up and down as syllables do, and crosses zero now seldom and now often, as vowels and
consonants do: noise is steady, and tones cross zero evenly.
"""

from __future__ import annotations

import numpy as np

# Samples of a piece whose level is taken, and pieces of a token.
PIECE, PER_TOKEN = 320, 4
# Tokens of a window that is judged and between two judgements; windows like speech in a run from which on it is told,
# and their share of those since the first.
WINDOW, EVERY, LEAST, MOSTLY = 50, 10, 8, 0.6
# Pieces that make the floor: a minute and a half.
_HELD = 4500
# Speech is so much above the floor, in dB, and no quieter than this.
_ABOVE, _QUIETEST = 12.0, -60.0
# The share of a window that is speech, how often it comes and goes, and how unevenly it crosses zero.
_SHARE, _TURNS, _UNEVEN = 0.3, 2, 0.6
# What is below this is silence to the ear and to the floor.
_SILENCE = -90.0

Span = tuple[float, float]


class Guard:
    """Of one stream.

    Args:
        pad: Id of [STREAMING_PAD].
        token_s: Seconds of a token.
    """

    def __init__(self, pad: int, token_s: float) -> None:
        self._pad, self._token_s = pad, token_s
        self._rest = np.zeros(0, np.float32)
        self._first = 0  # piece that the held levels begin with
        self._levels = np.zeros(0, np.float32)
        self._crossings = np.zeros(0, np.float32)
        self._run = 0  # pads up to now
        self._begin, self._marks = 0, 0  # of this run: the first token that sounds like speech, windows that do
        self._told = False
        self._since: float | None = None
        self.suspicious: list[Span] = []

    @property
    def blank_since_s(self) -> float | None:
        """Where a blank that is not over yet may turn out to begin; None: there is none."""
        return self._since

    def hear(self, samples: np.ndarray) -> None:
        """Samples at 16 kHz, before their tokens come."""
        samples = np.concatenate([self._rest, samples])
        n = len(samples) // PIECE
        self._rest = samples[n * PIECE :]
        if n == 0:
            return
        pieces = samples[: n * PIECE].reshape(n, PIECE).astype(np.float32)
        power = np.mean((pieces - pieces.mean(axis=1, keepdims=True)) ** 2, axis=1)
        crossings = np.mean(np.diff(np.signbit(pieces), axis=1), axis=1)
        self._levels = np.append(self._levels, 10 * np.log10(power + 10 ** (_SILENCE / 10)))
        self._crossings = np.append(self._crossings, crossings)
        if len(self._levels) > 2 * _HELD:
            drop = len(self._levels) - _HELD
            self._levels, self._crossings = self._levels[drop:], self._crossings[drop:]
            self._first += drop

    def push(self, frame: int, token: int) -> None:
        """The token of a frame, counted from the start of the audio."""
        if token != self._pad:
            self._run, self._marks, self._told, self._since = 0, 0, False, None
            return
        if self._since is None:
            self._since = frame * self._token_s
        self._run += 1
        if self._run >= WINDOW and self._run % EVERY == 0 and self._is_speech(frame + 1 - WINDOW, frame + 1):
            self._begin = self._begin if self._marks else frame + 1 - WINDOW
            self._marks += 1
            windows = (frame + 1 - WINDOW - self._begin) // EVERY + 1
            if self._marks >= max(LEAST, MOSTLY * windows):
                self._tell(self._begin, frame + 1)

    def _tell(self, begin: int, end: int) -> None:
        if self._told:
            self.suspicious.pop()
        self._told = True
        self.suspicious.append((begin * self._token_s, end * self._token_s))

    def _is_speech(self, begin: int, end: int) -> bool:
        """Whether these tokens' audio sounds like it."""
        start, stop = (max(0, n * PER_TOKEN - self._first) for n in (begin, end))
        levels, crossings = self._levels[start:stop], self._crossings[start:stop]
        if len(levels) < WINDOW * PER_TOKEN // 2:
            return False
        floor = float(np.percentile(self._levels[max(0, stop - _HELD) : stop], 10))
        loud = levels > max(floor + _ABOVE, _QUIETEST)
        turns = int(np.count_nonzero(np.diff(loud.astype(np.int8)) > 0))
        if loud.mean() < _SHARE or turns < _TURNS:
            return False
        heard = crossings[loud]
        return bool(heard.std() > _UNEVEN * heard.mean())
