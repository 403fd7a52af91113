"""A projection of few rows with what stands around it in a transformer layer, the public op."""

from __future__ import annotations

from typing import Any, cast

import mlx.core as mx

from .. import _check
from ..backends import select
from ..reference.skinny_linear import SkinnyLinear

OP = "skinny_linear"
_BITS, _GROUPS = (2, 3, 4, 5, 6, 8), (32, 64, 128)


def skinny_linear(
    x: mx.array,
    weight: mx.array,
    scales: mx.array | None = None,
    biases: mx.array | None = None,
    *,
    bias: mx.array | None = None,
    norm: mx.array | None = None,
    scale: mx.array | None = None,
    eps: float = 1e-5,
    residual: mx.array | None = None,
    add: mx.array | None = None,
    gated: bool = False,
    rotation: mx.array | None = None,
    tail_k: mx.array | None = None,
    tail_v: mx.array | None = None,
    n_heads: int = 0,
    n_kv_heads: int = 0,
    length: int | None = None,
    stream: mx.Stream | mx.Device | None = None,
) -> mx.array | tuple[mx.array, ...]:
    """``epilogue(prologue(x) weight^T + bias)`` of few rows, every weight read once.

    Args:
        x: Rows ``[..., K]``, float32, float16 or bfloat16, at least one. A GPU's kernel takes up to 16; stock MLX more.
        weight: ``[N, K]``, dtype of ``x``; quantised as by ``mx.quantize`` (affine): uint32 ``[N, K * bits / 32]``.
        scales, biases: ``[N, K / group_size]``, dtype of ``x`` or float32; None for a plain weight. They say what
            ``bits`` (2, 3, 4, 5, 6, 8) and ``group_size`` (32, 64, 128) are.
        bias: ``[N]``, dtype of ``x``.
        norm: Gain ``[K]`` of an RMSNorm of ``x`` in front, dtype of ``x``; None for no norm.
        scale: The norm's result times ``1 + scale``: ``[K]``, or ``[S, K]`` where S divides the rows and each row of it
            serves as many rows of ``x``; dtype of ``x`` or float32.
        eps: Added to the mean square, >= 0.
        residual: Added to ``x`` in front of the norm, shape and dtype of ``x``.
        add: Added to the result, ``[..., N]``, dtype of ``x``.
        gated: The weight's rows alternate gate and up; the result is ``silu(gate) * up``, ``[..., N / 2]``.
        rotation: Cosine and sine of each pair's angle, float32 ``[L, D / 2, 2]`` or one of each row's own
            ``[B * L, D / 2, 2]``: the result's columns are q, k and v side by side, split into heads of D, q and k
            with their pairs ``(y[2i], y[2i + 1])`` turned.
        tail_k, tail_v: ``[B, n_kv_heads, T, D]``, dtype of ``x``: put in front of k and v.
        n_heads, n_kv_heads: Of the rotation.
        length: L where a rotation has a row for every row of ``x``; None for all its rows.
        stream: Stream or device to run on; None for MLX's default.

    Returns:
        ``y``, dtype of ``x``; with ``rotation`` q ``[B, n_heads, L, D]``, k and v ``[B, n_kv_heads, T + L, D]``; with
        ``residual`` also, as the last of a tuple, ``x + residual`` rounded to the dtype of ``x``, of which the norm is
        taken. Computed in float32, rounded once. A row's result does not depend on the other rows.

    Raises:
        ValueError: a shape or dtype differs from the above.

    Source: MLX's ``mx.quantize``; Zhang & Sennrich 2019, Shazeer 2020, Su et al. 2021. Defined in
    ``reference/skinny_linear.py``.
    """
    checked = request(
        x,
        weight,
        scales,
        biases,
        bias=bias,
        norm=norm,
        scale=scale,
        eps=eps,
        residual=residual,
        add=add,
        gated=gated,
        rotation=rotation,
        tail_k=tail_k,
        tail_v=tail_v,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        length=length,
    )
    return cast("mx.array | tuple[mx.array, ...]", select.run(OP, checked, stream))


def request(
    x: mx.array,
    weight: mx.array,
    scales: mx.array | None = None,
    biases: mx.array | None = None,
    *,
    bias: mx.array | None = None,
    norm: mx.array | None = None,
    scale: mx.array | None = None,
    eps: float = 1e-5,
    residual: mx.array | None = None,
    add: mx.array | None = None,
    gated: bool = False,
    rotation: mx.array | None = None,
    tail_k: mx.array | None = None,
    tail_v: mx.array | None = None,
    n_heads: int = 0,
    n_kv_heads: int = 0,
    length: int | None = None,
) -> SkinnyLinear:
    """The checked call."""
    _check.floating(OP, x=x)
    rows = _rows(x)
    _check_weight(x, weight, scales, biases)
    n = weight.shape[0]
    _check_row("bias", bias, n, x)
    _check_row("norm", norm, x.shape[-1], x)
    _check_prologue(x, rows, norm, scale, residual)
    _check_forms(x, n, add, gated, rotation)
    length = _check_heads(x, n, rows, rotation, (tail_k, tail_v), n_heads, n_kv_heads, length)
    return SkinnyLinear(
        x,
        weight,
        scales,
        biases,
        bias,
        norm,
        scale,
        _check.positive(OP, "eps", eps, or_zero=True),
        residual,
        add,
        bool(gated),
        length,
        rotation,
        tail_k,
        tail_v,
        n_heads,
        n_kv_heads,
    )


def _rows(x: mx.array) -> int:
    rows = x.size // x.shape[-1] if x.ndim and x.shape[-1] else 0
    if rows < 1:
        raise _check.fail(OP, "x", "[..., K] of at least one row with K >= 1", f"shape {x.shape}")
    return rows


