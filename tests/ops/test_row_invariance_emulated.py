"""On the shaders a row of every op of a step is the same, bit for bit, whatever rows stand beside it."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk
from tests.ops.row_invariance import FAMILIES, MOST, check
from voxtral_kernels import testing
from voxtral_kernels.backends import emulated, select
from voxtral_kernels.reference.sliding_window_attention import from_sequence

# Heads, head size, positions before the first query, window; of 16 queries those taken together; then some alone.
FEW = [
    ((2, 2), 64, 75, 50, (0, 12), (0, 7, 11)),  # as an encoder's chunk of 240 ms
    ((4, 1), 32, 505, 600, (0, 16), (0, 6, 7, 15)),  # as a decoder's draft, where the keys come to lie in two splits
]
# Of `row_invariance`, where the shaders take the head size.
FORMS = [
    (op, i)
    for op, forms in FAMILIES.items()
    for i, (_, form) in enumerate(forms)
    if op != "sliding_window_attention" or form.get("dim", 64) % 16 == 0
]


def same(a, b):
    return np.array_equal(*(np.array(x.astype(mx.float32)).view(np.uint32) for x in (a, b)))


@pytest.mark.parametrize(("heads", "dim", "past", "window", "taken", "alone"), FEW, ids=["whole", "split"])
def test_a_query_does_not_depend_on_its_company(heads, dim, past, window, taken, alone):
    """Neither on the queries beside it nor on another stream's, nor on how much of its keys the ring holds."""
    rng = np.random.default_rng(past)
    q, k, v = (
        mx.array(rng.normal(size=(2, h, past + MOST, dim)).astype(np.float32)) for h in (heads[0], *heads[1:] * 2)
    )

    def attend(begin, end, ring_end, streams=1):
        of = [a[:streams] for a in (q[:, :, begin:end], k[:, :, :end], v[:, :, :end])]
        return select.run("sliding_window_attention", from_sequence(*of, window, ring_end, past + MOST))

    first, end = (past + n for n in taken)
    with vk.use_backend("emulator"), emulated.settings(mode="plain"):
        together = attend(first, end, past, streams=2)[:1]
        for i in (past + n for n in alone):
            assert same(attend(i, i + 1, i - 5), together[:, :, i - first : i - first + 1]), i


def test_frames_of_240_ms_are_those_of_80():
    with vk.use_backend("emulator"), emulated.settings(mode="plain"):
        check("causal_conv1d_gelu", 1, mx.float32, [0, 11])


@pytest.mark.soak
@pytest.mark.parametrize(("op", "form"), FORMS)
def test_any_rows_together_are_each_alone(op, form):
    @given(
        rows=st.lists(st.integers(0, MOST - 1), min_size=1, max_size=MOST),
        dtype=st.sampled_from(testing.FLOATS),
        spoilt=st.none() | st.integers(0, MOST - 1),
        seed=st.integers(0, 3),
    )
    @settings(max_examples=25, deadline=None)
    def law(rows, dtype, spoilt, seed):
        with vk.use_backend("emulator"), emulated.settings(mode="plain"):
            check(op, form, dtype, rows, spoilt, seed)

    law()
