"""Llama decoder: token embeddings, some of them replaced by audio embeddings, to logits."""

from __future__ import annotations

import mlx.core as mx

from ... import _check
from ..block import Block
from ..layers import Matrix, head
from ..stack import Stack
from .config import DecoderConfig


class Decoder(Stack):
    """``head(norm(blocks(x)))``.

    Args:
        config: Sizes.
        embedding: Token embeddings ``[vocab_size, D]``.
        blocks: The layers.
        norm: Gain of the final norm ``[D]``.
        head: ``[vocab_size, D]``; None where the embedding is the head too.
    """

    def __init__(
        self, config: DecoderConfig, embedding: Matrix, blocks: list[Block], norm: mx.array, head: Matrix | None = None
    ) -> None:
        super().__init__(config, blocks, norm)
        self.embedding, self.head = embedding, head

    def embed(self, ids: mx.array) -> mx.array:
        """Token embeddings: ids ``[B, L]`` to ``[B, L, D]``."""
        return self.embedding.take(ids)

    def merge(self, ids: list[int], audio: mx.array, audio_token: int) -> mx.array:
        """The prompt's embeddings, the placeholders' replaced by the audio's in their order.

        Args:
            ids: The prompt, L ids.
            audio: ``[N, D]``.
            audio_token: The placeholder's id.

        Returns:
            ``[1, L, D]``.

        Raises:
            ValueError: the prompt has not N placeholders.
        """
        places = [i for i, token in enumerate(ids) if token == audio_token]
        if len(places) != audio.shape[0]:
            expected = f"{audio.shape[0]} placeholders (id {audio_token}), one for each audio embedding"
            raise _check.fail("merge", "ids", expected, len(places))
        x = self.embed(mx.array([ids]))
        if places:
            x[0, mx.array(places)] = audio.astype(x.dtype)
        return x

    def logits(self, hidden: mx.array) -> mx.array:
        """The head: ``[B, L, D]`` to ``[B, L, vocab_size]``."""
        return head(self.embedding if self.head is None else self.head, hidden)

    def likeliest(self, hidden: mx.array) -> mx.array:
        """The id of the greatest logit: ``[B, L, D]`` to ``[B, L]``."""
        matrix = self.embedding if self.head is None else self.head
        return matrix.likeliest(hidden, self.logits)
