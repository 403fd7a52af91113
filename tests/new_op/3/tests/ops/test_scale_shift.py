"""The public function: shapes it takes, errors it gives. Values: test_cases.py."""

import mlx.core as mx
import pytest

from voxtral_kernels.ops.scale_shift import scale_shift

X = mx.ones((2, 100))
ROW = mx.ones((100,))


def test_values():
    assert mx.array_equal(scale_shift(X, 2 * ROW, ROW), 3 * X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [1.0]}, r"x: expected an mx\.array, got list\."),
        ({"x": mx.ones((2, 0))}, r"x: expected \[\.\.\., D\] with D >= 1, got shape \(2, 0\)\."),
        ({"scale": ROW[:99]}, r"scale: expected shape \(100,\), got \(99,\)\."),
        ({"shift": ROW.astype(mx.float16)}, r"shift: expected float32, got float16\."),
    ],
)
def test_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=r"^\[scale_shift\] " + message):
        scale_shift(**{"x": X, "scale": ROW, "shift": ROW, **arguments})
