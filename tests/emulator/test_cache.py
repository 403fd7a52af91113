"""The folder of compiled kernels: whatever its files hold, the right result comes out."""

import os
import random
import warnings

import numpy as np
import pytest

from voxtral_kernels import emulator
from voxtral_kernels.emulator import toolchain
from voxtral_kernels.emulator.launch import entry as compiled

TEXT = """#include <metal_stdlib>
using namespace metal;
kernel void k(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) { y[i] = 2 * i + 1; }
"""


def result(mode="plain"):
    (y,) = emulator.library(TEXT, mode=mode).run("k", {0: np.zeros(8, np.float32)}, (8, 1, 1), (8, 1, 1), outputs=[0])
    return np.array(y).tolist()


def entries(folder):
    return sorted(p for p in (folder / "emulator").iterdir() if p.is_file())


def spoilt(data, rng):
    """Cut, changed, emptied, lengthened or replaced."""
    way = rng.randrange(6)
    if way == 0:
        return data[: rng.randrange(len(data) + 1)]
    if way == 1 and data:
        at = rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if way == 2:
        return b""
    if way == 3:
        return data + rng.randbytes(64)
    if way == 4:
        return rng.randbytes(len(data))
    return b"\x7fELF" + rng.randbytes(200)


@pytest.mark.parametrize("n_corruptions", [9, pytest.param(200, marks=pytest.mark.soak)])
def test_corruptions_give_right_results(tmp_path, monkeypatch, n_corruptions):
    monkeypatch.setenv("VOXTRAL_KERNELS_CACHE", str(tmp_path))
    expected = [2 * i + 1 for i in range(8)]
    assert result() == expected
    whole = {path: path.read_bytes() for path in entries(tmp_path)}
    kernel = [path for path in whole if ".so" in path.suffixes]
    assert {path.suffix for path in kernel} == {".so", ".sha256"}
    rng = random.Random(22)
    remade = 0
    monkeypatch.setattr(toolchain.compiler, "_link", link := Counted(toolchain.compiler._link))
    for n in range(n_corruptions):
        # The kernel most often: the other entries are read only where it is made anew.
        path = rng.choice(kernel) if n % 8 else rng.choice([p for p in whole if p not in kernel])
        path.write_bytes(spoilt(whole[path], rng))
        changed = path.read_bytes() != whole[path]
        if path not in kernel:
            for entry in kernel:
                entry.unlink(missing_ok=True)
        compiled._loaded.cache_clear()
        assert result() == expected, (n, path.name)
        remade += changed
    assert link.calls >= 0.9 * remade


class Counted:
    """A function, and how often it was called."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *arguments):
        self.calls += 1
        return self.function(*arguments)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_an_entry_of_another_owner_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTRAL_KERNELS_CACHE", str(tmp_path))
    expected = result()
    (kept,) = (tmp_path / "emulator").glob("*.so")
    os.chown(kept, 12345, 12345)
    assert result() == expected
    assert kept.stat().st_uid == os.geteuid()


@pytest.mark.parametrize("kind", ["a folder", "a link"])
def test_an_entry_that_is_no_file_is_made_anew(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("VOXTRAL_KERNELS_CACHE", str(tmp_path))
    expected = result()
    (kept,) = (tmp_path / "emulator").glob("*.so")
    kept.unlink()
    kept.mkdir() if kind == "a folder" else kept.symlink_to("/etc/hostname")
    assert result() == expected
    assert kept.is_file()
    assert not kept.is_symlink()


def test_a_folder_that_cannot_be_used_is_one_warning(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("not a folder")
    monkeypatch.setenv("VOXTRAL_KERNELS_CACHE", str(file))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [result(), result("checked")] == [[2 * i + 1 for i in range(8)]] * 2
    said = [str(w.message) for w in caught if "[emulator] cache" in str(w.message)]
    assert len(said) == 1
    assert str(file) in said[0]
    assert file.read_text() == "not a folder"
