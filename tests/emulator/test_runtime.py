"""What must not take Python down, and how errors and findings name the user's own lines."""

import concurrent.futures
import multiprocessing
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels import emulator

TEXT = """#include <metal_stdlib>
using namespace metal;
kernel void spins_on_memory(device uint* y, uint i [[thread_position_in_grid]]) {
  while (y[0] == 0) {
    y[1] = y[1] + i;
  }
}
kernel void spins_on_nothing(device uint* y, uint i [[thread_position_in_grid]]) {
  uint v = i;
  while (v != 7) v = (v * 5 + 2) & ~7u;
  y[i] = v;
}
kernel void waits_for_ever(device uint* y, uint i [[thread_position_in_grid]]) {
  for (;;) threadgroup_barrier(mem_flags::mem_none);
}
kernel void wild(device uint* y, constant ulong& address, uint i [[thread_position_in_grid]]) {
  device uint* p = reinterpret_cast<device uint*>(address);
  *p = 1;
}
kernel void far(device uint* y, constant long& offset) {
  y[offset] = 1;
}
kernel void divides(device uint* y, uint i [[thread_position_in_grid]]) {
  y[i] = 7 / y[i];
}
kernel void recurses_into_its_stack(device uint* y, uint i [[thread_position_in_grid]]) {
  uint big[100000];
  for (uint j = 0; j < 100000; ++j) big[j] = y[j % 4] + j;
  y[i] = big[y[0] % 100000];
}
kernel void order(device uint* y, device atomic_uint* ticket, uint i [[thread_position_in_grid]]) {
  y[i] = atomic_fetch_add_explicit(ticket, 1, memory_order_relaxed);
}
kernel void any_order(const device float* x, device float* y, uint i [[thread_position_in_grid]]) {
  y[i] = simd_sum(x[i]);
}
kernel void racy(const device uint* x, device uint* y, uint i [[thread_position_in_threadgroup]]) {
  threadgroup uint staged[64];
  staged[i] = x[i];
  y[i] = staged[63 - i];
}
"""


@pytest.fixture(scope="module")
def library():
    return emulator.library(TEXT, path="runtime.metal")


def run(library, entry, n=32, extra=None, **kwargs):
    buffers = {0: np.zeros(n, np.uint32), **(extra or {})}
    return library.run(entry, buffers, (n, 1, 1), (n, 1, 1), outputs=[0], **kwargs)


def finding(library, entry, n=32, extra=None, **kwargs):
    with pytest.raises(emulator.KernelError) as error:
        run(library, entry, n, extra, **kwargs)
    assert error.value.findings == library.report.findings
    return error.value.findings[0]


@pytest.mark.parametrize(("entry", "lines"), [("spins_on_memory", {4, 5}), ("waits_for_ever", {14})])
def test_the_step_limit_stops_a_kernel(library, entry, lines):
    found = finding(library, entry, step_limit=10_000)
    assert found.kind == "step-limit"
    assert found.line in lines


@pytest.mark.parametrize("mode", ["plain", "checked"])
def test_the_time_limit_stops_what_touches_no_memory(mode):
    limited = emulator.library(TEXT, path="runtime.metal", time_limit=0.2)
    found = finding(limited, "spins_on_nothing", mode=mode)
    assert found.kind == "step-limit"
    assert found.line == 10


def unmapped(address):
    """The same, or one below that is no memory of this process: where that is changes from start to start."""
    maps = Path("/proc/self/maps")
    ranges = [line.split()[0].split("-") for line in maps.read_text().splitlines()] if maps.exists() else []
    while any(int(first, 16) <= address < int(end, 16) for first, end in ranges):
        address -= 1 << 28
    return address


@pytest.mark.parametrize("mode", ["plain", "checked"])
@pytest.mark.parametrize("address", [0, 16, 0x7FFF_0000_0000, 0xDEAD_BEEF_DEAD_BEE0], ids=hex)
def test_a_wild_pointer_is_a_finding(library, address, mode):
    found = finding(library, "wild", extra={1: np.uint64(unmapped(address))}, mode=mode)
    assert found.kind == ("null-pointer" if address < 4096 else "wild-pointer")
    assert found.line == 18


