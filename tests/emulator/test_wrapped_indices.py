"""An index that wraps at 32 bits, with many buffers: a finding at the buffer it left, for elements of any size."""

import numpy as np
import pytest

from voxtral_kernels import emulator

BUFFERS = 31
SIZES = {1: "uchar", 2: "half", 4: "float", 8: "float2", 12: "packed_float3", 16: "float4"}
OTHERS = "".join(f", device const uchar* b{n} [[buffer({n})]]" for n in range(BUFFERS) if n != 15)
TEXT = f"""#include <metal_stdlib>
using namespace metal;
template <typename T> kernel void below(device T* x [[buffer(15)]], uint i [[thread_position_in_grid]]{OTHERS}) {{
  x[i + 8] = x[i - 8];
}}
template <typename T> kernel void over(device T* x [[buffer(15)]], uint i [[thread_position_in_grid]]{OTHERS}) {{
  device T* last = x + 60;
  x[i] = *(last - (0u - (i + 8)));
}}
template <typename T> kernel void written(device T* x [[buffer(15)]], uint i [[thread_position_in_grid]]{OTHERS}) {{
  x[i - 8] = T(0);
}}
"""
TEXT += "".join(
    f'template [[host_name("{name}_{size}")]] [[kernel]] decltype({name}<{type}>) {name}<{type}>;\n'
    for name in ("below", "over", "written")
    for size, type in SIZES.items()
)


@pytest.fixture(scope="module")
def library():
    return emulator.library(TEXT, raise_findings=False)


def finding(library, name, size, mode, threads=1):
    buffers = {n: np.zeros(4096, np.uint8) for n in range(BUFFERS)}
    buffers[15] = np.zeros(64 * size, np.uint8)
    library.run(f"{name}_{size}", buffers, (8, 1, 1), (4, 1, 1), outputs=[15], mode=mode, threads=threads)
    found = library.report.findings
    assert [f.kind for f in found] == ["out-of-bounds"]
    return found[0]


@pytest.mark.parametrize("mode", ["checked", "plain"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["below", "over", "written"])
def test_a_wrapped_index_is_a_finding_with_every_buffer_bound(library, name, size, mode):
    finding(library, name, size, mode)


@pytest.mark.parametrize("mode", ["checked", "plain"])
@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_it_names_the_buffer_that_it_left(library, size, mode):
    found = finding(library, "below", size, mode)
    assert (found.buffer, found.offset) == ("x", (2**32 - 8) * size)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_checked_it_names_the_buffer_by_the_size_of_the_access(library, size):
    assert finding(library, "written", size, "checked").buffer == "x"


def test_on_several_threads_too(library):
    assert finding(library, "below", 4, "checked", threads=2).buffer == "x"


def test_isolated_too():
    library = emulator.library(TEXT, raise_findings=False, isolate=True)
    assert finding(library, "below", 4, "plain").buffer == "x"
