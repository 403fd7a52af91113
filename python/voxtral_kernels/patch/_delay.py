"""The delay conditioning of the realtime decoders: scales computed once, the norm fused with its residual add."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from ..backends.transforms import in_transformation, same_content
from ..ops.ada_rms_norm import ada_rms_norm
from ._seen import Seen

# Sessions with different delays may share a model; this many conditions are kept.
_KEPT = 8


def add_norm(delta: mx.array, x: mx.array, norm: nn.Module, scale: mx.array | None) -> tuple[mx.array, mx.array]:
    """``(norm(h) * (1 + scale), h)`` with ``h = x + delta``, in the dtypes that MLX would give them."""
    gain = norm["weight"]
    dtype = mx.result_type(mx.result_type(delta, x), gain)
    if scale is not None and scale.dtype not in (dtype, mx.float32):
        scale = scale.astype(mx.float32)
    normed, h = ada_rms_norm(delta.astype(dtype), gain.astype(dtype), scale, eps=norm.eps, residual=x.astype(dtype))
    return normed, h


class Scales:
    """Each layer's conditioning for a time embedding, computed at its first use.

    Args:
        layers: Each layer's module from the time embedding to its scale.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = layers
        self._begin()

    def __deepcopy__(self, memo: dict[int, Any]) -> Scales:
        return Scales(copy.deepcopy(self._layers, memo))

    def _begin(self) -> None:
        self._held: dict[tuple[bytes, mx.Dtype], list[mx.array]] = {}
        self._last: tuple[mx.array, mx.array, mx.Dtype, list[mx.array]] | None = None
        modules = [module for layer in self._layers for module in layer.modules()]
        held = [value for module in modules for value in dict.values(module)]
        self._weights = Seen(modules, [value for value in held if isinstance(value, mx.array)])

    def __call__(self, t_cond: mx.array, dtype: mx.Dtype) -> list[mx.array]:
        """One scale a layer, ``[D]`` or ``[B, D]``.

        Args:
            t_cond: Time embedding ``[B, D]`` or ``[1, D]``; known by its values, so that it may be made anew.
            dtype: Arithmetic of the conditioning.
        """
        if in_transformation(t_cond):
            return self._computed(t_cond, dtype)
        if self._weights.changed():
            self._begin()
        last = self._last
        if last is not None and last[0] is t_cond and last[2] == dtype and same_content([t_cond], [last[1]]):
            return last[3]
        key = np.array(t_cond.astype(mx.float32)).tobytes(), dtype
        if key not in self._held:
            scales = self._computed(t_cond, dtype)
            mx.eval(scales)
            self._held = dict([*self._held.items(), (key, scales)][-_KEPT:])
        self._last = t_cond, t_cond.astype(t_cond.dtype), dtype, self._held[key]
        return self._last[3]

    def _computed(self, t_cond: mx.array, dtype: mx.Dtype) -> list[mx.array]:
        scales = [layer(t_cond.astype(dtype)) for layer in self._layers]  # type: ignore[operator]
        return [s[0] if s.ndim == 2 and s.shape[0] == 1 else s for s in scales]