@pytest.mark.parametrize("mode", ["plain", "checked"])
@pytest.mark.parametrize("offset", [-(2**28), -2000, 2000, 2**29 - 1])
def test_far_out_of_bounds_names_the_buffer(library, offset, mode):
    found = finding(library, "far", extra={1: np.int64(offset)}, mode=mode)
    assert found.kind == "out-of-bounds"
    assert (found.buffer, found.offset, found.line) == ("y", 4 * offset, 21)


def test_plain_mode_notices_bytes_written_beside_a_buffer(library):
    found = finding(library, "far", n=30, extra={1: np.int64(30)}, mode="plain")
    assert (found.kind, found.buffer, found.offset) == ("out-of-bounds", "y", 120)


@pytest.mark.parametrize("mode", ["plain", "checked"])
def test_division_by_zero_is_a_finding(library, mode):
    found = finding(library, "divides", mode=mode)
    assert found.kind == "division-by-zero"
    assert found.line == 24


@pytest.mark.parametrize("mode", ["plain", "checked"])
def test_too_much_private_memory_is_a_finding(library, mode):
    assert finding(library, "recurses_into_its_stack", mode=mode).kind == "stack-overflow"


def test_a_run_after_a_crash_is_as_good_as_new(library):
    finding(library, "wild", extra={1: np.uint64(0)})
    x = np.ones(32, np.float32)
    (y,) = library.run("any_order", {0: x, 1: x}, (32, 1, 1), (32, 1, 1), outputs=[1])
    assert y.tolist() == [32.0] * 32
    assert library.report.findings == []


def test_findings_can_be_read_instead_of_raised(library):
    x = np.arange(64, dtype=np.uint32)
    library.run("racy", {0: x, 1: x}, (64, 1, 1), (64, 1, 1), outputs=[1], raise_findings=False)
    races = [f for f in library.report.findings if f.kind == "race"]
    assert races
    assert {races[0].line, races[0].other.line} == {39, 40}
    assert races[0].buffer == "staged"
    assert races[0].place.path == "runtime.metal"
    assert {races[0].place.text, races[0].other.text} == {"staged[i] = x[i];", "y[i] = staged[63 - i];"}
    assert "staged at byte" in str(library.report)


def test_the_same_seed_gives_the_same_report(library):
    x = np.arange(64, dtype=np.uint32)
    reports = []
    for seed in (3, 3, 5):
        library.run("racy", {0: x, 1: x}, (64, 1, 1), (64, 1, 1), outputs=[1], raise_findings=False, seed=seed)
        reports.append(str(library.report))
    assert reports[0] == reports[1] != reports[2]


def tickets(library):
    buffers = {0: np.zeros(64, np.uint32), 1: np.zeros(1, np.uint32)}
    return lambda seed: library.run("order", buffers, (64, 1, 1), (64, 1, 1), outputs=[0, 1], seed=seed)


def test_check_order_finds_results_that_hang_on_the_schedule(library):
    with pytest.raises(emulator.KernelError, match="order-dependence: output 0 differs between seeds 0 and 1"):
        emulator.check_order(tickets(library))
    (found,) = emulator.check_order(tickets(library), seeds=[5], raise_findings=False)
    assert found.kind == "order-dependence"


def test_check_order_passes_what_does_not(library):
    x = np.arange(64, dtype=np.float32)
    args = {0: x, 1: x}, (64, 1, 1), (64, 1, 1)
    assert emulator.check_order(lambda seed: library.run("any_order", *args, outputs=[1], seed=seed)) == []


def compile_error(text):
    with pytest.raises(emulator.KernelError) as error:
        emulator.library(text, path="mine.metal").run("k", {0: np.zeros(4, np.float32)}, (4, 1, 1), (4, 1, 1))
    return str(error.value)


