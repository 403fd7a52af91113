"""Launches ``kernels/skinny_linear.metal``."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from ..backends.source import Factory, floats, ints, kernel
from ..reference.skinny_linear import MAX_ROWS, SkinnyLinear
from ._skinny_canary import small_like
from ._skinny_sizes import COPIED, behind_tail, columns, columns_of_a_lane, read_again, rows, threads, width

FILES = ("skinny_linear.metal", "skinny_linear_heads.metal")
VARIANTS = ("product", "gated", "heads")
PROLOGUE = ("x", "weight", "scales", "biases", "bias", "norm", "scale")


def unsupported(r: SkinnyLinear) -> list[str]:
    """Sentences that say why the kernel cannot serve the request; empty when it can."""
    many = f"{r.rows} rows; the kernel takes up to {MAX_ROWS}: for more stock MLX's matmul is as good."
    odd = f"D = {r.dim}; the kernel takes multiples of {COPIED}."
    return [*([many] if r.rows > MAX_ROWS else []), *([odd] if r.dim % COPIED else [])]


def variant(r: SkinnyLinear) -> tuple[str, str]:
    """The form, and why."""
    name = "heads" if r.rotation is not None else "gated" if r.gated else "product"
    share = read_again(r) / columns(r)
    return name, (
        f"An instance for {rows(r)} rows reads every weight once; a row's sums are those of one row alone. "
        f"{columns(r)} columns a threadgroup: {100 * share:.1f} % of the weights' bytes are read again of x."
    )


def cpu_variant(r: SkinnyLinear, lanes: int) -> tuple[str, str]:
    """What the extension does on a CPU with vectors of ``lanes`` floats, and why."""
    return variant(r)[0], "A thread takes whole columns and reads their weights once for all rows."


def template(r: SkinnyLinear) -> list[tuple[str, Any]]:
    """The template arguments: dtypes and sizes; nothing that changes as a stream moves."""
    return [
        ("T", r.x.dtype),
        ("U", r.x.dtype if r.scale is None else r.scale.dtype),
        ("S", r.x.dtype if r.scales is None else r.scales.dtype),
        ("BITS", r.bits),
        ("V", width(r)),
        ("ROWS", rows(r)),
        ("COLUMNS", columns_of_a_lane(r)),
    ]


def canary(r: SkinnyLinear) -> SkinnyLinear:
    """A small request with the same template arguments: all operands, two units of K, a ragged end of both sizes."""
    return small_like(r, 264, 2 * columns(r) - 6, 2 * COPIED)


def prepare(r: SkinnyLinear, factory: Factory, stream: mx.Stream | mx.Device | None) -> Callable[..., Any]:
    """`launch` for every request of this form, whatever its tail's length, by the request's fields."""
    n, k = r.weight.shape[0], r.x.shape[-1]
    present = (r.bias, r.norm, r.scale, r.residual, r.add, r.gated or None)
    options = sum(1 << i for i, value in enumerate(present) if value is not None)
    per_scale = r.rows // r.scale.shape[0] if r.scale is not None and r.scale.ndim == 2 else r.rows
    numbers = ints(r.rows, k, n, options, per_scale, r.group_size or 1)
    names, sizes, outputs, shapes = ["add"], ["sizes"], ["y"], [(*r.x.shape[:-1], n // 2 if r.gated else n)]
    if r.rotation is not None:
        names, sizes = ["rotation", "tail_k", "tail_v"], ["sizes", "layout"]
        outputs, shapes = ["out_q", "out_k", "out_v"], []
    body = "skinny_linear" if r.rotation is None else "skinny_linear_heads"
    if r.residual is not None:
        body, names = f"{body}_residual", ["residual", *names]
        outputs, shapes = [*outputs, "h"], [*shapes, r.x.shape]
    names = [*PROLOGUE, *names]
    run = kernel(factory, FILES[r.rotation is not None], body, (*names, *sizes, "eps"), tuple(outputs))
    fixed = {
        "template": template(r),
        "threadgroup": (threads(r), 1, 1),
        "output_dtypes": [r.x.dtype] * len(outputs),
        "stream": stream,
    }
    fields = tuple(r.__dataclass_fields__)
    at_tail = fields.index("tail_k")
    # x for what the form has not: it is not read.
    operands = operator.itemgetter(*(0 if getattr(r, name) is None else fields.index(name) for name in names))
    behind: dict[int, tuple[list[mx.array], dict[str, Any]]] = {}

    def linear(*values: Any) -> Any:
        n_tail = 0 if (tail := values[at_tail]) is None else tail.shape[2]
        if n_tail not in behind:
            layout, groups, heads = behind_tail(r, n_tail)
            size = {"grid": (groups * threads(r), 1, 1), "output_shapes": [*heads, *shapes]}
            behind[n_tail] = [numbers, *layout], fixed | size
        found_numbers, arguments = behind[n_tail]
        found = run(inputs=[*operands(values), *found_numbers, floats(values[7])], **arguments)
        return found[0] if len(found) == 1 else tuple(found)

    return linear


def launch(r: SkinnyLinear, factory: Factory, stream: mx.Stream | mx.Device | None) -> Any:
    """As `reference.skinny_linear.composed`."""
    # Where x stands for operands that are absent too, MLX would copy it for each.
    return prepare(r, factory, stream)(*(vars(r) | {"x": mx.contiguous(r.x, stream=stream)}).values())
