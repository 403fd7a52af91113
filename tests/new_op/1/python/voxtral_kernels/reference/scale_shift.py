"""The op's definition: request, oracle (float64), composed (stock MLX ops), cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from ._arrays import float64, normal


@dataclass(frozen=True)
class ScaleShift:
    """A checked call. Source: a worked example."""

    x: mx.array  # [..., D]
    scale: mx.array  # [D]
    shift: mx.array  # [D]


Request = ScaleShift


def oracle(r: ScaleShift) -> np.ndarray:
    """Ground truth in float64. Never optimise this function."""
    return float64(r.x) * float64(r.scale) + float64(r.shift)


def composed(r: ScaleShift) -> mx.array:
    """Stock MLX ops."""
    return r.x * r.scale + r.shift


@dataclass(frozen=True)
class Case:
    """One shape of the op; ``str`` is its test id."""

    B: int
    D: int

    def __str__(self) -> str:
        return f"B{self.B}-D{self.D}"


CASES = [
    Case(1, 3072),  # decode
    Case(3, 100),  # off every tile
    Case(1, 1),
]


def cross() -> Iterator[Case]:
    """The full cross of shapes and options, for soak runs."""
    for b in (1, 2, 8):
        for d in (1, 31, 128, 1280):
            yield Case(b, d)


def example(case: Case, dtype: mx.Dtype, seed: int = 0) -> ScaleShift:
    """Random inputs of the case."""
    rng = np.random.default_rng(seed)
    return ScaleShift(normal(rng, (case.B, case.D), dtype), *(normal(rng, (case.D,), dtype) for _ in range(2)))
