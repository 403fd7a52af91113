"""``python -m bench cpu``: the products of a decoder layer of the 4B model for a few rows, plain and quantised.

Every call takes the next of several copies of the weight, so that it comes from memory and not from a cache, as the
layers of a model do. What more rows cost is held against one row of the same weight, fewer bits against bfloat16.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np

from voxtral_kernels.backends import extension, native
from voxtral_kernels.reference.skinny_linear import SkinnyLinear

Work = Callable[[], Any]
# Name -> columns of the weight and its rows: 3072 wide, 32 heads of queries and 8 of keys, each of 128; MLP of 9216.
LAYER = {"qkv": (3072, 6144), "out": (4096, 3072), "gate and up": (3072, 18432), "down": (9216, 3072)}
NORMED = ("qkv", "gate and up")
# More than the last cache.
BYTES = 160 << 20
GROUP = 64
# Rows -> what they may cost of one row; bits -> how much faster than bfloat16 with vectors of 8 floats, and of 16.
COST = {4: 1.3, 8: 2.2}
FASTER = {4: (1.3, 1.8)}


def _call(x: mx.array, parts: tuple[mx.array, ...], *, normed: bool = False) -> Work:
    weight, scales, biases = parts if len(parts) == 3 else (parts[0], None, None)
    norm = mx.ones(x.shape[-1], x.dtype) if normed else None
    request = SkinnyLinear(
        x, weight, scales, biases, None, norm, None, 1e-5, None, None, False, 0, None, None, None, 0, 0
    )
    ours = native.backend("skinny_linear")
    return lambda: ours.run(request, None)


def _in_turn(works: list[Work]) -> Work:
    turn = itertools.cycle(works)
    return lambda: next(turn)()


def _weights(name: str, bits: int) -> list[tuple[mx.array, ...]]:
    """Copies of a weight in bfloat16 or its quantised parts."""
    k, n = LAYER[name]
    weight = (mx.random.normal((n, k), key=mx.random.key(0)) * k**-0.5).astype(mx.bfloat16)
    parts = tuple(mx.quantize(weight, group_size=GROUP, bits=bits)) if bits else (weight,)
    copies = -(-BYTES // sum(p.nbytes for p in parts))
    found = [tuple(mx.array(np.array(p.view(mx.uint8))).view(p.dtype) for p in parts) for _ in range(copies)]
    mx.eval(found)
    return found


def _reading(weights: list[tuple[mx.array, ...]]) -> Work:
    """Only reads as many bytes, out of as many copies."""
    data = [np.ones(sum(p.nbytes for p in parts) // 4, np.float32) for parts in weights]
    return _in_turn([d.max for d in data])


def _times(x: mx.array, weight: mx.array) -> mx.array:
    return x @ weight.T


def _input(name: str, rows: int) -> mx.array:
    x = mx.random.normal((rows, LAYER[name][0]), key=mx.random.key(1)).astype(mx.bfloat16)
    mx.eval(x)
    return x


def plain(torch: Any, name: str, rows: int) -> dict[str, Work]:
    """Contenders for a weight in bfloat16."""
    weights, x = _weights(name, 0), _input(name, rows)
    works = {"ours": _in_turn([_call(x, parts) for parts in weights])}
    if rows == 1:
        works["stock"] = _in_turn([partial(_times, x, w) for (w,) in weights])
    else:
        works["1 row"] = _in_turn([_call(_input(name, 1), parts) for parts in weights])
    if torch:
        pairs = [
            tuple(torch.from_numpy(np.array(a.view(mx.int16))).view(torch.bfloat16) for a in (x, w)) for (w,) in weights
        ]
        works["torch"] = _in_turn([partial(torch.nn.functional.linear, *p) for p in pairs])
    return works | {"memory": _reading(weights)}


def packed(name: str, bits: int) -> dict[str, Work]:
    """Contenders for one row of a quantised weight."""
    weights, x = _weights(name, bits), _input(name, 1)
    weight, scales, biases = weights[0]
    return {
        "ours": _in_turn([_call(x, parts) for parts in weights]),
        "bfloat16": _in_turn([_call(x, parts) for parts in _weights(name, 0)]),
        "stock": lambda: mx.quantized_matmul(x, weight, scales, biases, group_size=GROUP, bits=bits),
        "memory": _reading(weights),
    }


def normed(name: str, rows: int, bits: int) -> dict[str, Work]:
    """The same behind the layer's norm, whose float32 rows take the products of floats."""
    weights, x = _weights(name, bits), _input(name, rows)
    works = {"ours": _in_turn([_call(x, parts, normed=True) for parts in weights])}
    if bits:
        works["bfloat16"] = _in_turn([_call(x, parts, normed=True) for parts in _weights(name, 0)])
    elif rows > 1:
        works["1 row"] = _in_turn([_call(_input(name, 1), parts, normed=True) for parts in weights])
    return works | {"memory": _reading(weights)}


def lines(torch: Any) -> Iterator[tuple[str, Callable[[], dict[str, Work]], dict[str, float]]]:
    """Name of a line, its contenders, and the least speed-up over each."""
    wide = extension.extension().lanes() == 16
    for name in LAYER:
        for rows in (1, 2, 4, 8, 16):
            asked = {"torch": 1.0} if rows == 1 else {"1 row": 1 / COST[rows]} if rows in COST else {}
            yield f"{name}, {rows} row{'s' * (rows > 1)}", partial(plain, torch, name, rows), asked
        for bits in (4, 6, 8):
            asked = {"bfloat16": FASTER[bits][wide], "stock": 50.0} if bits in FASTER else {}
            yield f"{name}, {bits} bits, 1 row", partial(packed, name, bits), asked
    for name in NORMED:
        for rows in (1, 4, 8):
            yield f"norm and {name}, {rows} row{'s' * (rows > 1)}", partial(normed, name, rows, 0), {}
        yield f"norm and {name}, 4 bits, 1 row", partial(normed, name, 1, 4), {}
