"""Rows of several streams in one pass over the weights: audio to embeddings, and embeddings to the likeliest tokens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import mlx.core as mx
import numpy as np

from ...caches import CacheRows
from ...reference.skinny_linear import MAX_ROWS
from .audio_state import AudioState
from .decoding import Decoding, heard, likeliest

if TYPE_CHECKING:
    from .model import VoxtralRealtime

# Combinations of delays whose scales are held side by side.
_KEPT = 16


class Piece(NamedTuple):
    """Audio of one stream: mel frames ``[F, n_mels]`` of whole tokens, and where its audio side stands."""

    mel: np.ndarray
    state: AudioState


class Turn(NamedTuple):
    """Positions of one stream: ids that are known, their audio embeddings ``[1, n, D]``, where its decoder stands."""

    ids: list[int]
    audio: mx.array
    decoding: Decoding


_T = TypeVar("_T", Piece, Turn)


class Rows:
    """The passes of a model over rows of several streams; a stream's results do not depend on the others.

    Args:
        model: The model.
    """

    def __init__(self, model: VoxtralRealtime) -> None:
        self._model = model
        self._scales: OrderedDict[tuple[int, ...], list[mx.array]] = OrderedDict()

    def embed(self, pieces: Sequence[Piece]) -> list[mx.array]:
        """Audio embeddings of each, ``[1, n, D]``, not computed yet."""
        model, c = self._model, self._model.config
        counts = [len(p.mel) // c.mel_per_token * c.downsample for p in pieces]
        shares = model.encoder.rows_alone(model.dtype)
        found = []
        for group in _grouped(pieces, counts, MAX_ROWS if shares else 0):
            if len(group) == 1 and (not shares or len(group[0].mel) > MAX_ROWS * c.mel_per_token // c.downsample):
                found.append(model.embed_audio(mx.array(group[0].mel)[None], group[0].state))
                continue
            frames = [self._frames(list(alike)) for _, alike in groupby(group, key=lambda piece: len(piece.mel))]
            counts = [len(piece.mel) // c.mel_per_token * c.downsample for piece in group]
            x = frames[0] if len(frames) == 1 else mx.concatenate(frames)
            x = model.encoder(x, _side_by_side([p.state.caches for p in group], counts))
            audio = model.adapter(x.swapaxes(0, 1))
            found += _split(audio, [n // c.downsample for n in counts], axis=1)
        return found

    def _frames(self, pieces: list[Piece]) -> mx.array:
        """What the encoder takes of pieces of one length, ``[rows, 1, D]``, one stream after the other."""
        model = self._model
        mel = mx.array(np.stack([piece.mel for piece in pieces])).astype(model.dtype)
        x, states = model.stem.together(mel, [piece.state.stem for piece in pieces])
        for piece, state in zip(pieces, states, strict=True):
            piece.state.stem = state
        return x.reshape(-1, 1, x.shape[-1])

    def said(self, turns: Sequence[Turn]) -> list[int | None]:
        """The likeliest token behind the last position of each; None where the prompt goes on there."""
        decoder, chosen = self._model.decoder, list[mx.array]()
        counts = [len(turn.ids) for turn in turns]
        wanted = [turn.decoding.counts(len(turn.ids)) for turn in turns]
        waiting = list[mx.array]()
        shares = bool(turns) and decoder.rows_alone(self._model.dtype, scale=turns[0].decoding.scales[0].dtype)
        for group in _grouped(turns, counts, MAX_ROWS if shares else 0):
            if len(group) == 1 and (not shares or len(group[0].ids) > MAX_ROWS):
                ids, audio, decoding = group[0]
                hidden = heard(decoder, mx.array([ids]), audio, decoding.scales, decoding.caches).swapaxes(0, 1)
            else:
                hidden = self._heard(group)
            ends = np.cumsum([len(turn.ids) for turn in group]) - 1
            rows = [int(end) for end, turn in zip(ends, group, strict=True) if turn.decoding.counts(len(turn.ids))]
            if len(rows) < hidden.shape[0]:
                waiting.append(hidden)
                hidden = hidden[mx.array(rows)] if rows else hidden[:0]
            if rows:
                chosen.append(likeliest(decoder, hidden).reshape(-1))
        mx.eval(waiting, chosen)
        tokens = iter([token for array in chosen for token in np.array(array)])
        return [int(next(tokens)) if wants else None for wants in wanted]

    def _heard(self, group: Sequence[Turn]) -> Any:
        """Hidden states of all positions, ``[rows, 1, D]``."""
        counts = [len(turn.ids) for turn in group]
        ids = mx.array([[token] for turn in group for token in turn.ids])
        audio = [turn.audio for turn in group]
        x = (audio[0] if len(audio) == 1 else mx.concatenate(audio, axis=1)).swapaxes(0, 1)
        caches = _side_by_side([turn.decoding.caches for turn in group], counts)
        return heard(self._model.decoder, ids, x, self._scales_of(group, counts), caches)

    def _scales_of(self, group: Sequence[Turn], counts: Sequence[int]) -> list[mx.array]:
        """Each layer's conditioning of every row, ``[rows, D]``."""
        key = tuple(turn.decoding.delay for turn, n in zip(group, counts, strict=True) for _ in range(n))
        found = self._scales.get(key)
        if found is None:
            rows = [turn.decoding.scales for turn, n in zip(group, counts, strict=True) for _ in range(n)]
            found = self._scales[key] = [mx.stack(list(layer)) for layer in zip(*rows, strict=True)]
            mx.eval(found)
            while len(self._scales) > _KEPT:
                self._scales.popitem(last=False)
        self._scales.move_to_end(key)
        return found


def _side_by_side(streams: Sequence[Sequence[Any]], counts: Sequence[int]) -> list[CacheRows]:
    """The caches of several streams, a layer at a time."""
    return [CacheRows(layer, counts) for layer in zip(*streams, strict=True)]


def _grouped(items: Sequence[_T], rows: Sequence[int], most: int) -> Iterator[list[_T]]:
    """Neighbours of ``most`` rows together; what has more by itself stands alone."""
    group: list[_T] = []
    have = 0
    for item, n in zip(items, rows, strict=True):
        if group and have + n > most:
            yield group
            group, have = [], 0
        group.append(item)
        have += n
    if group:
        yield group


def _split(x: mx.array, counts: Sequence[int], axis: int) -> list[mx.array]:
    if len(counts) == 1:
        return [x]
    return list(mx.split(x, [int(end) for end in np.cumsum(counts)[:-1]], axis=axis))
