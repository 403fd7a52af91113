"""``python -m bench launches``: launches of one layer in a streaming step, ours beside voxmlx 0.0.2's.

4B shapes, bf16, windows full; counted by the rule of `graph`. Exit 1 where ours exceed the gate.
"""

from __future__ import annotations

import importlib
from collections import Counter
from typing import Any

import mlx.core as mx
from rich.table import Table

import voxtral_kernels as vk
from voxtral_kernels.models import rope
from voxtral_kernels.models.stack import Stack

from .. import hosts
from ..measure.graph import Graph, launches, read
from ..measure.random_model import FULL, cut
from ..options import Parser
from ..report import tables

GATES = {"decoder layer": 6, "encoder layer": 6}


def ours() -> dict[str, Counter[str]]:
    """Launches of a layer of ours, by kind."""
    return {name: graph.count for name, graph in graphs().items()}


def graphs() -> dict[str, Graph]:
    """The graphs of our layers."""
    model = cut(1, 1)
    decoder, encoder = model.decoder, model.encoder
    scale = decoder.scales(6, model.time_dtype)[0]
    return {
        "decoder layer": _layer(decoder, FULL.decoder, 1, scale),
        "encoder layer": _layer(encoder, FULL.encoder, 4, None),
    }


def _layer(stack: Stack, config: Any, length: int, scale: mx.array | None) -> Graph:
    cache = vk.RingKVCache(config.window)
    vars(cache)["_lazy"] = True  # nothing can be evaluated in a trace; not an argument, for versions before it
    heads = getattr(config, "n_kv_heads", config.n_heads)
    kv = mx.zeros((1, heads, config.window, config.head_dim), mx.bfloat16)
    cache.append(kv, kv)
    # One step before, so that there is a tail to append to.
    row = kv[:, :, :length]
    with vk.use_backend("composed"):
        q = mx.zeros((1, config.n_heads, length, config.head_dim), mx.bfloat16)
        vk.sliding_window_attention(q, row, row, cache=cache)
    mx.eval(cache.state)
    rotation = rope.rotation(cache.offset, length, config.head_dim, config.rope_theta)
    x = mx.zeros((length, config.dim), mx.bfloat16)
    mx.eval(x, scale if scale is not None else [])

    def layer(h: mx.array) -> Any:
        step = stack.step(1, length, mx.bfloat16, scale=None if scale is None else scale.dtype)
        return [a for a in stack.blocks[0](h, None, rotation, cache, step, scale) if a is not None]

    return read(layer, x)


def voxmlx() -> dict[str, Counter[str]]:
    """Launches of a layer of voxmlx 0.0.2, by kind.

    Raises:
        ModuleNotFoundError: it is not installed (``make test`` installs it into ``build/hosts``).
    """
    hosts.install()
    lm, enc, caches = (importlib.import_module(f"voxmlx.{name}") for name in ("language_model", "encoder", "cache"))
    d, e = FULL.decoder, FULL.encoder
    decoder = lm.DecoderLayer(d.dim, d.n_heads, d.n_kv_heads, d.head_dim, d.hidden_dim, d.rope_theta, d.cond_dim)
    encoder = enc.EncoderLayer(e.dim, e.n_heads, e.head_dim, e.hidden_dim, e.rope_theta)
    time = mx.zeros((1, 1, d.dim), mx.bfloat16)
    found = {}
    for name, layer, config, size, length in (
        ("decoder layer", decoder, d, d.window, 1),
        ("encoder layer", encoder, e, 100_000, 4),
    ):
        layer.set_dtype(mx.bfloat16)
        mx.eval(layer.parameters())
        cache = caches.RotatingKVCache(size)
        kv = mx.zeros((1, config.n_kv_heads, config.window, config.head_dim), mx.bfloat16)
        cache.update_and_fetch(kv, kv)
        cache.update_and_fetch(kv[:, :, :1], kv[:, :, :1])
        x = mx.zeros((1, length, config.dim), mx.bfloat16)
        mx.eval(cache.keys, cache.values, time, x)
        if name == "decoder layer":
            found[name] = launches(lambda x, layer=layer, cache=cache: layer(x, time, None, cache), x)
        else:
            found[name] = launches(lambda x, layer=layer, cache=cache: layer(x, 0, "causal", cache), x)
    return found


def figures() -> dict[str, float]:
    """Launches and temporary bytes of our layers by name, for the regression gate."""
    found = graphs()
    counts = {f"launches, {name}": float(graph.count.total()) for name, graph in found.items()}
    return counts | {f"temporary bytes, {name}": float(graph.peak_bytes) for name, graph in found.items()}


def main(argv: list[str]) -> int:
    """Print both packages' counts; exit 1 where ours exceed the gate."""
    parser = Parser(prog="bench launches", description=__doc__)
    parser.parse_args(argv)
    columns: dict[str, dict[str, Counter[str]]] = {"ours": ours()}
    try:
        columns["voxmlx 0.0.2"] = voxmlx()
    except ModuleNotFoundError as error:
        print(f"voxmlx is not counted: {error} (make test installs it into build/hosts)")
    table = Table(title="Launches of one layer in a streaming step, 4B shapes, windows full")
    for heading in ("layer", "package", "launches", "of which"):
        table.add_column(heading)
    for layer in GATES:
        for package, found in columns.items():
            kinds = ", ".join(f"{n} {kind}" for kind, n in found[layer].items() if n)
            table.add_row(layer, package, str(found[layer].total()), kinds)
    tables.console().print(table)
    return int(any(columns["ours"][layer].total() > gate for layer, gate in GATES.items()))
