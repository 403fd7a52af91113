"""What is known of a weight and its bias while they stay the same arrays: a product of rows is one node."""

from __future__ import annotations

import mlx.core as mx

from .._check import dtype_name
from ..backends import transforms

# Rows that a bias was spread over; more than this many numbers of rows are begun anew.
_KEPT = 16


class Held:
    """``x @ weight.T + bias`` of rows, for as long as both are these arrays.

    Args:
        weight: ``[C_out, C_in]``.
        bias: ``[C_out]``; None for none.
    """

    __slots__ = ("_spread", "_transposed", "bias", "dtype", "weight")

    def __init__(self, weight: mx.array, bias: mx.array | None) -> None:
        self.weight, self.bias = weight, bias
        same = bias is None or bias.dtype == weight.dtype
        self.dtype = dtype_name(weight.dtype) if same else None
        self._transposed: mx.array | None = None
        self._spread: dict[int, mx.array] = {}

    def product(self, x: mx.array) -> mx.array:
        """Rows ``[N, C_in]`` to ``[N, C_out]``, by stock MLX."""
        transposed = self._transposed
        if transposed is None:
            transposed = self._transposed = _evaluated(self.weight.T)
        return x @ transposed if self.bias is None else mx.addmm(self.spread(x.shape[0]), x, transposed)

    def spread(self, rows: int) -> mx.array:
        """The bias as ``[rows, C_out]``: a view, where MLX would add a node that broadcasts it."""
        found = self._spread.get(rows)
        if found is None:
            assert self.bias is not None
            if len(self._spread) >= _KEPT:
                self._spread.clear()
            found = self._spread[rows] = _evaluated(mx.broadcast_to(self.bias, (rows, self.bias.shape[0])))
        return found


def _evaluated(view: mx.array) -> mx.array:
    """A view of a weight, no node of any step's graph; inside a transformation of the weight it stays one."""
    if not transforms.in_transformation(view):
        mx.eval(view)
    return view
