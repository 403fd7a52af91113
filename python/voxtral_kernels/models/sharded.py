"""Layers of which a rank holds a part: closing products, products of split outputs, the vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from ..backends.plan import Form
from .layers import Linear, Matrix, held_logits
from .ranks import Ranks

if TYPE_CHECKING:
    from .stack import Step

# The place of the residual among the fields of `SkinnyLinear`.
_RESIDUAL = 9


class Closing(Linear):
    """``x @ W.T + b`` from this rank's columns of W and x, summed over the ranks.

    Args:
        matrix: This rank's columns.
        bias: On rank 0 only, where there is one.
        ranks: The group.
    """

    def __init__(self, matrix: Matrix, bias: mx.array | None, ranks: Ranks) -> None:
        super().__init__(matrix, bias)
        self.ranks = ranks

    def __call__(self, x: mx.array) -> mx.array:
        return self.ranks.sum(super().__call__(x))

    def product(self, x: mx.array, step: Step) -> mx.array:
        return self.ranks.sum(super().product(x, step))

    def form(self, dtype: mx.Dtype, **around: Any) -> Form | None:
        """As `Linear.form`; a residual is added on rank 0 alone, so that the sum holds it once."""
        if self.ranks.rank:
            around.pop("add", None)
        return super().form(dtype, **around)

    def closed(self, function: Callable[..., mx.array]) -> Callable[..., mx.array]:
        ranks = self.ranks
        if ranks.rank == 0:
            return lambda *fields: ranks.sum(function(*fields))
        return lambda *fields: ranks.sum(function(*fields[:_RESIDUAL], None, *fields[_RESIDUAL + 1 :]))


class Gathered(Linear):
    """``x @ W.T`` from this rank's rows of W, the outputs of all ranks side by side.

    Args:
        matrix: This rank's rows.
        ranks: The group.
    """

    def __init__(self, matrix: Matrix, ranks: Ranks) -> None:
        super().__init__(matrix)
        self.ranks = ranks

    def __call__(self, x: mx.array) -> mx.array:
        """Evaluated: it is done where a stream begins, and nobody else watches that."""
        with self.ranks.watch:
            y = self.ranks.beside(super().__call__(x))
            mx.eval(y)
        return y


class Vocabulary(Matrix):
    """This rank's rows of an embedding or a head, from ``first`` on; those of the ranks are alike but for the last.

    Args:
        held: This rank's rows.
        ranks: The group.
        rows: Of all ranks.
    """

    def __init__(self, held: Matrix, ranks: Ranks, rows: int) -> None:
        super().__init__(held.weight, held.scales, held.biases, held.quantization, held.dtype)
        self.ranks, self.rows, self.first = ranks, rows, ranks.rank * -(-rows // ranks.size)

    def take(self, ids: mx.array) -> mx.array:
        """Rows by index, from whichever rank holds them: ``[...]`` to ``[..., columns]``, exact."""
        own = ids - self.first
        inside = (own >= 0) & (own < self["weight"].shape[0])
        rows = super().take(mx.where(inside, own, 0))
        return self.ranks.sum(mx.where(inside[..., None], rows, mx.zeros_like(rows)))

    def whole(self, logits: mx.array) -> mx.array:
        """This rank's logits ``[B, L, held rows]`` to those of all rows."""
        most = -(-self.rows // self.ranks.size)
        padded = mx.pad(logits, [(0, 0), (0, 0), (0, most - logits.shape[-1])])
        parts = self.ranks.gather(padded)
        return mx.concatenate(list(parts), axis=-1)[..., : self.rows]

    def likeliest(self, hidden: mx.array, logits: Callable[[mx.array], mx.array]) -> mx.array:
        """As `Matrix.likeliest`, from each rank's best alone; of equal ones the first, as by `mx.argmax`."""
        held = held_logits(self, hidden)
        best = mx.argmax(held, axis=-1, keepdims=True)
        value = mx.take_along_axis(held, best, axis=-1).astype(mx.float32)
        # Both in one message: an index is no float, but a float's bits are an integer.
        pair = mx.stack([value.view(mx.int32), best.astype(mx.int32) + self.first])
        found = self.ranks.gather(pair)
        winner = mx.argmax(found[:, 0].view(mx.float32), axis=0, keepdims=True)
        return mx.take_along_axis(found[:, 1], winner, axis=0)[0, ..., 0].astype(mx.uint32)
