"""The op's definition: request, oracle, composed (stock MLX ops), cases."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from ._arrays import float64, normal, strided


@dataclass(frozen=True)
class RopeAppend:
    """What an attention makes of its projections: q and k rotated, all split into heads, k and v behind the tails.

    Interleaved pairs ``(x[2i], x[2i + 1])`` turn by the angle of their position. Source: RoFormer, Su et al. 2021.
    """

    q: mx.array  # B x L rows [..., Hq * D]; without k and v [..., (Hq + 2 Hkv) * D], q, k and v side by side
    k: mx.array | None  # B x L rows [..., Hkv * D]
    v: mx.array | None  # as k
    rotation: mx.array  # [L, D / 2, 2] float32: cosine and sine of each pair's angle
    tail_k: mx.array | None  # [B, Hkv, T, D]; None: an empty tail
    tail_v: mx.array | None
    n_heads: int
    n_kv_heads: int

    @property
    def dim(self) -> int:
        """D."""
        return 2 * self.rotation.shape[1]

    @property
    def batch(self) -> int:
        """B."""
        return self.q.size // self.q.shape[-1] // self.rotation.shape[0]

    @property
    def n_tail(self) -> int:
        """T."""
        return 0 if self.tail_k is None else self.tail_k.shape[2]


Request = RopeAppend
# The attention layers of the models call it; there is no public function.
INTERNAL = True


def oracle(r: RopeAppend) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground truth in float64: ``[B, Hq, L, D]`` and two of ``[B, Hkv, T + L, D]``. Never optimise this function."""
    if r.k is None or r.v is None:
        packed = float64(r.q).reshape(r.batch, r.rotation.shape[0], -1, r.dim)
        q, k, v = np.split(packed, [r.n_heads, r.n_heads + r.n_kv_heads], axis=2)
    else:
        q, k, v = (float64(a).reshape(r.batch, r.rotation.shape[0], -1, r.dim) for a in (r.q, r.k, r.v))
    cos, sin = np.moveaxis(float64(r.rotation), -1, 0)[:, None, :, None]

    def rotated(x: np.ndarray) -> np.ndarray:
        first, second = x[..., 0::2], x[..., 1::2]
        return np.stack([first * cos - second * sin, first * sin + second * cos], -1).reshape(x.shape)

    q, k, v = (a.transpose(0, 2, 1, 3) for a in (rotated(q), rotated(k), v))
    if r.tail_k is not None and r.tail_v is not None:
        k, v = np.concatenate([float64(r.tail_k), k], axis=2), np.concatenate([float64(r.tail_v), v], axis=2)
    return q, k, v


def composed(r: RopeAppend) -> tuple[mx.array, mx.array, mx.array]:
    """Stock MLX ops: the fallback backend and the benchmark baseline."""
    rows = mx.split(r.q, _ends(r), axis=-1) if r.k is None or r.v is None else (r.q, r.k, r.v)
    q, k, v = (a.reshape(r.batch, -1, a.shape[-1] // r.dim, r.dim).transpose(0, 2, 1, 3) for a in rows)
    cos, sin = r.rotation[..., :1], r.rotation[..., 1:]

    def rotated(x: mx.array) -> mx.array:
        pairs = mx.unflatten(x.astype(mx.float32), -1, (-1, 2))
        first, second = pairs[..., :1], pairs[..., 1:]
        turned = mx.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)
        return mx.flatten(turned, -2).astype(x.dtype)

    q, k = rotated(q), rotated(k)
    if r.tail_k is not None and r.tail_v is not None:
        k, v = mx.concatenate([r.tail_k, k], axis=2), mx.concatenate([r.tail_v, v], axis=2)
    return q, k, v


def _ends(r: RopeAppend) -> list[int]:
    return [r.n_heads * r.dim, (r.n_heads + r.n_kv_heads) * r.dim]


def rotation(offset: int, length: int, dim: int, theta: float) -> np.ndarray:
    """Cosine and sine of the angles of ``length`` positions from ``offset`` on, ``[L, D / 2, 2]`` in float32.

    The angles are float64: float32 ones lose 0.06 rad at position 10^6.
    """
    frequencies = theta ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
    angles = np.arange(offset, offset + length, dtype=np.float64)[:, None] * frequencies
    return np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """One shape of the op; ``str`` is its test id."""

    B: int
    Hq: int
    Hkv: int
    L: int
    D: int
    T: int = 0  # length of the tails
    packed: bool = True
    offset: int = 0  # of the first position
    view: bool = False

    def __str__(self) -> str:
        flags = ("" if self.packed else "-apart") + ("-view" if self.view else "")
        return f"B{self.B}-H{self.Hq}.{self.Hkv}-L{self.L}-D{self.D}-T{self.T}-at{self.offset}{flags}"


CASES = [
    Case(1, 8, 2, 1, 128, T=60, offset=8191),  # decoder, one token
    Case(1, 8, 8, 4, 64, T=31, offset=751),  # encoder, one token of audio
    Case(1, 6, 2, 1, 32, offset=10**6),  # far into a stream, no tail
    Case(1, 8, 2, 39, 128),  # prefill
    Case(2, 4, 2, 3, 48, T=5, offset=17),  # a batch, off every vector
    Case(2, 2, 2, 2, 24, T=1, packed=False, view=True),  # a host's own projections
    Case(1, 4, 1, 1, 64, T=7, packed=False, offset=3),
    Case(1, 4, 2, 3, 16, T=2, packed=False, offset=5),  # rows of queries longer than those of keys
    Case(1, 1, 1, 2, 8, view=True),
]


def cross() -> Iterator[Case]:
    """The full cross of shapes, for soak runs."""
    heads = [(1, 1), (8, 2), (6, 6)]
    for (hq, hkv), length, dim, tail, packed in itertools.product(
        heads, [1, 4, 9], [8, 40, 64, 128], [0, 1, 33], [True, False]
    ):
        yield Case(2, hq, hkv, length, dim, tail, packed, offset=100 * tail)


def example(case: Case, dtype: mx.Dtype, seed: int = 0) -> RopeAppend:
    """Random inputs of the case."""
    rng = np.random.default_rng(seed)
    rows = case.B * case.L
    widths = [case.Hq + 2 * case.Hkv] if case.packed else [case.Hq, case.Hkv, case.Hkv]
    parts = [normal(rng, (rows, n * case.D), dtype) for n in widths]
    if case.view:
        parts = [strided(p) for p in parts]
    q, k, v = parts if len(parts) == 3 else (parts[0], None, None)
    tail_k, tail_v = (normal(rng, (case.B, case.Hkv, case.T, case.D), dtype) if case.T else None for _ in range(2))
    turns = mx.array(rotation(case.offset, case.L, case.D, 1e6))
    return RopeAppend(q, k, v, turns, tail_k, tail_v, case.Hq, case.Hkv)
