"""A row's result does not depend on the other rows of a call of up to 16, bit for bit: see `row_invariance`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk
from tests.ops.row_invariance import FAMILIES, MOST, check
from voxtral_kernels import testing
from voxtral_kernels.backends.extension import extension

FORMS = [(op, form) for op, forms in FAMILIES.items() for form in range(len(forms))]
ROWS = st.lists(st.integers(0, MOST - 1), min_size=1, max_size=MOST)
SPOILT = st.none() | st.integers(0, MOST - 1)


@pytest.mark.parametrize("isa", extension().available_isas())
@pytest.mark.parametrize(("op", "form"), FORMS)
def test_on_the_native_backend(op, form, isa):
    before = extension().isa()
    extension().use_isa(isa)

    @given(rows=ROWS, dtype=st.sampled_from(testing.FLOATS), spoilt=SPOILT, seed=st.integers(0, 3))
    @settings(max_examples=8)
    def law(rows, dtype, spoilt, seed):
        with vk.use_backend("native"):
            check(op, form, dtype, rows, spoilt, seed)

    try:
        law()
    finally:
        extension().use_isa(before)
