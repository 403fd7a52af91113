"""A kernel for macOS arm64, compiled and linked on any machine. Nothing of it is run."""

from pathlib import Path

import pytest

from voxtral_kernels import emulator
from voxtral_kernels.emulator.report import images
from voxtral_kernels.emulator.toolchain import UndefinedError, targets

pytestmark = pytest.mark.soak
TEXT = (Path(__file__).parents[2] / "examples/emulate/softmax.metal").read_text()


@pytest.fixture(autouse=True)
def macos(monkeypatch):
    monkeypatch.setattr(targets, "host", lambda: targets.MACOS_ARM64)


def compiled(text, mode):
    program = emulator.library(text)._program
    (name,) = program.unit.kernels
    return program.entry(name, mode, {})


@pytest.mark.parametrize("mode", ["plain", "checked"])
def test_a_kernel_of_the_docs_links_as_a_dylib(mode):
    entry = compiled(TEXT, mode)
    image = entry.path.read_bytes()
    assert images.is_mach_o(image)
    assert entry.path.suffix == ".dylib"
    assert images.undefined(image) == []
    assert images.run_at_load(image).keys() == ({"__mod_init_func"} if mode == "checked" else set())
    functions = images.text_symbols(image)
    assert f"_{entry.symbol}" in functions
    (start,) = (at for name, at in functions.items() if "softmax" in name)
    assert "simdgroup_index_in_threadgroup" in TEXT.splitlines()[entry.lines.find(start)[1] - 1]


def test_a_kernel_takes_nothing_from_the_system():
    text = 'extern "C" int getpid(); kernel void k(device int* y) { y[0] = getpid(); }'
    with pytest.raises(UndefinedError, match="getpid"):
        compiled(text, "plain")
