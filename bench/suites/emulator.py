"""``python -m bench emulator``: how fast the emulator itself is, against what it promises.

Times of a run on one thread are its processor time, so that a busy machine does not blur them; runs on two threads and
the cold compilation, a process of its own, are timed by the clock, the least of a few.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from voxtral_kernels import emulator

from ..measure.environment import chip
from ..options import Parser

HEADS, KEYS, D = 32, 1024, 128
KERNELS = "mlx/backend/metal/kernels"
SDPA = f'#include "{KERNELS}/utils.h"\n#include "{KERNELS}/sdpa_vector.h"\n'
SCALE = "uint i = thread_position_in_grid.x; out[i] = T(2) * x[i];"
TYPICAL = """
  threadgroup float partial[32];
  uint row = threadgroup_position_in_grid.x, lane = thread_index_in_simdgroup, sg = simdgroup_index_in_threadgroup;
  float sum = 0;
  for (uint i = thread_position_in_threadgroup.x; i < uint(x_shape[1]); i += 256) {
    sum += float(x[row * x_shape[1] + i]) * float(x[row * x_shape[1] + i]);
  }
  sum = simd_sum(sum);
  if (lane == 0) partial[sg] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float inv = rsqrt(simd_sum(lane < 8 ? partial[lane] : 0.0f) / x_shape[1] + 1e-5f);
  for (uint i = thread_position_in_threadgroup.x; i < uint(x_shape[1]); i += 256) {
    out[row * x_shape[1] + i] = T(float(x[row * x_shape[1] + i]) * inv * SEED);
  }
"""


@dataclass(frozen=True)
class Figure:
    """One line: what was measured, in milliseconds, and what it may be at most (None: for information)."""

    name: str
    milliseconds: float
    most: float | None

    @property
    def kept(self) -> bool:
        return self.most is None or self.milliseconds <= self.most


def sdpa(mode: emulator.Mode, threads: int = 1) -> Callable[[], Any]:
    """MLX's sdpa_vector, unmodified: 32 heads, 1024 keys, head_dim 128, float32."""
    library = emulator.library(SDPA, mode=mode, threads=threads)
    rng = np.random.default_rng(0)
    q, k, v = (mx.array(rng.standard_normal((HEADS, n, D), np.float32)) for n in (1, KEYS, KEYS))
    strides = np.array([KEYS * D], np.int64), np.array([D], np.int64)
    buffers: dict[int, Any] = {0: q, 1: k, 2: v, 3: mx.zeros_like(q), 4: np.int32(1), 5: np.int32(KEYS)}
    buffers |= {6: strides[0], 7: strides[1], 8: strides[0], 9: strides[1], 10: np.float32(D**-0.5)}
    constants = dict.fromkeys(range(20, 26), False) | {26: 32}
    args = (HEADS * 1024, 1, 1), (1024, 1, 1), constants
    return lambda: library.run(f"sdpa_vector<float, {D}>", buffers, *args, outputs=[3], uninitialised=[3])


def small_call() -> Callable[[], Any]:
    """A cached kernel that does next to nothing: what is left is the call."""
    kernel = emulator.metal_kernel(name="scale", input_names=["x"], output_names=["out"], source=SCALE, mode="plain")
    x = mx.ones(64)
    mx.eval(x)
    return lambda: kernel(
        inputs=[x],
        template=[("T", mx.float32)],
        grid=(64, 1, 1),
        threadgroup=(64, 1, 1),
        output_shapes=[x.shape],
        output_dtypes=[x.dtype],
    )


def cold_call(mode: emulator.Mode, seed: int) -> float:
    """Milliseconds of a typical kernel's first call: capture, preprocess, check, translate, compile, link, run."""
    source = TYPICAL.replace("SEED", f"{seed}.0f")  # a text that no cache holds
    kernel = emulator.metal_kernel(name="norm", input_names=["x"], output_names=["out"], source=source, mode=mode)
    x = mx.ones((4, 3072), mx.bfloat16)
    mx.eval(x)
    start = time.perf_counter()
    kernel(
        inputs=[x],
        template=[("T", x.dtype)],
        grid=(4 * 256, 1, 1),
        threadgroup=(256, 1, 1),
        output_shapes=[x.shape],
        output_dtypes=[x.dtype],
    )
    return 1e3 * (time.perf_counter() - start)


def processor_milliseconds(work: Callable[[], Any], rounds: int) -> float:
    """Median processor time of a call, after one that compiles and warms up."""
    work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def least_milliseconds(work: Callable[[], Any], rounds: int) -> float:
    """By the clock, after a call that compiles and warms up."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


def measure(rounds: int) -> list[Figure]:
    """All figures."""
    name = f"sdpa_vector, {HEADS} heads x {KEYS} keys x {D}"
    figures = [
        Figure(f"{name}, plain", processor_milliseconds(sdpa("plain"), rounds), 50),
        Figure(f"{name}, checked", processor_milliseconds(sdpa("checked"), rounds), 120),
        Figure(f"{name}, plain, 2 threads", least_milliseconds(sdpa("plain", 2), rounds), None),
        Figure(f"{name}, checked, 2 threads", least_milliseconds(sdpa("checked", 2), rounds), None),
        Figure(f"{name}, counted", processor_milliseconds(sdpa("counted"), max(1, rounds // 3)), None),
        Figure("call of a cached kernel", processor_milliseconds(small_call(), 20 * rounds), 2),
    ]
    before = os.environ.get("VOXTRAL_KERNELS_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VOXTRAL_KERNELS_CACHE"] = folder
        try:
            cold_call("plain", 1)  # the imports object, once for a cache
            for mode in ("plain", "checked"):
                figures.append(Figure(f"cold compile, {mode}", min(cold_call(mode, n) for n in range(2, 5)), 1500))
        finally:
            if before is None:
                del os.environ["VOXTRAL_KERNELS_CACHE"]
            else:
                os.environ["VOXTRAL_KERNELS_CACHE"] = before
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; status 1 if one is over its limit."""
    parser = Parser(prog="bench emulator", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="runs behind each median (7)")
    options = parser.parse_args(argv)
    figures = measure(options.rounds)
    print(f"{chip()}, one thread where not said otherwise")
    for f in figures:
        limit = "" if f.most is None else f"at most {f.most:g}  " + ("ok" if f.kept else "OVER")
        print(f"  {f.name:57} {f.milliseconds:9.2f} ms  {limit}")
    return 0 if all(f.kept for f in figures) else 1
