"""Where the streams of a batch keep their keys and values: those of a layer in one allocation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import mlx.core as mx
from mlx.utils import tree_flatten

from ... import _check
from ...backends.select import device_type
from ...caches import GROWTH, KVCache, SlotKVCache
from ...reference.ring import SCALE
from ..machines import SHARE_OF_MEMORY, WORKING_BYTES, Machine

if TYPE_CHECKING:
    from ..stack import Stack
    from .model import VoxtralRealtime


class Slots:
    """The caches of several streams of a model, made so that one call of attention takes rows of all of them.

    Only the thread that makes the steps may call it.

    Args:
        model: The model.
    """

    def __init__(self, model: VoxtralRealtime) -> None:
        self._stacks = model.encoder, model.decoder
        self._made = {bits: [stack.new_slots(bits) for stack in self._stacks] for bits in (16, 8)}
        self._dtype = model.dtype

    def take(self, bits: int) -> tuple[list[KVCache], list[KVCache]]:
        """New caches of the encoder and of the decoder, for a stream from its beginning."""
        return self._caches(0, bits), self._caches(1, bits)

    def _caches(self, side: int, bits: int) -> list[KVCache]:
        stack: Stack = self._stacks[side]
        slots = self._made[bits][side]
        # Where a row of a few is not what it is alone, streams share nothing.
        if not slots or not stack.rows_alone(self._dtype, scale=self._dtype if side else None):
            return stack.new_caches(bits=bits, lazy=True)
        return [layer.take(phase=i / len(slots)) for i, layer in enumerate(slots)]

    @property
    def nbytes(self) -> int:
        """Bytes that the slots hold now."""
        return sum(layer.nbytes for sides in self._made.values() for side in sides for layer in side)


def give_back(caches: Iterable[KVCache]) -> None:
    """The stream of these caches is over."""
    for cache in caches:
        if isinstance(cache, SlotKVCache):
            cache.release()


# Tokens of a stream beside those of its audio: padding before and behind it, at the longest delay.
_PADDING = 32 + 30 + 41


def slot_bytes(model: VoxtralRealtime, bits: int, longest_s: float | None = None) -> int:
    """What the keys and values of one stream take at most.

    Args:
        model: The model.
        bits: Of the rings, see `RingKVCache`.
        longest_s: Audio of a stream, in seconds; None: any length.
    """
    c, total = model.config, 0
    tokens = None if longest_s is None else longest_s / c.token_s + _PADDING
    for stack, each in ((model.encoder, c.downsample), (model.decoder, 1)):
        heads, positions = stack.blocks[0].attention.heads, stack.config.window
        if tokens is not None:
            positions = min(positions, -(-round(tokens * each) // GROWTH) * GROWTH)
        row = heads.dim + SCALE if bits == 8 else heads.dim * model.dtype.size
        total += len(stack.blocks) * 2 * heads.n_kv_heads * positions * row
    return total


def check_fits(op: str, model: VoxtralRealtime, slots: int, bits: int, longest_s: float | None) -> None:
    """Refuse more slots than this machine has memory for.

    Raises:
        ValueError: ``[op] slots``: with the bytes.
    """
    stages = model.stem, model.encoder, model.adapter, model.decoder
    flat = (cast("list[tuple[str, mx.array]]", tree_flatten(stage.parameters())) for stage in stages)
    weights = sum(a.nbytes for arrays in flat for _, a in arrays)
    memory = available()
    each, rest = slot_bytes(model, bits, longest_s), memory - weights - WORKING_BYTES
    if memory and slots * each > rest:
        most, less = max(0, rest // each), "" if bits == 8 else "; cache_bits=8 takes about half"
        there = f"of the {_size(memory)} that there are, the model {_size(weights + WORKING_BYTES)}"
        expected = f"at most {most}: a stream takes up to {_size(each)} {there}{less}"
        raise _check.fail(op, "slots", expected, slots)


def _size(nbytes: int) -> str:
    return f"{nbytes / 1e9:.2f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"


def available() -> int:
    """Bytes that models and their streams may take on this machine; 0 where the system does not tell."""
    memory = Machine.this().memory
    return round(memory * SHARE_OF_MEMORY) if device_type(None) == mx.gpu else memory
