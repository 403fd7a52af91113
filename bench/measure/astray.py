"""What the tiny model says behind wrong tokens: for decoders and clocks that are made to say its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import mlx.core as mx

from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.models.passes import MOST
from voxtral_kernels.models.voxtral_realtime.decoding import Decoding, Told, heard

from .scripted import Astray


class Said(NamedTuple):
    """Of one recording, by position of its tokens.

    Attributes:
        tokens: What the model says.
        astray: What it says there behind a pad that should have been something else.
    """

    tokens: list[int]
    astray: list[Astray]


def said(model: Any, path: Path) -> Said:
    """Both of a recording, at 480 ms; the second by passes of pads, each behind what is right."""
    tokens, audio, begins = _plain(model, path)
    decoder, pad, n_special = model.decoder, model.tokenizer.pad_id, model.tokenizer.n_special
    prompt = model.tokenizer.realtime_prompt(480)
    scales, caches = decoder.scales(model.tokenizer.delay_tokens(480), model.time_dtype), decoder.new_caches(lazy=True)
    mx.eval(heard(decoder, mx.array([prompt]), audio[:, :begins], scales, caches))
    found = [Astray(token, token) for token in tokens]
    at = 0  # tokens that are right
    while at < len(tokens) - 1:
        ids = [tokens[at], *[pad] * min(MOST - 1, len(tokens) - at - 2)]
        for cache in caches:
            cache.hold()
        start = begins + at
        hidden = heard(decoder, mx.array([ids]), audio[:, start : start + len(ids)], scales, caches)
        likeliest, text = (a.tolist()[0] for a in decoder.likeliest_and_text(hidden, n_special))
        right = 0
        while right < len(ids) - 1 and likeliest[right] == pad:
            right += 1
        for i in range(right + 1, len(ids)):
            found[at + 1 + i] = Astray(likeliest[i], n_special + text[i])
        for cache in caches:
            cache.rollback(len(ids) - 1 - right)
            cache.accept()
        at += right + 1
    return Said(tokens, found)


def _plain(model: Any, path: Path) -> tuple[list[int], mx.array, int]:
    """Tokens of plain decoding, the audio embeddings that it heard, and the positions of the prompt."""
    parts, decode = list[mx.array](), Decoding.decode

    def heard_too(self: Decoding, audio: mx.array) -> Iterator[Told]:
        parts.append(audio)
        return decode(self, audio)

    with mock.patch.object(Decoding, "decode", heard_too):
        tokens = model.transcribe(load_audio(path), drafts=False).tokens
    audio = mx.concatenate(parts, axis=1)
    return tokens, audio, audio.shape[1] - len(tokens) + 1
