"""The op's definition: request, oracle, composed (stock MLX ops), cases."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from ._arrays import float64, normal, strided


@dataclass(frozen=True)
class SiluMul:
    """The gated product of a SwiGLU whose projections are packed: ``silu(gate) * up``. Source: Shazeer 2020."""

    x: mx.array  # [..., 2 H]: a gate and what it is multiplied with, in turn


Request = SiluMul
# The MLPs of the models call it; there is no public function.
INTERNAL = True


def oracle(r: SiluMul) -> np.ndarray:
    """Ground truth in float64, ``[..., H]``. Never optimise this function."""
    x = float64(r.x)
    gate, up = x[..., 0::2], x[..., 1::2]
    with np.errstate(over="ignore"):
        return gate / (1 + np.exp(-gate)) * up


def composed(r: SiluMul) -> mx.array:
    """Stock MLX ops, computed in float32 and rounded once."""
    pairs = mx.unflatten(r.x.astype(mx.float32), -1, (-1, 2))
    gate, up = pairs[..., 0], pairs[..., 1]
    return (gate * mx.sigmoid(gate) * up).astype(r.x.dtype)


@dataclass(frozen=True)
class Case:
    """One shape of the op; ``str`` is its test id."""

    rows: int
    H: int
    scale: float = 1.0  # standard deviation of the inputs
    view: bool = False

    def __str__(self) -> str:
        return f"rows{self.rows}-H{self.H}-x{self.scale:g}{'-view' if self.view else ''}"


CASES = [
    Case(1, 9216),  # decoder, one token
    Case(4, 5120),  # encoder, one token of audio
    Case(3, 100, view=True),
    Case(2, 7),  # off every vector
    Case(1, 1),
    Case(5, 64, scale=60.0),  # far beyond the range of exp in float16
]


def cross() -> Iterator[Case]:
    """The full cross of shapes, for soak runs."""
    for rows, width, scale in itertools.product([1, 2, 9, 39], [1, 3, 31, 64, 1000, 1025], [1.0, 30.0]):
        yield Case(rows, width, scale)


def example(case: Case, dtype: mx.Dtype, seed: int = 0) -> SiluMul:
    """Random inputs of the case."""
    x = normal(np.random.default_rng(seed), (case.rows, 2 * case.H), dtype, case.scale)
    return SiluMul(strided(x) if case.view else x)
