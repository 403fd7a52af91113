"""A process with fewer addresses than buffers 22 GiB apart take: it runs, checked, and says what it cannot tell."""

import json
import resource
import subprocess
import sys

import pytest

from voxtral_kernels.emulator.containment import confine

SCRIPT = """
import json, resource, sys, warnings
limit, isolate, threads = int(sys.argv[1]) << 30, sys.argv[2] == "isolated", int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
import numpy as np
from voxtral_kernels import emulator
text = '''
kernel void k(device const float* x, device float* y, constant uint& off, uint i [[thread_position_in_grid]]) {
  threadgroup float t[32];
  t[i % 32] = x[i];
  threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  y[i] = t[31 - i % 32] + x[i + off];
}'''
library = emulator.library("#include <metal_stdlib>" + text, raise_findings=False, isolate=isolate)
x = np.arange(128, dtype=np.float32)
out = []
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for off in (0, 1):
        buffers = {0: x, 1: np.zeros_like(x), 2: np.uint32(off)}
        (y,) = library.run("k", buffers, (128, 1, 1), (32, 1, 1), outputs=[1], threads=threads)
        kinds = [(f.kind, f.buffer, f.offset) for f in library.report.findings]
        out.append([kinds, np.array(y).tolist()])
print(json.dumps([out, sorted({str(w.message) for w in said})]))
"""


@pytest.mark.parametrize(("gib", "how", "threads"), [(1000, "here", 1), (1000, "isolated", 1), (400, "here", 4)])
def test_it_runs_with_fewer_and_says_so(gib, how, threads):
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        pytest.skip("this process's own addresses are limited already")
    command = [sys.executable, "-c", SCRIPT, str(gib), how, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    ((right, right_y), (wrong, _)), said = json.loads(done.stdout)
    assert right == []
    reverse = [i // 32 * 32 + 31 - i % 32 + i for i in range(128)]
    assert right_y == reverse
    assert wrong == [["out-of-bounds", "x", 512]]
    assert len(said) == 1
    assert "an index that wraps at 32 bits may lead to another buffer" in said[0]


@pytest.mark.parametrize(("now", "asked", "least"), [(-1, 5, 5), (9, 5, 5), (3, 5, 3)])
def test_limits_in_force_are_not_raised(now, asked, least):
    assert confine.within((now, -1), asked) == (least, least)
