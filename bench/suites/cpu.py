"""``python -m bench cpu``: the extension, stock MLX ops and PyTorch on one CPU thread, interleaved in one process.

Stock MLX and PyTorch get their best form: keys and values contiguous and in order (ours come out of a ring that has
wrapped), convolution inputs already padded, for PyTorch in its own layout. PyTorch (extra ``bench``) is left out where
it is not installed. Calls that are short are made in a row and evaluated together, as a model does. Beside them a plain
reading (NumPy's maximum) of the bytes that the shape must move at least is timed: where ours is near it, memory and not
the kernel is about the limit.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ["VOXTRAL_KERNELS_THREADS"] = "1"  # read when the extension is loaded

import mlx.core as mx
import numpy as np

from voxtral_kernels.backends import extension, native
from voxtral_kernels.reference.ada_rms_norm import AdaRmsNorm
from voxtral_kernels.reference.causal_conv1d_gelu import CausalConv1dGelu
from voxtral_kernels.reference.ring import SCALE
from voxtral_kernels.reference.sliding_window_attention import SlidingWindowAttention, from_sequence

from ..measure import projections
from ..measure.stats import Ratio, ratio
from ..options import Parser

Work = Callable[[], Any]
ROUNDS = 9
# Less than this stays in the caches from one call to the next.
MEMORY_BYTES = 4 << 20


@dataclass(frozen=True)
class Shape:
    """One line of the table: who competes, how many calls make one evaluation, and what is asked of ours."""

    name: str
    dtype: str
    contenders: dict[str, Work]  # ours, stock, torch, and memory where the shape's bytes do not fit the caches
    calls: int
    asked: Mapping[str, float]  # least speed-up over each


def torch_module() -> Any:
    """PyTorch on one thread, or None."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    return torch


def tensor(torch: Any, a: mx.array) -> Any:
    """The same values for PyTorch."""
    wide = torch.from_numpy(np.array(a.astype(mx.float32)))
    return wide.to(torch.bfloat16) if a.dtype == mx.bfloat16 else wide


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: mx.Dtype, scale: float = 1.0) -> mx.array:
    a = mx.array(rng.standard_normal(shape, np.float32) * scale).astype(dtype)
    mx.eval(a)
    return a


