"""Choices made once: what serves a step of a model, below the public ops and their checks.

The public ops look at every argument and choose anew at each call. A model knows its own arrays: `plans` gives it what
serves its rows of one batch, length and dtype, chosen at the first call of each form and used while only positions
move. What a choice depends on beside that, `select.context`, is looked at once a step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import mlx.core as mx

from ..reference.ada_rms_norm import AdaRmsNorm
from ..reference.kv_append import KvAppend
from ..reference.ring import empty_ring
from ..reference.rope_append import RopeAppend
from ..reference.silu_mul import SiluMul
from ..reference.skinny_linear import SkinnyLinear
from ..reference.sliding_window_attention import SlidingWindowAttention
from ..reference.streams import table
from . import native, select
from .select import Backend, Choice

# Lengths and dtypes differ little within a process; more than this many are begun anew.
_KEPT = 64


@dataclass(frozen=True, eq=False)
class Form:
    """What a projection is and what stands around it, as `SkinnyLinear` has it; equal ones are one object: `form`."""

    n: int
    k: int
    dtype: mx.Dtype  # of the bias and of a plain weight
    bits: int  # 0: a plain weight
    group_size: int
    scales: mx.Dtype | None
    bias: bool
    norm: bool = False
    scale: mx.Dtype | None = None
    add: bool = False
    gated: bool = False


form = functools.cache(Form)


class Heads(NamedTuple):
    """What an attention is.

    Args:
        n_heads, n_kv_heads, dim: Sizes.
        packed: q, k and v come in one row.
        rotates: q and k are turned by the angles of their positions; False: they are already, and come as
            ``[B, H, L, D]``.
        projection: q, k and v are still to be made: what comes is the input and the operands of a projection of this
            form, the fields of `SkinnyLinear` up to its length.
    """

    n_heads: int
    n_kv_heads: int
    dim: int
    packed: bool = True
    rotates: bool = True
    projection: Form | None = None


class Attention(NamedTuple):
    """What serves an attention behind a ring of one capacity and a tail of one length.

    Args:
        append: ``(q, k, v, rotation, tail_k, tail_v, n_heads, n_kv_heads)`` to q ``[B, Hq, L, D]`` and both tails.
        attend: The fields of the request to rows ``[B * L, Hq * D]``.
        commit: ``(ring, start, k, v, after)``, of streams also ``streams``, to the ring that holds them.
        backend: Of the attention.
    """

    append: Callable[..., Any]
    attend: Callable[..., mx.array]
    commit: Callable[..., mx.array]
    backend: Backend


class Plans:
    """What serves ``batch * length`` rows of one dtype.

    Args:
        batch, length, dtype: Of the rows.
        stateful: A step behind caches. Otherwise the plans can be differentiated through.
        apart: The rows come from different streams: each has a position and a scale of its own.
    """

    def __init__(self, batch: int, length: int, dtype: mx.Dtype, *, stateful: bool, apart: bool = False) -> None:
        self.batch, self.length, self.dtype, self.stateful, self.apart = batch, length, dtype, stateful, apart
        self.linear = native.linear_function(batch * length) if batch * length else None
        self.choices: dict[tuple[str, str], Choice] = {}
        self._chosen: dict[tuple[Any, ...], Choice] = {}
        self.norm = functools.cache(self._norm)
        self.silu_mul = functools.cache(self._silu_mul)
        self.projection = functools.cache(self._projection)
        self.heads = functools.cache(self._heads)
        self.attentions: dict[tuple[Heads, int | None, int, int, int], Attention] = {}
        self.streams: dict[tuple[Heads, int | None, int, int, int], Attention] = {}
        self._tailed: dict[tuple[Heads, int | None, int, int], tuple[SlidingWindowAttention, Choice, Attention]] = {}
        self._any_tail = True

    def _norm(self, dim: int, scale: mx.Dtype | None, residual: bool) -> Callable[..., Any]:
        """With a weight; the dtype of the scale ``[dim]`` or None; of rows ``[B * L, dim]``."""
        x = self._zeros(self.batch * self.length, dim)
        request = AdaRmsNorm(
            x,
            self._zeros(dim),
            None if scale is None else mx.zeros((dim,), scale),
            1e-5,
            x if residual else None,
        )
        return self._prepared("ada_rms_norm", request)

    def _silu_mul(self, dim: int) -> Callable[..., mx.array]:
        """Of rows ``[B * L, 2 dim]``."""
        return self._prepared("silu_mul", SiluMul(self._zeros(self.batch * self.length, 2 * dim)))

    def _projection(self, form: Form, heads: Heads | None = None) -> Callable[..., Any] | None:
        """Of rows ``[B * L, K]``: the fields of `SkinnyLinear` to its result, split where heads are given.

        None where it has no kernel here, for as many rows: then the ops that it stands for serve one by one.
        """
        if self.batch * self.length == 0 or form.dtype != self.dtype:
            return None
        request = self._skinny_linear(form, heads, [None, None])
        try:
            choice = select.select("skinny_linear", request)
        except RuntimeError:  # a backend that was asked for by name has the single ops only
            return None
        if choice.backend == "composed":
            return None
        self.choices.setdefault(("skinny_linear", choice.variant), choice)
        return self._function(choice.implementation, request)

    def _skinny_linear(self, form: Form, heads: Heads | None, tails: list[Any]) -> SkinnyLinear:
        rows, n, k = self.batch * self.length, form.n, form.k
        scales = None if form.scales is None else mx.zeros((n, k // form.group_size), form.scales)
        weight = self._zeros(n, k) if scales is None else mx.zeros((n, k * form.bits // 32), mx.uint32)
        return SkinnyLinear(
            self._zeros(rows, k),
            weight,
            scales,
            scales,
            self._zeros(n) if form.bias else None,
            self._zeros(k) if form.norm else None,
            None if form.scale is None else mx.zeros((rows, k) if self.apart else (k,), form.scale),
            1e-5,
            None,
            self._zeros(rows, n) if form.add else None,
            form.gated,
            0 if heads is None else self.length,
            None if heads is None else mx.zeros((rows if self.apart else self.length, heads.dim // 2, 2), mx.float32),
            tails[0],
            tails[1],
            0 if heads is None else heads.n_heads,
            0 if heads is None else heads.n_kv_heads,
        )

    def _heads(self, heads: Heads) -> Callable[..., Any]:
        """The ``append`` of an `Attention` without tails: only q, k and v of the rows."""
        return self._append(heads, [None, None])

    def attention(self, heads: Heads, window: int | None, capacity: int, n_tail: int, bits: int = 16) -> Attention:
        """Behind a ring of this capacity (0: nothing is committed) and bits, and a tail of this length."""
        key = heads, window, capacity, n_tail, bits
        found = self.attentions.get(key)
        if found is None:
            found = self.attentions[key] = self._alike(*key) or self._attention(*key)
        return found

    def _alike(self, heads: Heads, window: int | None, capacity: int, n_tail: int, bits: int) -> Attention | None:
        """What serves another tail's length, where it serves this one as well."""
        held = self._tailed.get((heads, window, capacity, bits))
        if n_tail == 0 or held is None or not self._any_tail:
            return None
        request, choice, found = held
        longer = self._zeros(self.batch, heads.n_kv_heads, n_tail + self.length, heads.dim)
        name, _ = choice.implementation.variant(replace(request, tail_k=longer, tail_v=longer))
        return found if name == choice.variant else None

    def _attention(self, heads: Heads, window: int | None, capacity: int, n_tail: int, bits: int) -> Attention:
        kv = (self.batch, heads.n_kv_heads)
        tails = [self._zeros(*kv, n_tail, heads.dim) if n_tail else None for _ in range(2)]
        grown = self._zeros(*kv, n_tail + self.length, heads.dim)
        q = self._zeros(self.batch, heads.n_heads, self.length, heads.dim)
        ring = empty_ring(kv, capacity, heads.dim, self.dtype, bits) if capacity else None
        request = SlidingWindowAttention(q, ring, capacity, grown, grown, window, heads.dim**-0.5, True)
        append = self._append(heads, tails)
        choice = self._choice("sliding_window_attention", request, heads, window, capacity)
        backend = choice.implementation
        found = Attention(append, self._function(backend, request), backend.prepare_commit(request), backend)
        if n_tail:
            self._tailed[heads, window, capacity, bits] = request, choice, found
        return found

    def together(self, heads: Heads, window: int | None, capacity: int, n_tail: int, bits: int = 16) -> Attention:
        """`attention` of as many streams as the batch, with a tail of so many rows in all; ``append`` has no tails."""
        key = heads, window, capacity, n_tail, bits
        general = heads, window, capacity, 0, bits
        found = self.streams.get(general) or self.streams.get(key)
        if found is not None:
            return found
        rows = self._zeros(n_tail, heads.n_kv_heads, 1, heads.dim)
        q = self._zeros(self.batch, heads.n_heads, self.length, heads.dim)
        kv = self.batch, heads.n_kv_heads
        ring = empty_ring(kv, capacity, heads.dim, self.dtype, bits) if capacity else None
        where = table(tuple((i, capacity, i * self.length, self.length) for i in range(self.batch)))
        request = SlidingWindowAttention(q, ring, capacity, rows, rows, window, heads.dim**-0.5, True, where)
        backend = self._choice("sliding_window_attention", request, "streams", *key).implementation
        made = self.heads(heads), self._function(backend, request), backend.prepare_commit(request), backend
        if len(self.streams) >= _KEPT:
            self.streams.clear()
        found = self.streams[general if backend.any_tail else key] = Attention(*made)
        return found

    def _append(self, heads: Heads, tails: list[Any]) -> Callable[..., Any]:
        if heads.projection is not None:
            return self._prepared(
                "skinny_linear", self._skinny_linear(heads.projection, heads, tails), heads, tails[0] is None
            )
        return self._rope_append(heads, tails) if heads.rotates else self._kv_append(heads, tails)

    def _rope_append(self, heads: Heads, tails: list[Any]) -> Callable[..., Any]:
        rows = self.batch * self.length
        both = heads.n_kv_heads * heads.dim
        k = None if heads.packed else self._zeros(rows, both)
        q = self._zeros(rows, heads.n_heads * heads.dim + (2 * both if heads.packed else 0))
        rotation = mx.zeros((self.length, heads.dim // 2, 2), mx.float32)
        request = RopeAppend(q, k, k, rotation, tails[0], tails[1], heads.n_heads, heads.n_kv_heads)
        return self._prepared("rope_append", request, heads, tails[0] is None)

    def _kv_append(self, heads: Heads, tails: list[Any]) -> Callable[..., Any]:
        if tails[0] is None:
            return lambda q, k, v, *_: (q, k, v)
        new = self._zeros(self.batch, heads.n_kv_heads, self.length, heads.dim)
        append = self._prepared("kv_append", KvAppend(tails[0], tails[1], new, new), heads)
        return lambda q, k, v, _, tail_k, tail_v, *__: (q, *append(tail_k, tail_v, k, v))

    def _zeros(self, *shape: int) -> mx.array:
        return mx.zeros(shape, self.dtype)

    def _prepared(self, op: str, request: Any, *form: Any) -> Callable[..., Any]:
        return self._function(self._choice(op, request, *form).implementation, request)

    def _choice(self, op: str, request: Any, *form: Any) -> Choice:
        """One for each ``form``: a tail that is longer by a step is served by what served it before."""
        choice = self._chosen.get((op, *form)) if form else None
        if choice is None or choice.implementation.variant(request)[0] != choice.variant:
            choice = self._chosen[(op, *form)] = select.select(op, request)
            self.choices.setdefault((op, choice.variant), choice)
        self._any_tail = self._any_tail and choice.implementation.any_tail
        return choice

    def _function(self, backend: Backend, request: Any) -> Callable[..., Any]:
        return backend.prepare(request) if self.stateful else Backend.prepare(backend, request)


_plans: dict[tuple[Any, ...], Plans] = {}


def plans(batch: int, length: int, dtype: mx.Dtype, *, stateful: bool = True, apart: bool = False) -> Plans:
    """The plans for these rows, as the device, the backend asked for by name and what is loaded here have it now.

    Args:
        batch, length, dtype, stateful, apart: As for `Plans`.

    Raises:
        RuntimeError: when one is made, as `select.select`.
    """
    key = batch, length, dtype, stateful, apart, select.context()
    found = _plans.get(key)
    if found is None:
        while len(_plans) >= _KEPT:
            _plans.pop(next(iter(_plans)), None)  # the oldest: those in use now stay
        found = _plans[key] = Plans(batch, length, dtype, stateful=stateful, apart=apart)
    return found


def standing() -> list[Plans]:
    """The plans of steps as things stand."""
    now = select.context()
    return [p for key, p in _plans.items() if key[-1] == now]
