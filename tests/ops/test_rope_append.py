"""Rotation, heads and tails in one op: what it refuses, its angles and derivatives. Values: test_cases.py."""

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels import testing
from voxtral_kernels.backends import select
from voxtral_kernels.models import rope

OP = "rope_append"
REF = testing.definition(OP)


def test_head_sizes_that_the_kernel_does_not_take_are_said():
    request = REF.example(REF.Case(1, 2, 1, 1, 12), mx.float32)
    with vk.use_backend("emulator"), pytest.raises(RuntimeError, match=r"D = 12; the kernel takes multiples of 8\."):
        select.run(OP, request)


def test_positions_far_into_a_stream_keep_their_angles():
    """Across the blocks that the angles are computed in."""
    for offset, length in ((0, 1), (63, 1), (60, 4), (61, 8), (10**6 + 3, 4), (127, 130)):
        got = np.array(rope.rotation(offset, length, 64, 1e6))
        angles = np.arange(offset, offset + length)[:, None] * 1e6 ** (-np.arange(0, 64, 2) / 64)
        np.testing.assert_allclose(got, np.stack([np.cos(angles), np.sin(angles)], -1), rtol=0, atol=6e-8)


def test_native_refuses_what_would_be_read_out_of_bounds():
    ext = pytest.importorskip("voxtral_kernels._ext")
    q, turns = mx.zeros((3, 4 * 8)), mx.zeros((3, 4, 2))
    tail = mx.zeros((1, 1, 2, 8))
    ext.rope_append(q, None, None, turns, tail, tail, 2, 1)
    for bad in (
        (q, None, None, turns, tail, tail, 3, 1),
        (q, None, None, mx.zeros((2, 4, 2)), tail, tail, 2, 1),
        (q, None, None, turns, mx.zeros((2, 1, 2, 8)), tail, 2, 1),
        (q, None, None, turns.astype(mx.float16), tail, tail, 2, 1),
        (q, q, None, turns, tail, tail, 2, 1),
    ):
        with pytest.raises(ValueError, match=r"^\[rope_append\] "):
            ext.rope_append(*bad)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "apart"])
def test_native_gradient_is_that_of_the_composed_form(packed):
    request = REF.example(REF.Case(2, 4, 2, 3, 16, T=2, packed=packed), mx.float32)
    ext = pytest.importorskip("voxtral_kernels._ext")
    names = ["q", "tail_k"] if packed else ["q", "k", "v"]

    def loss(serve):
        def total(*values):
            fields = {n: getattr(request, n) for n in request.__dataclass_fields__}
            fields |= dict(zip(names, values, strict=True))
            return sum((mx.cos(mx.arange(o.size)).reshape(o.shape) * o).sum() for o in serve(fields))

        return mx.grad(total, argnums=list(range(len(names))))(*(getattr(request, n) for n in names))

    ours = loss(lambda fields: ext.rope_append(*fields.values()))
    stock = loss(lambda fields: REF.composed(REF.RopeAppend(**fields)))
    for a, b in zip(ours, stock, strict=True):
        assert mx.allclose(a, b, rtol=1e-5, atol=1e-6)
