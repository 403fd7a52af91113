"""The delay conditioning of the realtime decoders: scales computed once, the norm fused with its residual add."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from ..backends.plan import Plans
from ..backends.transforms import in_transformation
from ..ops.ada_rms_norm import ada_rms_norm

# Sessions with different delays may share a model; this many conditions are kept.
_KEPT = 8


def add_norm(
    delta: mx.array, x: mx.array, norm: nn.Module, scale: mx.array | None, plans: Plans | None = None
) -> tuple[mx.array, mx.array]:
    """``(norm(h) * (1 + scale), h)`` with ``h = x + delta``, in the dtypes that MLX would give them.

    ``plans``: for ``x`` as rows, behind a cache, so inside no transformation.
    """
    gain, dtype = norm["weight"], delta.dtype
    if plans is not None and plans.dtype == dtype == x.dtype == gain.dtype:
        dim = x.shape[-1]
        if scale is None or (scale.shape == (dim,) and scale.dtype in (dtype, mx.float32)):
            normed, h = plans.norm(dim, None if scale is None else scale.dtype, True)(delta, gain, scale, norm.eps, x)
            return normed, h
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

    def __init__(self, layers: Sequence[Callable[[mx.array], mx.array]]) -> None:
        self._layers = layers
        self._held: dict[tuple[bytes, mx.Dtype], list[mx.array]] = {}
        self._weights = _leaves(layers)

    def __call__(self, t_cond: mx.array, dtype: mx.Dtype) -> list[mx.array]:
        """One scale a layer, ``[D]`` or ``[B, D]``.

        Args:
            t_cond: Time embedding ``[B, D]`` or ``[1, D]``; known by its values, so that it may be made anew.
            dtype: Arithmetic of the conditioning.
        """
        if in_transformation(t_cond):
            return self._computed(t_cond, dtype)
        if not all(holder.get(key) is value for holder, key, value in self._weights):
            self._held, self._weights = {}, _leaves(self._layers)
        key = np.array(t_cond.astype(mx.float32)).tobytes(), dtype
        if key not in self._held:
            scales = self._computed(t_cond, dtype)
            mx.eval(scales)
            self._held = dict([*self._held.items(), (key, scales)][-_KEPT:])
        return self._held[key]

    def _computed(self, t_cond: mx.array, dtype: mx.Dtype) -> list[mx.array]:
        scales = [layer(t_cond.astype(dtype)) for layer in self._layers]
        return [s[0] if s.ndim == 2 and s.shape[0] == 1 else s for s in scales]


def _leaves(modules: Sequence[Any]) -> list[tuple[dict[str, Any], str, Any]]:
    """Every child and array under the modules with where it stands, to see later whether one was replaced."""
    found = []
    for module in modules:
        for key, value in dict.items(module):
            found.append((module, key, value))
            if isinstance(value, nn.Module):
                found += _leaves([value])
    return found
