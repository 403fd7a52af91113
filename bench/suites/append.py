"""``python -m bench append``: what appending one token to a full ring costs while evaluations are in flight.

Window 8192, 8 key-value heads of 128, bfloat16, every step under ``async_eval``: the extension's commit in place, and a
stock slice update on the same ring. A ring that is copied shows in the peak memory and in the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import mlx.core as mx

import voxtral_kernels as vk
from voxtral_kernels.backends import extension

from ..options import Parser

WINDOW, HEADS, KV_HEADS, DIM = 8192, 32, 8, 128


def steps_of(n: int) -> list[tuple[mx.array, mx.array, mx.array]]:
    """Queries, keys and values of ``n`` tokens."""
    made = [
        tuple(mx.random.normal((1, h, 1, DIM)).astype(mx.bfloat16) for h in (HEADS, KV_HEADS, KV_HEADS))
        for _ in range(n)
    ]
    mx.eval(made)
    return made  # type: ignore[return-value]


def measured(step: Callable[[int], list[mx.array]], n: int) -> tuple[float, int]:
    """Seconds a token, and the most bytes beyond those held before."""
    mx.eval(step(0))
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    start = time.perf_counter()
    for i in range(1, n):
        arrays = step(i)
        mx.async_eval(arrays)
    mx.eval(arrays)
    return (time.perf_counter() - start) / (n - 1), mx.get_peak_memory() - before


def main(argv: list[str]) -> int:
    """Print the figures; exit status 1 where ours copies more than the token's own rows."""
    parser = Parser(prog="bench append", description=__doc__)
    parser.add_argument("--tokens", type=int, default=40)
    options = parser.parse_args(argv)
    tokens = steps_of(options.tokens)
    row_bytes = 2 * KV_HEADS * DIM * 2
    with mx.stream(mx.cpu), vk.use_backend("native"):
        cache = vk.RingKVCache(WINDOW)
        full = mx.zeros((1, KV_HEADS, WINDOW, DIM), mx.bfloat16)
        cache.append(full, full)
        vk.sliding_window_attention(*tokens[0], cache=cache)
        mx.eval(cache.state)

        def ours(i: int) -> list[mx.array]:
            return [vk.sliding_window_attention(*tokens[i], cache=cache), *cache.state]

        rows, rings = extension.extension().commit_bytes()
        seconds, extra = measured(ours, options.tokens)
        rows_after, rings_after = extension.extension().commit_bytes()
        copied = (rows_after - rows + rings_after - rings) / options.tokens
        print(f"the token's own rows        {row_bytes:12,d} bytes; the ring {2 * full.nbytes:,d} bytes")
        print(f"native, in place            {copied:12,.0f} bytes copied a token, {extra:,d} bytes more at the peak")
        print(f"                            {seconds * 1e3:12.2f} ms a token, attention over the window included")

        ring = [mx.stack([full, full])]
        mx.eval(ring)

        def stock(i: int) -> list[mx.array]:
            out = mx.fast.scaled_dot_product_attention(tokens[i][0], ring[0][0], ring[0][1], scale=DIM**-0.5)
            ring[0] = mx.slice_update(ring[0], mx.stack(list(tokens[i][1:])), mx.array([i]), axes=[3])
            return [out, ring[0]]

        seconds, extra = measured(stock, options.tokens)
        copies = round(extra / (2 * full.nbytes))
        print(f"stock slice update          {extra:12,d} bytes more at the peak: {copies} more rings in memory")
        print(f"                            {seconds * 1e3:12.2f} ms a token, attention over the window included")
    return int(copied > row_bytes)
