"""The law of few rows: a row's result is the same, bit for bit, whatever other rows stand in the call (1 to 16 in all).

For each op `families` gives calls of which any rows can be taken; `check` takes some together and each one alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import mlx.core as mx
import numpy as np

from voxtral_kernels import testing
from voxtral_kernels.backends import select
from voxtral_kernels.reference.ring import commit, empty_ring
from voxtral_kernels.reference.sliding_window_attention import SlidingWindowAttention

MOST = 16
SPOILT = float("inf")  # what a row may hold without harm to the others


@dataclass(frozen=True)
class Family:
    """Calls of one op and form, of which rows can be taken.

    Args:
        run: ``(rows, spoilt)`` to the outputs of each row; ``spoilt`` is a row that holds an infinity, or None.
        in_order: The rows are neighbours, in order: positions.
    """

    run: Callable[[list[int], int | None], list[list[mx.array]]]
    in_order: bool = False


def outputs(result):
    return list(result) if isinstance(result, tuple) else [result]


def _spoil(a, row, axis=0):
    if row is not None:
        at = (slice(None),) * axis + (row,)
        a = mx.array(a)
        a[at] = SPOILT
    return a


def _cancelling(r, rows, weights):
    """The second half of each sum is the first, negative: what is left is rounding, which 16 bits show in full."""
    held = {name: getattr(r, name) for name in (*rows, *weights)}
    first = {name: a[..., : a.shape[-1] // 2] for name, a in held.items() if a is not None}
    both = {name: mx.concatenate([a, -a if name in rows else a], axis=-1) for name, a in first.items()}
    return replace(r, bias=None, **both)


def skinny_linear(dtype, seed, *, columns=384, n=37, cancelling=False, **form):
    ref = testing.definition("skinny_linear")
    heads = form.get("form") == "heads"
    request = ref.example(ref.Case(MOST, columns, 0 if heads else n, **form), dtype, seed)
    request = _cancelling(request, ["x"], ["weight", "scales", "biases"]) if cancelling else request

    def run(rows, spoilt):
        taken = mx.array(rows)
        given = {name: getattr(request, name) for name in ("x", "residual", "add")}
        given["x"] = _spoil(given["x"], spoilt)
        given = {name: a[taken] for name, a in given.items() if a is not None}
        if heads:
            given |= {"rotation": request.rotation[taken], "length": len(rows)}
        out = outputs(select.run("skinny_linear", replace(request, **given)))
        return [[mx.take(a, mx.array([i]), axis=2 if heads else 0) for a in out] for i in range(len(rows))]

    return Family(run)


def ada_rms_norm(dtype, seed, *, dim=1280, **form):
    ref = testing.definition("ada_rms_norm")
    request = ref.example(ref.Case(1, MOST, dim, scale="row", **form), dtype, seed)

    def run(rows, spoilt):
        taken = mx.array(rows)
        given = {"x": _spoil(request.x, spoilt, 1)[:, taken]}
        if request.residual is not None:
            given["residual"] = request.residual[:, taken]
        out = outputs(select.run("ada_rms_norm", replace(request, **given)))
        return [[a[:, i] for a in out] for i in range(len(rows))]

    return Family(run)


def silu_mul(dtype, seed, *, dim=75):
    ref = testing.definition("silu_mul")
    request = ref.example(ref.Case(MOST, dim), dtype, seed)

    def run(rows, spoilt):
        out = select.run("silu_mul", replace(request, x=_spoil(request.x, spoilt)[mx.array(rows)]))
        return [[out[i]] for i in range(len(rows))]

    return Family(run)


def rope_append(dtype, seed, *, heads=(4, 2), dim=40):
    ref = testing.definition("rope_append")
    request = ref.example(ref.Case(1, *heads, MOST, dim), dtype, seed)
    x = request.q.reshape(MOST, -1)

    def run(rows, spoilt):
        given = {"q": _spoil(x, spoilt)[mx.array(rows)], "rotation": request.rotation[mx.array(rows)]}
        out = outputs(select.run("rope_append", replace(request, **given, tail_k=None, tail_v=None)))
        return [[a[:, :, i] for a in out] for i in range(len(rows))]

    return Family(run)


def causal_conv1d_gelu(dtype, seed, *, c_in=128, c_out=33, stride=1, kernel=3, cancelling=False):
    ref = testing.definition("causal_conv1d_gelu")
    context = kernel - stride
    request = ref.example(ref.Case(1, MOST * stride, c_in, c_out, kernel, stride, context), dtype, seed)
    request = _cancelling(request, ["x", "context"], ["weight"]) if cancelling else request

    def run(rows, spoilt):
        first, last = rows[0] * stride, (rows[-1] + 1) * stride
        x = request.x if spoilt is None else _spoil(request.x, (spoilt + 1) * stride - 1, 1)
        before = mx.concatenate([request.context, x], axis=1)[:, first : first + context]
        call = replace(request, x=x[:, first:last], context=before)
        return [[row] for row in outputs(select.run("causal_conv1d_gelu", call))[0][0]]

    return Family(run, in_order=True)


def attention(dtype, seed, *, heads=(4, 2), dim=64, window=None, past=100, capacity=None, behind=0, bits=16):
    """The newest ``behind`` positions before the first row are in the tail, however many rows there are."""
    rng = np.random.default_rng(seed)
    q, k, v = (
        mx.array(rng.normal(size=(1, h, past + MOST, dim)).astype(np.float32)) for h in (heads[0], *heads[1:] * 2)
    )
    q, k, v = (a.astype(dtype) for a in (q, k, v))

    def run(rows, spoilt):
        first, end = past + rows[0], past + rows[-1] + 1
        # The ring of 8 bits is that of the first row: what stands in it and what behind it differ in value.
        ring_end = past if bits == 8 else max(0, first - behind)
        values = v if spoilt is None else _spoil(v, past + spoilt, 2)
        ring = empty_ring((1, heads[1]), capacity or window or 256, dim, dtype, bits)
        ring = commit(ring, 0, k[:, :, :ring_end], values[:, :, :ring_end]) if ring_end else None
        call = SlidingWindowAttention(
            q[:, :, first:end], ring, ring_end, k[:, :, ring_end:end], values[:, :, ring_end:end], window, dim**-0.5
        )
        out = select.run("sliding_window_attention", call)
        return [[out[:, :, i]] for i in range(len(rows))]

    return Family(run, in_order=True)


FAMILIES = {
    "skinny_linear": [
        (skinny_linear, {}),
        (skinny_linear, {"columns": 3072, "bias": True, "form": "add"}),
        (skinny_linear, {"bits": 4}),
        (skinny_linear, {"columns": 1024, "cancelling": True}),
        (skinny_linear, {"columns": 1024, "bits": 4, "cancelling": True}),
        (skinny_linear, {"bits": 6, "group": 32, "columns": 128}),
        (skinny_linear, {"bits": 8, "group": 128}),
        (skinny_linear, {"norm": True, "residual": True, "form": "gated", "n": 38}),
        (skinny_linear, {"norm": True, "form": "heads", "heads": (2, 1, 32), "bits": 4, "group": 32}),
    ],
    "ada_rms_norm": [(ada_rms_norm, {}), (ada_rms_norm, {"residual": True, "dim": 33})],
    "silu_mul": [(silu_mul, {})],
    "rope_append": [(rope_append, {})],
    "causal_conv1d_gelu": [
        (causal_conv1d_gelu, {}),
        (causal_conv1d_gelu, {"c_in": 300, "stride": 2}),
        (causal_conv1d_gelu, {"c_in": 256, "cancelling": True}),
    ],
    "sliding_window_attention": [
        (attention, {"heads": (8, 2), "dim": 128, "window": 100}),  # a ring that has wrapped, groups of heads
        (attention, {"window": 30, "past": 75, "behind": 9}),
        (attention, {"heads": (3, 3), "dim": 36, "past": 0}),
        (attention, {"past": 700, "capacity": 1024, "behind": 3}),
        (attention, {"window": 100, "past": 171, "bits": 8}),
        (attention, {"heads": (4, 1), "dim": 20, "past": 40, "bits": 8}),
        # As a decoder's, across the end of a split on a shader.
        (attention, {"heads": (8, 2), "dim": 128, "window": 8192, "past": 1015, "behind": 7}),
        (attention, {"heads": (4, 1), "dim": 32, "window": 600, "past": 1100, "behind": 20}),
        (attention, {"heads": (4, 2), "dim": 64, "past": 505, "capacity": 1024, "bits": 8}),
    ],
}


def check(op, form, dtype, rows, spoilt=None, seed=0):
    """Fails where one of the rows is another number among these than alone.

    Args:
        op: With `FAMILIES`.
        form: Which of them.
        rows: Of 0 to 15, at most 16; for a family ``in_order`` the first and the last count.
        spoilt: One of 0 to 15, which then holds an infinity; its own result is not looked at.
    """
    make, options = FAMILIES[op][form]
    family = make(dtype, seed, **options)
    if family.in_order:
        rows = list(range(min(rows[0], rows[-1]), max(rows[0], rows[-1]) + 1))
    together = family.run(rows, spoilt)
    for row, found in zip(rows, together, strict=True):
        # A position sees those before it.
        if row == spoilt or (family.in_order and spoilt is not None and row > spoilt):
            continue
        for a, b in zip(family.run([row], None)[0], found, strict=True):
            same = np.array_equal(*(np.array(x.astype(mx.float32)).view(np.uint32) for x in (a, b)))
            assert same, f"{op} {options} {dtype}: row {row} differs among {rows}, spoilt {spoilt}"
