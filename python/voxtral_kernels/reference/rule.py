"""The one rule that holds a result against its oracle."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .._check import dtype_name

_MANTISSA_BITS = {mx.float32: 23, mx.float16: 10, mx.bfloat16: 7}
_MIN_EXPONENT = {mx.float32: -126, mx.float16: -14, mx.bfloat16: -126}
# A model's float32 output may differ from the reference's by this share of its largest value.
MODEL_TOLERANCE = 1e-4
# Kinds of inputs at the ends of the number range; the definitions' EXTREMES have cases of each.
EXTREMES = ("huge", "tiny", "infinite", "nan")


def assert_matches(out: mx.array, oracle: np.ndarray, composed: mx.array, *, stock: bool = False) -> None:
    """``out`` is the oracle's value to the precision of its dtype.

    float32: ``max|out - oracle| <= 2 max|composed - oracle| + eps max|oracle|``. 16-bit: elementwise 2 ulp of the
    oracle's value more than that float32 bound.

    Args:
        out: The result under test.
        oracle: Its float64 truth, computed from the same (rounded) inputs.
        composed: The composed form on the inputs widened to float32 (`in_float32`): the yardstick.
        stock: ``out`` is the composed form itself, whose 16-bit steps round one by one: it may differ by 4 ulp of
            the oracle's largest value.

    Raises:
        AssertionError: names the worst element, its value, the oracle's and the bound.
    """
    assert tuple(out.shape) == oracle.shape, f"shape {tuple(out.shape)}, oracle {oracle.shape}"
    if oracle.size == 0:
        return
    got = np.array(out.astype(mx.float32), np.float64)
    error = np.abs(got - oracle)
    yardstick = np.abs(np.array(composed.astype(mx.float32), np.float64) - oracle).max()
    bound = np.full(oracle.shape, 2 * yardstick + np.finfo(np.float32).eps * np.abs(oracle).max())
    if out.dtype != mx.float32:
        bound += 4 * _ulp(np.abs(oracle).max(), out.dtype) if stock else 2 * _ulp(oracle, out.dtype)
    excess = np.where(np.isnan(got), np.inf, error - bound)
    worst = np.unravel_index(np.argmax(excess), oracle.shape)
    assert excess[worst] <= 0, (
        f"{dtype_name(out.dtype)} {tuple(int(i) for i in worst)}: {got[worst]!r}, oracle {oracle[worst]!r}, "
        f"error {error[worst]:.3g}, bound {bound[worst]:.3g}, {np.mean(excess > 0):.1%} of elements beyond theirs"
    )


def assert_extreme(out: mx.array, oracle: np.ndarray, *, stock: bool = False) -> None:
    """Element by element, for inputs whose largest value says nothing about the others.

    NaN where the oracle has NaN, infinity where it has the same one (rounded to the dtype), else within 2 ulp of the
    dtype and 2^-16 of the element and of the median element (``stock``: 8 ulp, 2^-14).

    Raises:
        AssertionError: names the first such element, its value and the oracle's.
    """
    assert tuple(out.shape) == oracle.shape, f"shape {tuple(out.shape)}, oracle {oracle.shape}"
    ulps, share = (8, 2.0**-14) if stock else (2, 2.0**-16)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.array(mx.array(oracle.astype(np.float32)).astype(out.dtype).astype(mx.float32), np.float64)
        got = np.array(out.astype(mx.float32), np.float64)
        sizes = np.abs(oracle[np.isfinite(rounded) & (rounded != 0)])
        size = np.abs(oracle) + (np.median(sizes) if sizes.size else 0.0)
        close = np.isfinite(rounded) & (np.abs(got - oracle) <= share * size + ulps * _ulp(size, out.dtype))
    right = (np.isnan(got) & np.isnan(rounded)) | (got == rounded) | close
    if not right.all():
        at = np.unravel_index(np.argmin(right), oracle.shape)
        raise AssertionError(
            f"{dtype_name(out.dtype)} {tuple(int(i) for i in at)}: {got[at]!r}, oracle {oracle[at]!r}, "
            f"{np.mean(~right):.1%} of elements differ"
        )


def assert_model_matches(out: mx.array, reference: np.ndarray, what: str) -> None:
    """``max|out - reference| <= 1e-4 max|reference|``: the rule for whole models in float32."""
    assert tuple(out.shape) == reference.shape, f"{what}: shape {tuple(out.shape)}, reference {reference.shape}"
    error = np.abs(np.array(out.astype(mx.float32), np.float64) - reference).max()
    bound = MODEL_TOLERANCE * np.abs(reference).max()
    assert error <= bound, f"{what}: max error {error:.3g}, bound {bound:.3g}"


def _ulp(value: np.ndarray, dtype: mx.Dtype) -> np.ndarray:
    """The spacing of ``dtype``'s numbers at ``value``, the smallest subnormal at least."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log2(np.abs(value)))
    exponent = np.maximum(exponent, _MIN_EXPONENT[dtype])
    return np.exp2(exponent - _MANTISSA_BITS[dtype])
