"""Attention and norm on the shaders: a row's result is bit for bit the same whatever rows stand beside it.

Of attention that is the unsplit form of few rows and D up to 64, as an encoder's chunks have it.
"""

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels import testing
from voxtral_kernels.backends import select
from voxtral_kernels.reference.sliding_window_attention import from_sequence

# Positions before the first query, window, dtype, bits of the ring, queries taken together.
FEW = [(75, 50, mx.float32, 16, (2, 4))]
SOME = [
    (75, 50, mx.bfloat16, 16, (0, 8)),
    (203, 101, mx.float16, 16, (1, 3)),
    (10, 400, mx.bfloat16, 16, (0, 5)),
    (90, 60, mx.bfloat16, 8, (0, 6)),
]


def same(a, b):
    return np.array_equal(*(np.array(x.astype(mx.float32)).view(np.uint32) for x in (a, b)))


@pytest.mark.parametrize(
    ("past", "window", "dtype", "bits", "taken"),
    [*FEW, *(pytest.param(*each, marks=pytest.mark.soak) for each in SOME)],
    ids=str,
)
def test_a_query_does_not_depend_on_its_company(past, window, dtype, bits, taken):
    rng = np.random.default_rng(past)
    q, k, v = (mx.array(rng.normal(size=(1, 2, past + 8, 64)).astype(np.float32)).astype(dtype) for _ in range(3))
    first, end = (past + n for n in taken)

    def attend(begin, end):
        call = from_sequence(q[:, :, begin:end], k[:, :, :end], v[:, :, :end], window, past, past + 8, bits)
        return select.run("sliding_window_attention", call)

    with vk.use_backend("emulator"):
        together = attend(first, end)
        for i in (first, end - 1):
            assert same(attend(i, i + 1), together[:, :, i - first : i - first + 1]), i


@pytest.mark.soak
@pytest.mark.parametrize("dtype", testing.FLOATS, ids=str)
def test_a_normed_row_does_not_depend_on_its_company(dtype):
    ref = testing.definition("ada_rms_norm")
    r = ref.example(ref.Case(1, 16, 100, scale="row", residual=True), dtype, 0)
    with vk.use_backend("emulator"):
        together = select.run("ada_rms_norm", r)
        for i in (0, 3, 15):
            alone = select.run("ada_rms_norm", replace(r, x=r.x[:, i : i + 1], residual=r.residual[:, i : i + 1]))
            assert all(same(a, b[:, i : i + 1]) for a, b in zip(alone, together, strict=True))
