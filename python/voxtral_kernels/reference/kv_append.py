"""The op's definition: request, oracle, composed (stock MLX ops), cases."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from ._arrays import float64, normal, strided


@dataclass(frozen=True)
class KvAppend:
    """New rows behind the tails of a cache."""

    tail_k: mx.array  # [B, Hkv, T, D]
    tail_v: mx.array  # [B, Hkv, T, D]
    k: mx.array  # [B, Hkv, L, D]
    v: mx.array  # [B, Hkv, L, D]


Request = KvAppend
# The caches grow by it; there is no public function.
INTERNAL = True


def oracle(r: KvAppend) -> tuple[np.ndarray, np.ndarray]:
    """Ground truth: both ``[B, Hkv, T + L, D]``."""
    keys = np.concatenate([float64(r.tail_k), float64(r.k)], axis=2)
    return keys, np.concatenate([float64(r.tail_v), float64(r.v)], axis=2)


def composed(r: KvAppend) -> tuple[mx.array, mx.array]:
    """Stock MLX ops: two concatenations, each a launch for either part."""
    return mx.concatenate([r.tail_k, r.k], axis=2), mx.concatenate([r.tail_v, r.v], axis=2)


@dataclass(frozen=True)
class Case:
    """One shape of the op; ``str`` is its test id."""

    B: int
    Hkv: int
    T: int
    L: int
    D: int
    view: bool = False

    def __str__(self) -> str:
        return f"B{self.B}-H{self.Hkv}-T{self.T}-L{self.L}-D{self.D}{'-view' if self.view else ''}"


CASES = [
    Case(1, 8, 60, 1, 128),  # decoder, one token
    Case(1, 32, 31, 4, 64, view=True),  # encoder, one token of audio
    Case(2, 2, 1, 7, 32, view=True),
    Case(1, 1, 1, 1, 8),
    Case(1, 3, 5, 2, 48),
]


def cross() -> Iterator[Case]:
    """The full cross of shapes, for soak runs."""
    for heads, tail, new, dim, view in itertools.product([1, 8], [1, 31, 64], [1, 4, 9], [8, 64, 128], [False, True]):
        yield Case(2, heads, tail, new, dim, view)


def example(case: Case, dtype: mx.Dtype, seed: int = 0) -> KvAppend:
    """Random inputs of the case."""
    rng = np.random.default_rng(seed)
    tail_k, tail_v = (normal(rng, (case.B, case.Hkv, case.T, case.D), dtype) for _ in range(2))
    k, v = (normal(rng, (case.B, case.Hkv, case.L, case.D), dtype) for _ in range(2))
    if case.view:
        k, v = strided(k), strided(v)
    return KvAppend(tail_k, tail_v, k, v)
