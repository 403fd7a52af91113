"""Sizes and signals at which a launch could tell an untruth: each is right, or refused."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from voxtral_kernels import emulator

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
FIRST = """kernel void k(device uint* y [[buffer(0)]],
              uint2 at [[thread_position_in_grid]],
              uint2 n [[threads_per_grid]]) {
  if (at.x < 4 && at.y == 0) y[at.x] = n.x - 1;
}
"""


@pytest.mark.parametrize("isolate", [False, True], ids=["here", "isolated"])
@pytest.mark.parametrize("grid", [(65_536, 65_536, 1), (2**32 - 1, 1, 1)], ids=str)
def test_a_grid_whose_size_wraps_in_32_bits_runs(grid, isolate):
    kernels = emulator.library(HEAD + FIRST, time_limit=1, isolate=isolate)
    options = {"outputs": [0], "mode": "plain", "raise_findings": False}
    (y,) = kernels.run("k", {0: np.zeros(4, np.uint32)}, grid, (1024, 1, 1), **options)
    assert [f.kind for f in kernels.report.findings] == ["step-limit"]  # it runs on, and is stopped
    if not isolate:
        assert np.array(y).tolist() == [grid[0] - 1] * 4


@pytest.mark.parametrize("grid", [(2**32, 1, 1), (65_536, 65_536, 1)], ids=str)
def test_a_grid_beyond_what_is_counted_is_refused(grid):
    kernels = emulator.library(HEAD + FIRST, time_limit=1)
    with pytest.raises(ValueError, match="grid"):
        kernels.run("k", {0: np.zeros(4, np.uint32)}, grid, (1, 1, 1), outputs=[0])


def test_a_race_between_threadgroups_far_apart_is_found():
    text = """kernel void k(device uint* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  if (i == 0 || i == (1u << 22)) y[0] = i + 1;
}
"""
    kernels = emulator.library(HEAD + text)
    kernels.run("k", {0: np.zeros(1, np.uint32)}, (2**22 + 1, 1, 1), (1, 1, 1), outputs=[0], raise_findings=False)
    (finding,) = kernels.report.findings
    assert (finding.kind, finding.threadgroup[0], finding.other_threadgroup) == ("race", 1 << 22, 0)


def test_every_threadgroup_of_a_long_seeded_launch_runs_once():
    text = """kernel void k(device atomic_uint* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  atomic_fetch_add_explicit(&y[i % 3], 1, memory_order_relaxed);
}
"""
    n = 2**22 + 5
    kernels = emulator.library(HEAD + text, mode="plain")
    (y,) = kernels.run("k", {0: np.zeros(3, np.uint32)}, (n, 1, 1), (1, 1, 1), outputs=[0], seed=3)
    assert np.array(y).tolist() == [len(range(k, n, 3)) for k in range(3)]


def test_a_timer_of_the_process_is_its_own():
    kernels = emulator.library(
        HEAD + "kernel void k(device float* y [[buffer(0)]]) { for (uint i = 0; i < 9000000; ++i) y[0] += 1; }"
    )
    fired = []
    before = signal.signal(signal.SIGVTALRM, lambda *_: fired.append(1))
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.01, 0.01)
    try:
        kernels.run("k", {0: np.zeros(1, np.float32)}, (1, 1, 1), (1, 1, 1), outputs=[0])
        assert kernels.report.findings == []
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert fired


ENDLESS = """
import os, signal, sys, threading, time
import numpy as np
from voxtral_kernels import emulator
kernels = emulator.library('''#include <metal_stdlib>
using namespace metal;
kernel void k(device float* y [[buffer(0)]]) { while (y[0] < 1) y[1] = 2; }
''', mode=sys.argv[1])
zeros = np.zeros(2, np.float32)
def endless(): kernels.run("k", {0: zeros}, (3, 1, 1), (1, 1, 1), outputs=[0], threads=int(sys.argv[2]))
try: kernels.run("k", {0: zeros + 1}, (1, 1, 1), (1, 1, 1), outputs=[0])
except emulator.KernelError: pass
"""

INTERRUPT = (
    ENDLESS
    + """
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
start = time.monotonic()
try: endless()
except KeyboardInterrupt: print("interrupted", time.monotonic() - start < 30)
"""
)

FORK = (
    ENDLESS
    + """
thread = threading.Thread(target=endless, daemon=True)
thread.start()
time.sleep(0.5)
child = os.fork()
if child == 0:
    signal.alarm(60)
    (y,) = kernels.run("k", {0: zeros + 1}, (1, 1, 1), (1, 1, 1), outputs=[0])
    os._exit(7)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
sys.stdout.flush()
os._exit(0)
"""
)


@pytest.mark.parametrize(
    ("program", "said"), [(INTERRUPT, "interrupted True"), (FORK, "child 7")], ids=["interrupt", "fork"]
)
@pytest.mark.parametrize(("mode", "threads"), [("plain", "1"), ("checked", "1"), ("plain", "2")])
def test_signals_and_forks_during_a_launch(program, said, mode, threads):
    command = [sys.executable, "-W", "ignore", "-c", program, mode, threads]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110, env=dict(os.environ))
    assert done.stdout.strip() == said, done.stderr


def test_a_text_may_have_more_threadgroup_variables_than_a_kernel_of_it_could():
    used = "".join(f"threadgroup float a{i}; a{i} = {i}; y[{i % 8}] += a{i};" for i in range(40))
    kernels = emulator.library("".join(f"kernel void k{n}(device float* y) {{ {used} }}" for n in range(3)))
    for n in range(3):
        (y,) = kernels.run(f"k{n}", {0: np.zeros(8, np.float32)}, (1,) * 3, (1,) * 3, outputs=[0])
        assert y.tolist() == [sum(range(i, 40, 8)) for i in range(8)]