def reading(n_bytes: int) -> dict[str, Work]:
    """The contender that only reads as many bytes, on one thread; none where they stay in the caches."""
    if n_bytes < MEMORY_BYTES:
        return {}
    data = np.ones(n_bytes // 4, np.float32)
    return {"memory": lambda: data.max()}


def attention(
    torch: Any, dtype: mx.Dtype, *, heads: tuple[int, int], dim: int, past: int, queries: int, window: int
) -> dict[str, Work]:
    """Contenders for queries behind ``past`` positions; the ring has wrapped where the window is full."""
    q_heads, kv_heads = heads
    rng = np.random.default_rng(0)
    held = min(past, window)
    q = normal(rng, (1, q_heads, queries, dim), dtype)
    k, v = (normal(rng, (1, kv_heads, held + queries, dim), dtype) for _ in range(2))
    capacity = window if past >= window else -(-past // 256) * 256
    end = past + 37 if past >= window else past
    slots = mx.array((np.arange(end - held, end)) % capacity)
    ring = mx.zeros((2, 1, kv_heads, capacity, dim), dtype)
    ring[0, :, :, slots] = k[:, :, :held]
    ring[1, :, :, slots] = v[:, :, :held]
    tail_k, tail_v = mx.contiguous(k[:, :, held:]), mx.contiguous(v[:, :, held:])
    mx.eval(ring, tail_k, tail_v)
    request = SlidingWindowAttention(q, ring, end, tail_k, tail_v, window, dim**-0.5)
    key, query = np.arange(held + queries)[None], held + np.arange(queries)[:, None]
    visible = (key <= query) & (key > query - window)
    mask = None if visible.all() else mx.array(visible)
    ours = native.backend("sliding_window_attention")
    works: dict[str, Work] = {
        "ours": lambda: ours.run(request, None),
        "stock": lambda: mx.fast.scaled_dot_product_attention(q, k, v, scale=dim**-0.5, mask=mask),
    }
    if torch:
        tq, tk, tv = (tensor(torch, a) for a in (q, k, v))
        tmask = None if mask is None else torch.from_numpy(visible)
        sdpa = torch.nn.functional.scaled_dot_product_attention
        works["torch"] = lambda: sdpa(tq, tk, tv, attn_mask=tmask, enable_gqa=q_heads != kv_heads)
    return works | reading(2 * q.nbytes + k.nbytes + v.nbytes)


def decode_bits(dtype: mx.Dtype, *, keys: int) -> dict[str, Work]:
    """A ring of 8 bits against the same keys in their own dtype."""
    rng = np.random.default_rng(0)
    end = keys + 37  # wrapped
    q = normal(rng, (1, 32, 1, 128), dtype)
    k, v = (normal(rng, (1, 8, end + 1, 128), dtype) for _ in range(2))
    requests = {bits: from_sequence(q, k, v, keys, end, keys, bits) for bits in (8, 16)}
    mx.eval([[r.ring, r.tail_k, r.tail_v] for r in requests.values()])
    ours = native.backend("sliding_window_attention")
    works: dict[str, Work] = {
        "ours": lambda: ours.run(requests[8], None),
        "16 bits": lambda: ours.run(requests[16], None),
    }
    return works | reading(2 * 8 * keys * (128 + SCALE))


def convolution(torch: Any, dtype: mx.Dtype, *, c_in: int, c_out: int, stride: int, frames: int) -> dict[str, Work]:
    """Contenders for the causal convolution of ``frames`` new frames."""
    rng = np.random.default_rng(0)
    x, state = normal(rng, (1, frames, c_in), dtype), normal(rng, (1, 3 - stride, c_in), dtype)
    weight, bias = normal(rng, (c_out, 3, c_in), dtype, (3 * c_in) ** -0.5), normal(rng, (c_out,), dtype)
    padded = mx.concatenate([state, x], axis=1)
    mx.eval(padded)
    request = CausalConv1dGelu(x, weight, bias, state, stride, 0, 0, True)
    ours = native.backend("causal_conv1d_gelu")

    def stock() -> mx.array:
        y = mx.conv1d(padded, weight, stride) + bias
        return y * (1 + mx.erf(y * 2**-0.5)) * 0.5

    works: dict[str, Work] = {"ours": lambda: ours.run(request, None), "stock": stock}
    if torch:
        tx = tensor(torch, padded).transpose(1, 2).contiguous()
        tw, tb = tensor(torch, weight).transpose(1, 2).contiguous(), tensor(torch, bias)
        f = torch.nn.functional
        works["torch"] = lambda: f.gelu(f.conv1d(tx, tw, tb, stride=stride))
    return works | reading(padded.nbytes + weight.nbytes + bias.nbytes + frames // stride * c_out * dtype.size)


def norm(torch: Any, dtype: mx.Dtype, *, rows: int) -> dict[str, Work]:
    """Contenders for the adaptive norm of ``rows`` rows of 3072."""
    rng = np.random.default_rng(0)
    x, weight = normal(rng, (1, rows, 3072), dtype), normal(rng, (3072,), dtype)
    scale = normal(rng, (3072,), dtype, 0.1)
    request = AdaRmsNorm(x, weight, scale, 1e-5, None)
    ours = native.backend("ada_rms_norm")
    works: dict[str, Work] = {
        "ours": lambda: ours.run(request, None),
        "stock": lambda: mx.fast.rms_norm(x, weight, 1e-5) * (1 + scale),
    }
    if torch:
        tx, tw, ts = (tensor(torch, a) for a in (x, weight, scale))
        works["torch"] = lambda: torch.nn.functional.rms_norm(tx, (3072,), tw, 1e-5) * (1 + ts)
    return works | reading(2 * x.nbytes + weight.nbytes + scale.nbytes)


def shapes(torch: Any, only: str) -> Iterator[Shape]:
    """The table's lines, each made when its turn comes."""
    plan: list[tuple[str, Callable[[mx.Dtype], dict[str, Work]], int, dict[str, float]]] = []
    for keys in (512, 2048, 8192):
        build = partial(attention, torch, heads=(32, 8), dim=128, past=keys - 1, queries=1, window=8192)
        plan.append((f"attention decode, {keys} keys", build, 4, {"stock": 8, "torch": 1}))
    for keys in (512, 2048, 8192):
        # Of float32, 16 bits stands for 32.
        bits = partial(decode_bits, keys=keys)
        plan.append((f"attention decode in 8 bits, {keys} keys", bits, 4, {"16 bits": 1}))
    for queries, least in ((8, 6), (64, 15), (200, 15)):
        build = partial(attention, torch, heads=(32, 32), dim=64, past=750, queries=queries, window=750)
        plan.append((f"attention encoder, {queries} queries", build, 1, {"stock": least, "torch": 1}))
    for layer, (c_in, stride) in ((1, (128, 1)), (2, (1280, 2))):
        for frames, share in ((8, 0.8), (64, 0.8), (3000, 0.6)):
            build = partial(convolution, torch, c_in=c_in, c_out=1280, stride=stride, frames=frames)
            plan.append((f"conv {layer}, {frames} frames", build, 1, {"stock": 20, "torch": share}))
    for rows in (1, 8, 256):
        calls = 26 if rows < 256 else 1
        plan.append((f"ada_rms_norm, {rows} rows", partial(norm, torch, rows=rows), calls, {"stock": 4, "torch": 1}))
    for name, make, calls, asked in plan:
        for dtype in (mx.float32, mx.bfloat16) if only in name else ():
            # Nothing is asked of bfloat16 convolutions: their figures are printed.
            wanted = {} if name.startswith("conv") and dtype == mx.bfloat16 else asked
            yield Shape(name, str(dtype).rpartition(".")[2], make(dtype), calls, wanted)
    for name, contenders, asked in projections.lines(torch):
        if only in name:
            yield Shape(name, "bfloat16", contenders(), 1, asked)


def sample(work: Work, calls: int, repeats: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        results = [work() for _ in range(calls)]
        if isinstance(results[0], mx.array | tuple):
            mx.eval(results)
    return (time.perf_counter() - start) / (calls * repeats)


def measure(shape: Shape, seconds: float) -> dict[str, list[float]]:
    """Seconds a call for each contender, one entry a round; the order turns around from round to round."""
    names = list(shape.contenders)
    repeats: dict[str, int] = {}
    times: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        sample(shape.contenders[name], shape.calls, 1)
        once = sample(shape.contenders[name], shape.calls, 1) * shape.calls
        repeats[name] = max(1, int(seconds / once))
    for i in range(ROUNDS):
        for name in names if i % 2 else reversed(names):
            times[name].append(sample(shape.contenders[name], shape.calls, repeats[name]))
    return times


def line(shape: Shape, times: dict[str, list[float]]) -> dict[str, Any]:
    """The figures of one line; `below` names the contenders over which less than asked was reached."""
    speedups: dict[str, Ratio] = {n: ratio(times[n], times["ours"]) for n in times if n != "ours"}
    below = [n for n, least in shape.asked.items() if n in speedups and speedups[n].median < least]
    return {
        "shape": shape.name,
        "dtype": shape.dtype,
        "microseconds": {n: float(np.median(t)) * 1e6 for n, t in times.items()},
        "speedup": {n: (r.median, r.low, r.high) for n, r in speedups.items()},
        "asked": shape.asked,
        "below": below,
        "text": f"{shape.name:39}{shape.dtype:9}{np.median(times['ours']) * 1e6:10.1f} us"
        + "".join(
            f"   {n} {r!s:24}{f'(>= {shape.asked[n]})' if n in shape.asked else '':9}" for n, r in speedups.items()
        )
        + ("  BELOW" + (f": {limit(times)}" if "memory" in times else "") if below else ""),
    }


def limit(times: dict[str, list[float]]) -> str:
    """How much faster than each other contender the plain reading is: about what a kernel can reach at most."""
    most = {n: ratio(t, times["memory"]).median for n, t in times.items() if n not in ("ours", "memory")}
    return "the plain reading is at " + " and ".join(f"{r:.1f}x {n}" for n, r in most.items())


def main(argv: list[str]) -> int:
    """Print the table; exit status 1 where a line is below what is asked."""
    parser = Parser(prog="bench cpu", description=__doc__)
    parser.add_argument("--only", default="", help="lines whose name holds this text")
    parser.add_argument("--seconds", type=float, default=0.02, help="aimed length of one sample")
    parser.add_argument("--isa", help="instruction set of ours; default: the best here")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args(argv)
    ext = extension.extension()
    if options.isa:
        ext.use_isa(options.isa)
    torch = torch_module()
    print(f"{extension.status()} PyTorch: {torch.__version__ if torch else 'not installed'}.")
    print("Median time of ours; how many times faster it is than each other (median of paired ratios, 95 % interval).")
    print("memory: a plain reading of the bytes that the shape must move; ours at 1 is as fast as that.")
    lines = []
    with mx.stream(mx.cpu):
        for shape in shapes(torch, options.only):
            lines.append(line(shape, measure(shape, options.seconds)))
            print(lines[-1]["text"], flush=True)
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n")
    return 1 if any(entry["below"] for entry in lines) else 0
