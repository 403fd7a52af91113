"""The decoder's side of a stream: audio embeddings to tokens, one a step or several verified in a pass."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import count, pairwise
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import mlx.core as mx

from ...backends.select import device_type
from ..passes import LEAST, PLAIN, Chain
from ..result import Passes
from .drafts import Drafts

if TYPE_CHECKING:
    from ...caches import KVCache
    from .decoder import Decoder
    from .model import VoxtralRealtime

# A token and its position, from the start of the stream.
Told = tuple[int, int]


def heard(
    decoder: Decoder,
    ids: mx.array,
    audio: mx.array,
    scales: Sequence[mx.array],
    caches: Sequence[Any],
    *,
    at_once: bool = False,
) -> mx.array:
    """Hidden states of positions: ids ``[B, L]``, audio embeddings ``[B, L, D]``; ``at_once`` as for `Stack`."""
    return decoder(decoder.embed(ids) + audio, scales, caches, at_once=at_once)


def likeliest(decoder: Decoder, hidden: mx.array) -> mx.array:
    """The likeliest token behind each position, ``[B, L]``."""
    return decoder.likeliest(hidden)


class Decoding:
    """State of the decoder in one stream.

    Args:
        model: The model.
        prompt: Ids that are given.
        delay: Tokens that the text runs behind the audio.
        offset: Absolute position of the first token.
        cache_bits: Of the keys and values held.
        drafts: What proposes tokens; None: nothing does.
        always: Drafts are verified wherever there is audio for them; False: where the tokens stay the same bit for bit.
        caches: The decoder's, empty, at ``offset``; None: new ones.
    """

    def __init__(
        self,
        model: VoxtralRealtime,
        prompt: list[int],
        delay: int,
        *,
        offset: int,
        cache_bits: int,
        drafts: Drafts | None,
        always: bool,
        caches: list[KVCache] | None = None,
    ) -> None:
        decoder = model.decoder
        self._model, self._prompt, self._bits, self.delay = model, prompt, cache_bits, delay
        self.scales = decoder.scales(delay, model.time_dtype)
        self.caches = decoder.new_caches(offset, bits=cache_bits, lazy=True) if caches is None else caches
        self.passes, self.position = Passes(), 0
        self.last = mx.array([[0]])  # newest token [1, 1], perhaps not computed yet
        self._drafts, self._always = drafts, always

    def decode(self, audio: mx.array) -> Iterator[Told]:
        """Every token that ``audio [1, n, D]`` allows; a token is read while the next one is computed, or verified."""
        given = self._prompt[self.position : self.position + audio.shape[1]]
        if given:
            self._step(mx.array([given]), audio[:, : len(given)])
            if self.position < len(self._prompt):
                return  # every token up to here was given
        at, end, waits = len(given), audio.shape[1], bool(given)
        drafts = self._drafting() if end - at > 1 else None
        while at < end:
            steps = end - at if drafts is None else drafts.plain(end - at)
            if drafts is None or steps:
                yield from self._plain(audio[:, at : at + steps], waits)
                at, waits = at + steps, True
                continue
            if waits:
                yield self._read(self.last)
            begun = self.position
            with closing(self._verified(drafts, audio[:, at:])) as passes:
                yield from passes
            at, waits = at + self.position - begun, False
        if waits:
            yield self._read(self.last)

    def known(self, most: int) -> list[int]:
        """Ids of the next positions as far as they are known: of the prompt up to ``most``, behind it the newest token.

        For steps that are made elsewhere, see `advance`.
        """
        return self._prompt[self.position : self.position + most] or [int(cast(int, self.last.item()))]

    def advance(self, positions: int, said: int | None) -> Told | None:
        """Take over a step that was made elsewhere.

        Args:
            positions: Ids of `known` that were heard.
            said: The likeliest token behind the last of them; None: inside the prompt, where it does not count.
        """
        self._pass(positions)
        if said is None:
            return None
        self.last = mx.array([[said]])
        return self._told(self.position - 1, said)

    def counts(self, positions: int) -> bool:
        """Whether the token behind so many further positions is one of the stream's."""
        return self.position + positions >= len(self._prompt)

    def _drafting(self) -> Drafts | None:
        """What proposes tokens here and now."""
        model = self._model
        exact = self._bits == 16 and model.decoder.rows_alone(model.dtype, scale=self.scales[0].dtype)
        if self._drafts is None or not (self._always or exact):
            return None
        self._drafts.costs = model.costs.here()
        return self._drafts

    def _plain(self, audio: mx.array, waits: bool) -> Iterator[Told]:
        """A step for each position; the last one's token waits. ``waits``: so does the one before them."""
        n = audio.shape[1]
        times = [perf_counter()]
        for i in range(n):
            last = self.last
            self._step(last, audio[:, i : i + 1])
            if waits or i:
                yield self._read(last, 2)
            times.append(perf_counter())
        if n >= LEAST and self._drafts is not None:
            # One that was disturbed, or the first, which nothing was computed beside, does not count.
            self._drafts.costs.note(PLAIN, median(b - a for a, b in pairwise(times)))

    def _verified(self, drafts: Drafts, audio: mx.array) -> Generator[Told, None, None]:
        """What passes say, until plain steps are due; it is told while the pass behind it runs."""
        at, end = 0, audio.shape[1]
        mx.eval(audio)  # passes are timed
        # What runs on a CPU begins while the rest is made; a GPU takes all of a pass together.
        on_cpu = device_type(None) == mx.cpu

        def run(ids: mx.array, at: int, alone: bool) -> tuple[mx.array, mx.array]:
            return self._proposed(ids, audio[:, at : at + ids.shape[1]], drafts, at_once=alone and on_cpu)

        chain = Chain(run, self.caches)
        made: list[Told] = []
        try:
            while at < end and not drafts.plain(end - at):
                begun = perf_counter()
                draft, timed = drafts.next(end - at)
                chain.begin(int(cast(int, self.last.item())), draft, at)
                chained = False
                while chain:
                    yield from _emptied(made)
                    following = None if timed else drafts.behind(draft, end - at - len(draft) - 1)
                    if following is not None:
                        chain.follow(following)
                    said, behind = chain.read()
                    drafts.hear(draft, said, *behind, timed=timed, chained=chained)
                    made += zip(said, count(self.position), strict=False)
                    for token in said:
                        drafts.push(token)
                    self.last = mx.array([[said[-1]]])
                    self._pass(len(said), len(draft), len(said) - 1, len(said))
                    if timed:
                        drafts.costs.note(len(draft) + 1, perf_counter() - begun)
                    at, draft, chained = at + len(said), following or [], True
        except GeneratorExit:
            raise
        except BaseException:
            chain.end()
            yield from _emptied(made)  # what was read is told, whatever ended the pass behind it
            raise
        finally:
            chain.end()
        yield from _emptied(made)

    def _proposed(self, ids: mx.array, audio: mx.array, drafts: Drafts, *, at_once: bool) -> tuple[mx.array, mx.array]:
        """The likeliest token behind each, and the likeliest text, ``[1, n]`` each."""
        hidden = heard(self._model.decoder, ids, audio, self.scales, self.caches, at_once=at_once)
        return self._model.decoder.likeliest_and_text(hidden, drafts.n_special)

    def _step(self, ids: mx.array, audio: mx.array) -> None:
        """Advance by ``ids [1, n]``; the token that follows the last of them becomes ``last``."""
        self.last = self._said(ids, audio, 1)
        mx.async_eval(self.last)
        self._pass(ids.shape[1])

    def _said(self, ids: mx.array, audio: mx.array, last: int = 0) -> mx.array:
        """The likeliest token behind each, or behind the last ones, ``[1, n]``."""
        decoder = self._model.decoder
        return likeliest(decoder, heard(decoder, ids, audio, self.scales, self.caches)[:, -last:])

    def _pass(self, positions: int, drafted: int = 0, accepted: int = 0, told: int = 0) -> None:
        made, tokens, of_drafts, right = self.passes
        self.passes = Passes(made + 1, tokens + told, of_drafts + drafted, right + accepted)
        self.position += positions

    def _read(self, token: mx.array, back: int = 1) -> Told:
        """The newest token, or the one before it, once it is computed."""
        return self._told(self.position - back, int(cast(int, token.item())))

    def _told(self, position: int, token: int) -> Told:
        made, tokens, drafted, accepted = self.passes
        self.passes = Passes(made, tokens + 1, drafted, accepted)
        if self._drafts is not None:
            self._drafts.push(token)
        return token, position


def _emptied(told: list[Told]) -> Iterator[Told]:
    """What it holds, which it does no longer."""
    while told:
        yield told.pop(0)
