"""Accesses between a cause and its effect: what another write or read in between must not hide."""

import numpy as np
import pytest

from voxtral_kernels import emulator

HEAD = """#include <metal_stdlib>
using namespace metal;
"""
ARGUMENTS = "uint i [[thread_position_in_grid]], uint l [[thread_position_in_threadgroup]]"
WRITTEN = "threadgroup float t[1]; if (l == 0) t[0] = 1; threadgroup_barrier(mem_flags::mem_threadgroup); float a = 0; "
END = "threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = a + t[0];"
ADD = "atomic_fetch_add_explicit(&t, 1, memory_order_relaxed); threadgroup_barrier(mem_flags::mem_threadgroup); "
LOAD = "y[i] = atomic_load_explicit(&t, memory_order_relaxed);"
CASES = {
    "equal writes in a threadgroup": (
        "threadgroup float t[1]; t[0] = 1; if (l == 63) t[0] = {value}; "
        "threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = t[0];",
        ("2", "race"),
        ("1", None),
    ),
    "equal writes of threadgroups": (
        "y[l] = 1; if (i == 127) y[l] = {value}; if (i < 64) y[i + 64] = 0;",
        ("2", "race"),
        ("1", None),
    ),
    "equal writes of one simdgroup, then another": (
        "threadgroup float t[1]; if (l < 33) t[0] = 1; simdgroup_barrier(mem_flags::mem_threadgroup); "
        "if (l == 32) t[0] = {value}; threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = t[0];",
        ("2", "race"),
        ("1", None),
    ),
    "equal writes before a barrier": (
        "threadgroup float t[1]; t[0] = 1; {value} if (l == 63) t[0] = 2; "
        "threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = t[0];",
        ("", "race"),
        ("threadgroup_barrier(mem_flags::mem_threadgroup);", None),
    ),
    "the writer reads first": (
        WRITTEN + "if (l == 0) a = t[0]; threadgroup_barrier(mem_flags::{value}); if (l == 32) t[0] += 1; " + END,
        ("mem_none", "missing-mem-flags"),
        ("mem_threadgroup", None),
    ),
    "the writer of the same simdgroup reads first": (
        WRITTEN + "if (l == 0) a = t[0]; simdgroup_barrier(mem_flags::{value}); if (l == 1) t[0] += 1; " + END,
        ("mem_none", "missing-mem-flags"),
        ("mem_threadgroup", None),
    ),
    "another reads after a barrier for the other memory": (
        WRITTEN + "if (l == 0) a = t[0]; threadgroup_barrier(mem_flags::{value}); if (l == 33) a = t[0]; "
        "threadgroup_barrier(mem_flags::mem_device); if (l == 33) t[0] = 2; " + END,
        ("mem_device", "missing-mem-flags"),
        ("mem_threadgroup", None),
    ),
    "an atomic sum of nothing": (
        "threadgroup atomic_int t; {value} threadgroup_barrier(mem_flags::mem_threadgroup); " + ADD + LOAD,
        ("", "uninitialised-read"),
        ("if (l == 0) atomic_store_explicit(&t, 0, memory_order_relaxed);", None),
    ),
    "an atomic exchange with nothing": (
        "threadgroup atomic_int t; {value} threadgroup_barrier(mem_flags::mem_threadgroup); "
        "y[i] = atomic_exchange_explicit(&t, 1, memory_order_relaxed);",
        ("", "uninitialised-read"),
        ("if (l == 0) atomic_store_explicit(&t, 0, memory_order_relaxed);", None),
    ),
}


@pytest.fixture(scope="module")
def library():
    kernels = [
        f"kernel void {kind}_{n}(device float* y, {ARGUMENTS}) {{ {body.replace('{value}', value)} }}"
        for n, (body, *variants) in enumerate(CASES.values())
        for kind, (value, _) in zip(("bug", "fixed"), variants, strict=True)
    ]
    return emulator.library(HEAD + "\n".join(kernels), raise_findings=False)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("twin", ["bug", "fixed"])
@pytest.mark.parametrize("case", CASES)
def test_is_found_and_its_corrected_twin_is_clean(library, case, twin, seed):
    number = list(CASES).index(case)
    wanted = CASES[case][1 if twin == "bug" else 2][1]
    zeros = np.zeros(128, np.float32)
    library.run(f"{twin}_{number}", {0: zeros}, (128, 1, 1), (64, 1, 1), outputs=[0], seed=seed)
    assert {f.kind for f in library.report.findings} == ({wanted} if wanted else set())
