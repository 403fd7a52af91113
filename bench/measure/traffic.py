"""Device bytes of each kernel as docs/kernels.md derives them from its decomposition."""

from __future__ import annotations

from typing import Any

from voxtral_kernels.dispatch import _attention_variants as attention
from voxtral_kernels.dispatch import _skinny_sizes as sizes
from voxtral_kernels.dispatch import ada_rms_norm as norm
from voxtral_kernels.dispatch import causal_conv1d_gelu as conv
from voxtral_kernels.reference.ring import SCALE, is_quantised


def derived_bytes(op: str, r: Any) -> int:
    """What the chosen variant should move for this request, counted as lanes ask for it (no cache)."""
    if op == "skinny_linear":
        return _skinny(r)
    modules: dict[str, Any] = {"ada_rms_norm": norm, "causal_conv1d_gelu": conv, "sliding_window_attention": attention}
    figures: dict[str, Any] = {
        "registers": _norm,
        "looped": _norm,
        "vector": _conv_vector if op == "causal_conv1d_gelu" else _attention_few,
        **dict.fromkeys(("vector_split", "staged", "staged_split"), _attention_few),
        "tiled": _conv_tiled if op == "causal_conv1d_gelu" else _attention_tiled,
    }
    total: int = figures[modules[op].variant(r)[0]](r)
    return total


def _norm(r: Any) -> int:
    dim, size = r.x.shape[-1], r.x.dtype.size
    rows = r.x.size // dim
    again = max(0, dim - norm.MAX_THREADS * norm.pieces(r.x) * norm.width(r.x))
    scale = 0 if r.scale is None else r.scale.dtype.size
    gain = 0 if r.weight is None else size
    through = (2 if r.residual is None else 4) * size
    return rows * (dim * (through + gain + scale) + again * size)


def _attention_few(r: Any) -> int:
    """Keys once a block of rows (of the vector form one block), queries once a split, sums out and in."""
    batch, heads, length, dim = r.q.shape
    size, splits, rows, kv_heads = r.q.dtype.size, attention.n_splits(r), batch * heads * length, r.tail_k.shape[1]
    group, block = heads // kv_heads, length * heads
    if attention.variant(r)[0].startswith("staged"):
        each, simds, _ = attention.staged(r)
        block = each * simds
    total = rows * dim * size * (splits + 1)
    for first in range(0, group * length, block):
        last = min(first + block, group * length) - 1
        oldest = r.offset + first // group - (r.window or r.offset + length) + 1
        total += 2 * batch * kv_heads * _rows(r, max(r.ring_start, oldest, 0), r.offset + last // group + 1)
    if splits > 1:
        # Sums and (peak, total) out; the merge reads the sums once, a simdgroup the pairs and then the peaks.
        total += rows * splits * (4 * dim * 2 + 8 + 12 * -(-dim // 32))
    return total


def _rows(r: Any, begin: int, end: int) -> int:
    """Bytes of one head's keys, or values, at these positions, in ring and tail."""
    dim, size = r.q.shape[3], r.q.dtype.size
    in_ring = max(0, min(end, r.ring_end) - begin)
    held = dim + SCALE if r.ring is not None and is_quantised(r.ring) else dim * size
    return in_ring * held + (end - begin - in_ring) * dim * size


def _attention_tiled(r: Any) -> int:
    batch, heads, length, dim = r.q.shape
    kv_heads, size = r.tail_k.shape[1], r.q.dtype.size
    group, (bq, _) = heads // kv_heads, attention.tiles(r)
    rows = group * length
    keys = 0
    for first in range(0, rows, bq):
        last = min(first + bq, rows) - 1
        oldest = r.offset + first // group - (r.window or r.offset + length) + 1
        keys += r.offset + last // group + 1 - max(r.ring_start, oldest, 0)
    return size * (2 * batch * kv_heads * keys * dim + 2 * batch * heads * length * dim)


def _conv_vector(r: Any) -> int:
    (c_out, taps, c_in), size, batch = r.weight.shape, r.x.dtype.size, r.x.shape[0]
    across, down = -(-c_out // conv.CHANNELS), -(-r.n_out // conv.BLOCK)
    padded = min(conv.BLOCK, 1 << (r.n_out - 1).bit_length())
    stored = range(r.pad_left, r.pad_left + r.n_context + r.x.shape[1])
    staged = range((padded - 1) * r.stride + taps)
    frames = sum(block * padded * r.stride + t in stored for block in range(down) for t in staged)
    bias = 0 if r.bias is None else across * down * conv.CHANNELS * padded
    weights = across * down * conv.CHANNELS * taps * c_in
    return size * batch * (weights + across * frames * c_in + bias + r.n_out * c_out)


def _conv_tiled(r: Any) -> int:
    (c_out, taps, c_in), size, batch = r.weight.shape, r.x.dtype.size, r.x.shape[0]
    bm, bn = conv.tiles(r)
    across, down = -(-c_out // bn), -(-r.n_out // bm)
    stored = range(r.pad_left, r.pad_left + r.n_context + r.x.shape[1])
    frames = sum(t * r.stride + k in stored for t in range(down * bm) for k in range(taps))
    bias = 0 if r.bias is None else down * across * 16 * bn
    return size * batch * (down * across * bn * taps * c_in + across * frames * c_in + bias + r.n_out * c_out)


def _skinny(r: Any) -> int:
    """Weights and their scales once; what the rows are made of once a threadgroup; the epilogue's operands once."""
    n, size = r.weight.shape[0], r.x.dtype.size
    total = sum(a.nbytes for a in (r.weight, r.scales, r.biases) if a is not None)
    total += -(-n // sizes.columns(r)) * sizes.bytes_a_threadgroup(r) + (0 if r.residual is None else r.residual.nbytes)
    total += r.rows * size * (n // 2 if r.gated else n * (1 + sum(a is not None for a in (r.bias, r.add))))
    if r.rotation is not None:
        tails = 0 if r.tail_k is None else 4 * r.tail_k.nbytes
        total += tails + 4 * r.rows * (r.n_heads + r.n_kv_heads) * r.dim
    return total
