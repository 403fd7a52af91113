"""Accesses to a part of an element: each byte has a history of its own from then on."""

import numpy as np
import pytest

from voxtral_kernels import emulator

TEXT = """#include <metal_stdlib>
using namespace metal;
struct Packed { uchar a; uchar b; ushort c; };
kernel void bytes(device const float* x, device uint* y, uint i [[thread_position_in_grid]]) {
  ((device uchar*)y)[i] = uchar(x[i]);
}
kernel void halves(device const float* x, device uint* y, uint i [[thread_position_in_grid]]) {
  ((device half*)y)[i] = half(x[i]);
}
kernel void members(device const float* x, device Packed* y, uint i [[thread_position_in_grid]]) {
  if (i % 2) y[i / 2].a = uchar(x[i]);
  else y[i / 2].b = 1, y[i / 2].c = 2;
}
kernel void shared(device const float* x, device uint* y, uint i [[thread_position_in_grid]]) {
  threadgroup uint t[8];
  ((threadgroup uchar*)t)[i] = uchar(x[i]);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i < 8) y[i] = t[i];
}
kernel void shared_in_part(device const float* x, device uint* y, uint i [[thread_position_in_grid]]) {
  threadgroup uint t[8];
  if (i % 4) ((threadgroup uchar*)t)[i] = uchar(x[i]);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i < 8) y[i] = t[i];
}
kernel void in_part(device const float* x, device uint* y, uint i [[thread_position_in_grid]]) {
  if (i % 4 == 0) ((device uchar*)y)[i] = uchar(x[i]);
}
kernel void one_byte(device const float* x, device uint* y, uint i [[thread_position_in_grid]]) {
  ((device uchar*)y)[i / 2] = uchar(x[i]);
}
kernel void whole_then_byte(device const float* x, device uint* y, uint i [[thread_position_in_grid]]) {
  if (i < 8) y[i] = 0;
  if (i >= 8) ((device uchar*)y)[i - 8] = uchar(x[i]);
}
kernel void byte_then_whole(device const float* x, device uint* y, uint i [[thread_position_in_grid]]) {
  ((device uchar*)y)[i] = uchar(x[i]);
  threadgroup_barrier(mem_flags::mem_device);
  if (i < 8) y[i] += 1;
}
"""
CASES = {  # kind and line of what is found where
    "bytes": [],
    "halves": [],
    "members": [],
    "shared": [],
    "shared_in_part": [("uninitialised-read", 24)],
    "in_part": [("unwritten-output", 26)],
    "one_byte": [("race", 30)],
    "whole_then_byte": [("race", 34)],
    "byte_then_whole": [],
}


@pytest.fixture(scope="module")
def library():
    return emulator.library(TEXT, raise_findings=False)


@pytest.mark.fault("wrong values: lanes that write bytes of one word, reported as a race")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_parts_of_an_element(library, name, threads):
    words = 16 if name in ("halves", "members") else 8
    x = np.arange(1, 33, dtype=np.float32)
    buffers = {0: x, 1: np.zeros(words, np.uint32)}
    sizes = ((32, 1, 1), (32, 1, 1))
    (y,) = library.run(name, buffers, *sizes, outputs=[1], uninitialised=[1], threads=threads)
    found = [(f.kind, f.line or f.where.line) for f in library.report.findings]
    assert [f for f in found if f[0] != "unwritten-output" or name == "in_part"] == CASES[name]
    if name == "bytes":
        np.testing.assert_array_equal(np.array(y).view(np.uint8), x.astype(np.uint8))
    if name == "in_part":
        assert "24 of 32 bytes" in library.report.findings[0].message


def test_threadgroups_that_share_a_word(library):
    """Bytes of one word from two threadgroups: no order is needed, and none is missed."""
    x = np.arange(1, 33, dtype=np.float32)
    for threads in (1, 2):
        buffers = {0: x, 1: np.zeros(8, np.uint32)}
        library.run("bytes", buffers, (32, 1, 1), (2, 1, 1), outputs=[1], uninitialised=[1], threads=threads)
        assert library.report.findings == []