def test_a_compile_error_names_the_users_line():
    assert "mine.metal:2:" in (text := compile_error("kernel void k(device float* y) {\n  y[0] = undeclared;\n}\n"))
    assert "undeclared" in text


def test_an_address_space_mix_up_is_a_compile_error():
    body = "inline float f(threadgroup float* p) { return *p; }\nkernel void k(device float* y) {\n  y[0] = f(y);\n}\n"
    text = compile_error(body)
    assert "mine.metal:3:" in text
    assert "__" not in text.replace("__private", "")


@pytest.mark.parametrize(
    ("given", "taken"),
    [("device", "constant"), ("constant", "device"), ("threadgroup", "device"), ("thread", "device")],
)
def test_address_spaces_are_distinct(given, taken):
    text = f"inline void f({taken} const float* p) {{}}\ninline void g({given} const float* p) {{\n  f(p);\n}}\n"
    assert "mine.metal:3:" in compile_error(text + "kernel void k(device float* y) { y[0] = 1; }\n")


def test_a_missing_header_names_the_users_line():
    assert "mine.metal:2:" in compile_error('\n#include "absent.h"\nkernel void k(device float* y) {}\n')


def test_metal_kernel_errors_count_lines_of_the_source():
    kernel = emulator.metal_kernel(
        name="k", input_names=["x"], output_names=["y"], source="uint i = 0;\ny[i] = nope;\n"
    )
    with pytest.raises(emulator.KernelError, match=r"^k:2:.*nope"):
        kernel(
            inputs=[mx.zeros(8)],
            grid=(1, 1, 1),
            threadgroup=(1, 1, 1),
            output_shapes=[(1,)],
            output_dtypes=[mx.float32],
        )


def test_threads_take_turns(library):
    def work(seed):
        x = np.full(32, seed, np.float32)
        return library.run("any_order", {0: x, 1: x}, (32, 1, 1), (32, 1, 1), outputs=[1], seed=seed)[0].tolist()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(16))) == [[32.0 * seed] * 32 for seed in range(16)]


def _compile_in_another_process(folder, number):
    import os

    os.environ["VOXTRAL_KERNELS_CACHE"] = folder
    library = emulator.library("kernel void k(device float* y, uint i [[thread_position_in_grid]]) { y[i] = i; }")
    (y,) = library.run("k", {0: np.zeros(4, np.float32)}, (4, 1, 1), (4, 1, 1), outputs=[0])
    return y.tolist()


def test_processes_share_the_cache(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.starmap(_compile_in_another_process, [(str(tmp_path), n) for n in range(3)])
    assert results == [[0, 1, 2, 3]] * 3
    assert len(list((tmp_path / "emulator").glob("*.so"))) == 2  # checked, and plain with another fill
    assert not list((tmp_path / "emulator").glob("tmp*"))


NEIGHBOURS = """#include <metal_stdlib>
using namespace metal;
struct Pair { half low, high; };
kernel void structures(device uint* y, uint i [[thread_position_in_threadgroup]]) {
  threadgroup Pair pairs[16];
  if (i % 2 == 0) pairs[i / 2].low = half(i);
  else pairs[i / 2].high = half(i);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = uint(pairs[i / 2].low) + uint(pairs[i / 2].high);
}
kernel void bytes(device uchar* y, uint i [[thread_position_in_grid]]) { y[i] = uchar(i); }
"""


def test_neighbouring_bytes_of_a_word_are_no_race():
    library = emulator.library(NEIGHBOURS)
    y = np.zeros(32, np.uint32)
    (out,) = library.run("structures", {0: y}, (32, 1, 1), (32, 1, 1), outputs=[0])
    assert out.tolist() == [4 * (i // 2) + 1 for i in range(32)]
    (out,) = library.run("bytes", {0: y[:8]}, (32, 1, 1), (32, 1, 1), outputs=[0])
    assert np.array(out).tobytes() == bytes(range(32))