def _typed(name: str, value: Any, x: mx.array, *others: mx.Dtype) -> None:
    _check.floating(OP, **{name: value})
    _check.dtype(OP, name, value, x.dtype, *others)


def _check_row(name: str, row: mx.array | None, width: int, x: mx.array) -> None:
    if row is not None:
        _typed(name, row, x)
        _check.shape(OP, name, row, (width,))


def _check_weight(x: mx.array, weight: mx.array, scales: mx.array | None, biases: mx.array | None) -> None:
    _check.array(OP, weight=weight)
    _check.ndim(OP, "weight", weight, "[N, K]")
    k = x.shape[-1]
    if scales is None and biases is None:
        _typed("weight", weight, x)
        if weight.shape[0] < 1 or weight.shape[1] != k:
            raise _check.fail(OP, "weight", f"shape (N, {k}) with N >= 1", f"{weight.shape}")
        return
    for name, parts in (("scales", scales), ("biases", biases)):
        _typed(name, parts, x, mx.float32)
        _check.ndim(OP, name, parts, "[N, K / group_size]")  # type: ignore[arg-type]
    assert scales is not None
    assert biases is not None
    _check.dtype(OP, "weight", weight, mx.uint32)
    _check.shape(OP, "biases", biases, scales.shape)
    _check.dtype(OP, "biases", biases, scales.dtype)
    if not any(k % group == 0 and scales.shape == (weight.shape[0], k // group) for group in _GROUPS):
        expected = f"shape ({weight.shape[0]}, {k} / group_size), group_size one of {', '.join(map(str, _GROUPS))}"
        raise _check.fail(OP, "scales", expected, f"{scales.shape}")
    if not any(weight.shape[1] * 32 == k * bits for bits in _BITS) or weight.shape[0] < 1:
        expected = f"shape (N, {k} * bits / 32), bits one of {', '.join(map(str, _BITS))}"
        raise _check.fail(OP, "weight", expected, f"{weight.shape}")


def _check_prologue(
    x: mx.array, rows: int, norm: mx.array | None, scale: mx.array | None, residual: mx.array | None
) -> None:
    for name, value in (("scale", scale), ("residual", residual)):
        if value is not None and norm is None:
            raise _check.fail(OP, name, "None without a norm", f"shape {value.shape}")
    if residual is not None:
        _typed("residual", residual, x)
        _check.shape(OP, "residual", residual, x.shape)
    if scale is None:
        return
    _typed("scale", scale, x, mx.float32)
    k = x.shape[-1]
    many = scale.ndim == 2 and scale.shape[0] >= 1 and rows % scale.shape[0] == 0 and scale.shape[1] == k
    if not many and scale.shape != (k,):
        raise _check.fail(OP, "scale", f"shape ({k},) or (S, {k}), S a divisor of {rows}", f"{scale.shape}")


def _check_forms(x: mx.array, n: int, add: mx.array | None, gated: bool, rotation: mx.array | None) -> None:
    forms = {"add": add is not None, "gated": bool(gated), "rotation": rotation is not None}
    if sum(forms.values()) > 1:
        given = " and ".join(name for name, there in forms.items() if there)
        raise _check.fail(OP, "epilogue", "one of add, gated and rotation", given)
    if gated and n % 2:
        raise _check.fail(OP, "weight", "an even number of rows, gate and up in turn", f"{n}")
    if add is not None:
        _typed("add", add, x)
        _check.shape(OP, "add", add, (*x.shape[:-1], n))


def _check_heads(
    x: mx.array,
    n: int,
    rows: int,
    rotation: mx.array | None,
    tails: tuple[mx.array | None, mx.array | None],
    n_heads: int,
    n_kv_heads: int,
    length: int | None,
) -> int:
    """L; 0 without a rotation."""
    if rotation is None:
        for name, value in (("tail_k", tails[0]), ("tail_v", tails[1]), ("length", length)):
            if value is not None:
                raise _check.fail(OP, name, "None without a rotation", _check.shown(value))
        return 0
    for name, count in (("n_heads", n_heads), ("n_kv_heads", n_kv_heads)):
        _check.integer(OP, name, count, 1)
    _check.array(OP, rotation=rotation)
    _check.dtype(OP, "rotation", rotation, mx.float32)
    turns = rotation.shape[0] if rotation.ndim == 3 else 0
    found = turns if length is None else _check.integer(OP, "length", length, 1)
    dim = 2 * rotation.shape[1] if turns else 0
    fits = dim > 0 and rotation.shape[2] == 2 and 1 <= found <= rows and rows % found == 0
    if not fits or turns not in (found, rows):
        expected = f"[L, D / 2, 2] or one of each of the {rows} rows, L a divisor of them"
        raise _check.fail(OP, "rotation", expected, f"shape {rotation.shape}")
    if n != (n_heads + 2 * n_kv_heads) * dim:
        expected = f"{(n_heads + 2 * n_kv_heads) * dim} rows, those of q, k and v"
        raise _check.fail(OP, "weight", expected, f"{n}")
    if (tails[0] is None) != (tails[1] is None):
        raise _check.fail(OP, "tail_v", "both tails or none", "one")
    for name, tail in (("tail_k", tails[0]), ("tail_v", tails[1])):
        if tail is not None:
            _typed(name, tail, x)
            _check.ndim(OP, name, tail, "[B, Hkv, T, D]")
            _check.shape(OP, name, tail, (rows // found, n_kv_heads, tails[0].shape[2], dim))  # type: ignore[union-attr]
    return found


# Public name -> its checked call, for `explain`.
REQUESTS = {"skinny_linear": request}
