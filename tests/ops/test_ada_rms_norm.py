"""The public function: shapes it takes, errors it gives. Values: test_cases.py."""

import mlx.core as mx
import pytest

import voxtral_kernels as vk

X = mx.ones((2, 3, 100))
ROW = mx.ones((100,))


def test_any_number_of_leading_axes():
    for shape in [(100,), (1, 100), (2, 2, 3, 100), (0, 100)]:
        assert vk.ada_rms_norm(mx.ones(shape), ROW, ROW).shape == shape


def test_residual_returns_the_sum_too():
    y, h = vk.ada_rms_norm(X, ROW, residual=X)
    assert mx.array_equal(h, 2 * X)
    assert mx.allclose(y, X, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [1.0]}, r"x: expected an mx\.array, got list\."),
        ({"x": mx.ones((2, 3), mx.int32)}, r"x: expected float32, float16 or bfloat16, got int32\."),
        ({"x": mx.ones((2, 0))}, r"x: expected \[\.\.\., D\] with D >= 1, got shape \(2, 0\)\."),
        ({"weight": ROW[:99]}, r"weight: expected shape \(100,\), got \(99,\)\."),
        ({"weight": ROW.astype(mx.float16)}, r"weight: expected float32, got float16\."),
        ({"scale": ROW[:99]}, r"scale: expected shape \(100,\), got \(99,\)\."),
        ({"scale": mx.ones((3, 100))}, r"scale: expected shape \(2, 100\), got \(3, 100\)\."),
        ({"scale": ROW.astype(mx.bfloat16)}, r"scale: expected float32, got bfloat16\."),
        ({"residual": mx.ones((2, 3, 1))}, r"residual: expected shape \(2, 3, 100\), got \(2, 3, 1\)\."),
        ({"eps": -1.0}, r"eps: expected a finite number >= 0, got -1\.0\."),
        ({"eps": float("nan")}, r"eps: expected a finite number >= 0, got nan\."),
        ({"eps": "small"}, r"eps: expected a finite number >= 0, got 'small'\."),
    ],
)
def test_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=r"^\[ada_rms_norm\] " + message):
        vk.ada_rms_norm(**{"x": X, **arguments})


def test_gradient_and_compile():
    def loss(x):
        return vk.ada_rms_norm(x, ROW, ROW).sum()

    assert mx.allclose(mx.compile(loss)(X), loss(X))
    assert mx.grad(loss)(X).shape == X.shape
