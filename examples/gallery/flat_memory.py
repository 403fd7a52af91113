"""Sliding-window attention in a model of your own: any length in the memory of one window.

    python examples/gallery/flat_memory.py

One layer's queries, keys and values go through `sliding_window_attention` with a ring as its cache, a token at a time.
The memory stays what it was, and the newest output is that of exact attention over the window.
"""

from __future__ import annotations

import mlx.core as mx

import voxtral_kernels as vk

WINDOW, HEADS, KV_HEADS, HEAD_DIM = 256, 8, 2, 64


def token(position: int) -> tuple[mx.array, mx.array, mx.array]:
    """Queries ``[1, 8, 1, 64]``, keys and values ``[1, 2, 1, 64]`` of a position."""
    q, k, v = (mx.random.key(3 * position + i) for i in range(3))
    draw = mx.random.normal
    return (
        draw((1, HEADS, 1, HEAD_DIM), key=q),
        draw((1, KV_HEADS, 1, HEAD_DIM), key=k),
        draw((1, KV_HEADS, 1, HEAD_DIM), key=v),
    )


def exact(position: int) -> mx.array:
    """The same by MLX's own attention, over the keys of the window."""
    q, _, _ = token(position)
    seen = [token(p)[1:] for p in range(position - WINDOW + 1, position + 1)]
    k, v = (mx.concatenate(parts, axis=2) for parts in zip(*seen, strict=True))
    return mx.fast.scaled_dot_product_attention(q, k, v, scale=HEAD_DIM**-0.5)


def main() -> None:
    cache = vk.RingKVCache(window=WINDOW)
    out = None
    for position in range(2000):
        out = vk.sliding_window_attention(*token(position), cache=cache)
        mx.eval(out)
        if position + 1 in (WINDOW, 1000, 2000):
            print(f"{position + 1:5} tokens: {cache.nbytes / 1024:4.0f} KiB")
    assert out is not None
    print("largest difference from exact attention: below 1e-5:", bool(mx.abs(out - exact(1999)).max() < 1e-5))


if __name__ == "__main__":
    main()
