"""How a process ends while a thread is inside of native code, and what a forked child is told."""

import os
import subprocess
import sys
import time

import pytest

BUSY = """
import threading, time
import mlx.core as mx
import voxtral_kernels as vk

entered = threading.Event()

def work():
    with mx.stream(mx.new_stream(mx.cpu)):
        x = mx.random.normal((64, 1024))
        while True:
            mx.eval({call})
            entered.set()

{before}
threading.Thread(target=work, daemon=True).start()
entered.wait()
time.sleep(0.05)
print("leaving")
"""
CALLS = {
    "native": "vk.ada_rms_norm(x)",
    "stock": "mx.fast.rms_norm(x, None, 1e-5)",
    "emulator": "kernel(inputs=[x], **size)",
}
KERNEL = """kernel = vk.emulator.metal_kernel(name="copy", input_names=["x"], output_names=["y"],
    source="uint i = thread_position_in_grid.x; for (uint j = 0; j < 1000; ++j) y[i] = x[i];")
size = dict(grid=(64, 1, 1), threadgroup=(32, 1, 1), output_shapes=[(64,)], output_dtypes=[mx.float32])"""


def ends(call):
    """Exit status and standard error of a process whose daemon thread loops over the call until its end."""
    text = BUSY.format(call=CALLS[call], before=KERNEL if call == "emulator" else "")
    if call == "stock":
        text = text.replace("import voxtral_kernels as vk\n", "")
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert run.stdout == "leaving\n"
    return run.returncode, run.stderr


@pytest.mark.fault("ending: a daemon thread inside a native op aborted the process at its end")
@pytest.mark.parametrize("call", ["native", "emulator"])
def test_a_busy_daemon_thread_lets_the_process_end(call):
    assert [ends(call) for _ in range(2)] == [(0, "")] * 2


@pytest.mark.soak
def test_the_end_of_a_busy_process_is_no_worse_than_with_stock_ops():
    started = time.monotonic()
    counts = {call: sum(ends(call) != (0, "") for _ in range(20)) for call in ("native", "stock")}
    print(f"ends that were not quiet, of 20: {counts}, {time.monotonic() - started:.0f} s")
    assert counts["native"] == 0


FORK = """
import multiprocessing, os
import mlx.core as mx
import voxtral_kernels as vk
{before}
pid = os.fork()
if pid == 0:
    try:
        {inside}
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


def forked(before, inside):
    text = FORK.format(before=before, inside=inside)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120).stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.fault("ending: a child that was forked after use hung without a word")
@pytest.mark.parametrize(
    ("before", "inside", "op"),
    [
        ("mx.eval(vk.ada_rms_norm(mx.ones((2, 8))))", "vk.ada_rms_norm(mx.ones((2, 8)))", "ada_rms_norm"),
        ("stream = vk.load('tiny').stream()", "stream.feed([0.0] * 1280)", "stream"),
    ],
)
def test_a_child_forked_after_use_is_told(before, inside, op):
    expected = "expected one that was not forked after MLX was used in it, got such a child, where MLX waits for ever"
    assert forked(before, inside) == f"[{op}] process: {expected}: start it by spawn (multiprocessing) or by exec.\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_before_use_works():
    inside = "print(mx.array_equal(vk.ada_rms_norm(mx.ones((2, 8)), eps=0), mx.ones((2, 8))).item(), flush=True)"
    assert forked("", inside) == "True\n"
