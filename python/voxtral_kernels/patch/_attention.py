"""A host's attention, served by `sliding_window_attention` out of our cache."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from .. import _check
from ..backends import plan, transforms
from ..backends.plan import Heads
from ..caches import KVCache, LinearKVCache, RingKVCache
from ..models import rope

OP = "sliding_window_attention"
# The attribute of a host's cache object that holds ours.
_SLOT = "_voxtral_kernels_cache"
_FEW = 16  # rows of an output that a host's cache may keep alive until the next call
Rotate = Callable[[mx.array, int], mx.array]


class Tables:
    """Interleaved rotary positions from float64 angles; the layers of a stack share one, hence one table a chunk.

    Args:
        head_dim: D.
        theta: Base of the frequencies.
    """

    def __init__(self, head_dim: int, theta: float) -> None:
        self._sizes = head_dim, theta
        self._held: tuple[tuple[int, int], mx.array] | None = None

    def rotation(self, offset: int, length: int) -> mx.array:
        """As `rope.rotation`."""
        held, key = self._held, (offset, length)
        if held is None or held[0] != key:
            self._held = held = key, self._made(offset, length)
        return held[1]

    def _made(self, offset: int, length: int) -> mx.array:
        return rope.rotation(offset, length, *self._sizes)


class StockTables(Tables):
    """As the realtime hosts make them: float32 angles on the device, those of MLX's own rotation."""

    def _made(self, offset: int, length: int) -> mx.array:
        dim, theta = self._sizes
        ones = mx.broadcast_to(mx.array([1.0, 0.0]), (1, 1, length, dim // 2, 2)).flatten(3)
        turned = mx.fast.rope(ones, dim, traditional=True, base=theta, scale=1.0, offset=offset)
        return turned.reshape(length, dim // 2, 2)


@dataclass(frozen=True)
class Spec:
    """What an attention module is, said once a layer.

    Args:
        names: Children for q, k, v and out.
        n_heads, n_kv_heads, head_dim: Sizes.
        scale: Factor of the scores.
        rotate: The angles of the positions, or what rotates ``[B, H, L, D]`` from an absolute position on.
        window: Visible keys in a call without a cache; None for plain causal.
        new_cache: Our cache for a host's fresh cache object.
        offset: Attribute of the host's cache that counts its positions.
        axes: The host looks at the axes of what its cache shows as keys.
    """

    names: tuple[str, str, str, str]
    n_heads: int
    n_kv_heads: int
    head_dim: int
    scale: float
    rotate: Tables | Rotate
    window: int | None
    new_cache: Callable[[Any], KVCache]
    offset: str
    axes: bool = False

    @functools.cached_property
    def heads(self) -> Heads:
        """What the attention is."""
        rotates = isinstance(self.rotate, Tables)
        return Heads(self.n_heads, self.n_kv_heads, self.head_dim, packed=False, rotates=rotates)


def ring(window: int | None, capacity: str | None, layer: int, n_layers: int, bits: int) -> Callable[[Any], KVCache]:
    """Makes the cache of one layer; the commits of the layers spread over the steps.

    Args:
        window: Visible keys; None for those that the host's cache would hold, in its attribute ``capacity``.
        capacity: None: the host's cache has no bound, nor has ours then.
        layer, n_layers: Which of how many.
        bits: See `RingKVCache`.
    """

    def new(host_cache: Any) -> KVCache:
        bound = window if window is not None or capacity is None else getattr(host_cache, capacity)
        phase = layer / n_layers
        if bound is None:
            return LinearKVCache(bits=bits, phase=phase, lazy=True)
        return RingKVCache(bound, bits=bits, phase=phase, lazy=True)

    return new


def serve(module: Any, x: mx.array, cache: Any, offset: int | None = None) -> mx.array:
    """Causal attention of the newest positions.

    Args:
        module: Stand-in with the projections and ``_spec``.
        x: ``[B, L, D]``, or ``[L, D]`` of one sequence; L = 0 gives an empty result.
        cache: The host's cache object, ours, or None.
        offset: Absolute position of the first row; None: that of the cache, or 0.

    Returns:
        The shape of ``x``.
    """
    spec: Spec = module._spec
    if x.shape[-2] == 0:
        return x
    query, key, value, out = spec.names
    # As rows a projection is one node of the graph; MLX flattens and unflattens around a matmul of more axes.
    batch, length = x.shape[:-1] if x.ndim == 3 else (1, x.shape[0])
    rows = mx.flatten(x, 0, 1) if x.ndim == 3 else x
    qkv = module[query](rows), module[key](rows), module[value](rows)
    ours = None
    if cache is not None:
        refuse_transformation(cache, qkv[0])
        ours = behind(cache, spec)
    if offset is None:
        offset = 0 if ours is None else ours.offset
    plans = plan.plans(batch, length, qkv[0].dtype, stateful=ours is not None)
    y = _attended(plans, spec, qkv, ours, offset)
    if ours is not None and ours is not cache:
        show(cache, ours, spec, y, plans)
    found: mx.array = module[out](y)
    return mx.unflatten(found, 0, (batch, length)) if x.ndim == 3 else found


def show(cache: Any, ours: KVCache, spec: Spec, y: mx.array, plans: plan.Plans) -> None:
    """Let a host's cache object say how far ours is, and what it depends on.

    Args:
        cache: The host's.
        ours: Behind it.
        spec: Of the attention.
        y: Rows ``[B * L, ...]`` that were computed behind it.
        plans: For these rows.
    """
    setattr(cache, spec.offset, ours.offset)
    # The hosts evaluate these to bound their graph; they hold no keys, only the dependency.
    shown = y if plans.length <= _FEW else y[:0]
    cache.keys = cache.values = y[:, :0].reshape(plans.batch, 1, plans.length, 0) if spec.axes else shown


def _attended(
    plans: plan.Plans, spec: Spec, qkv: tuple[mx.array, mx.array, mx.array], ours: KVCache | None, offset: int
) -> mx.array:
    """Rows ``[B * L, Hq * D]`` from the projections' rows."""
    heads, rotation = spec.heads, None
    if isinstance(spec.rotate, Tables):
        rotation = spec.rotate.rotation(offset, plans.length)
    else:
        shape = (plans.batch, plans.length, -1, spec.head_dim)
        q, k, v = (a.reshape(shape).transpose(0, 2, 1, 3) for a in qkv)
        qkv = spec.rotate(q, offset), spec.rotate(k, offset), v
    if ours is not None:
        return ours._attend(plans, heads, qkv, rotation, ours.window, spec.scale)
    append, attend, *_ = plans.attention(heads, spec.window, 0, 0)
    q, k, v = append(*qkv, rotation, None, None, heads.n_heads, heads.n_kv_heads)
    return attend(q, None, 0, k, v, spec.window, spec.scale, True)


def refuse_transformation(cache: Any, x: mx.array) -> None:
    """A cache must not take what is made of ``x`` inside a transformation of functions."""
    if transforms.in_transformation(x):
        raise _check.fail(OP, "cache", "None inside mx.compile, mx.grad or mx.vmap", type(cache).__name__)


def behind(cache: Any, spec: Spec) -> KVCache:
    """Our cache for a host's cache object: made at its first use, and kept with it."""
    if isinstance(cache, KVCache):
        return cache
    ours: KVCache | None = vars(cache).get(_SLOT)
    if ours is None:
        if cache.keys is not None:
            got = f"one with {getattr(cache, spec.offset)} positions from before accelerate(): start a new session"
            raise _check.fail("accelerate", "cache", "an empty cache", got)
        ours = spec.new_cache(cache)
        vars(cache)[_SLOT], vars(cache)["update_and_fetch"] = ours, _refuse
    elif getattr(cache, spec.offset) != ours.offset:
        got = f"one moved to {getattr(cache, spec.offset)} from outside"
        raise _check.fail("accelerate", "cache", f"a cache at position {ours.offset}", got)
    return ours


def _refuse(*_: Any, **__: Any) -> Any:
    """In place of ``update_and_fetch`` of a host's cache whose keys are in ours."""
    got = "one that began accelerated: after undo(), or with a mask array of your own, start a new session"
    raise _check.fail("accelerate", "cache", "a cache of the host's own", got)


def nbytes(caches: list[Any]) -> int:
    """Bytes that the hosts' cache objects hold, in our caches or their own."""
    total = 0
    for cache in caches:
        ours = vars(cache).get(_SLOT)
        held = (cache.keys, cache.values) if ours is None else ()
        total += ours.nbytes if ours is not None else sum(a.nbytes for a in held if a is not None)
    return total


def is_given(mask: Any) -> bool:
    """Whether a mask is an array of the caller's, which only the host's own attention can honour."""
    return isinstance(mask, mx.array)
