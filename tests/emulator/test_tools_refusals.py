"""What `voxtral-kernels emulate`, its TOML and the pytest plugin are given wrongly: named before anything runs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.emulator.test_tools import ADD, EXAMPLES, RUN, add, emulate
from voxtral_kernels import emulator
from voxtral_kernels.emulator import suite

__all__ = ["add"]  # a fixture


WRONG = {
    "no TOML": ("grid = [", "", "expected TOML, got"),
    "no run": ("", "", "run: expected one [[run]] or more, got none"),
    "a key": (RUN.replace("seeds", "sedes"), "", "run 1: sedes: expected one of"),
    "a size": (RUN.replace("grid = [8,", "grid = [0,"), "", "run 1: grid: expected three positive sizes"),
    "a dtype": (RUN.replace('"int32"', '"int33"'), "", "buffers.n.dtype: expected one of"),
    "a buffer": (RUN.replace("n = {", "m = {"), "", "buffers: expected a parameter of x, b, y, n, got m"),
    "a missing buffer": (RUN.replace("n = {", "#n = {"), "", "buffers: expected n at index 3, got none"),
    "a file outside": (
        RUN.replace('"x.npy"', '"/etc/hostname"'),
        "",
        "buffers.x.file: expected a file in the TOML's",
    ),
    "an entry": (
        RUN.replace("[[run]]", '[[run]]\nentry = "sub"'),
        "",
        "expected one of the kernels add, got sub",
    ),
    "another entry": (RUN, "--entry=sub", "entry: expected entries that add.toml runs, got sub"),
    "a version": (RUN, "--language-version=x", "--language-version: expected a version"),
    "a time without end": (RUN, "--time-limit=inf", "time_limit: expected 0 to 1000000 seconds, got inf"),
    "a time too long": (RUN, "--time-limit=1e30", "time_limit: expected 0 to 1000000 seconds, got 1e+30"),
    "a seed": (RUN, f"--seed={2**64}", f"seed: expected 0 to 2^64 - 1, got {2**64}"),
    "a seed of the TOML": (RUN.replace("seeds = [", "seeds = [-1, "), "", "seed: expected 0 to 2^64 - 1, got -1"),
    "a folder that is not there": (
        'include_dirs = ["inc"]\n' + RUN,
        "",
        "include_dirs: expected folders that",
    ),
    "a folder of the command": (RUN, "-I inc", "-I: expected a folder, got 'inc', which is none"),
    "a version of the TOML": (
        'language_version = "9.9"\n' + RUN,
        "",
        "language_version: expected a version of Metal such as '3.1', got '9.9'",
    ),
    "brackets without end": ("run = " + "[" * 20000, "", "expected TOML, got"),
    "no entry": (RUN.replace("[[run]]", '[[run]]\nentry = ""'), "", "run 1: entry: expected a name, got ''"),
    "a buffer twice": (RUN + '"0" = {}\n', "", "buffers: expected one buffer at index 0, got 0"),
    "an index": (RUN + '"31" = {}\n', "", "buffers: expected indices of 0 to 30, got 31"),
    "memory below zero": (RUN.replace("{ 0 = 32 }", "{ 0 = -1 }"), "", "threadgroup_memory: expected bytes by index"),
    "an index of memory": (RUN.replace("{ 0 = 32 }", "{ 0 = 32, 31 = 4 }"), "", "expected indices of 0 to 30, got 31"),
    "a value that wraps": (
        RUN.replace("value = -1", "value = 2147483648"),
        "",
        "value: expected numbers that int32",
    ),
    "a value that is cut": (RUN.replace("value = -1", "value = 1.5"), "", "value: expected numbers that int32"),
    "values of no shape": (
        RUN.replace("value = -1", "value = [[1], [2, 3]]"),
        "",
        "expected a number, or a list",
    ),
    "no value": (RUN.replace("value = -1", "value = []"), "", "value: expected a number, or a list of numbers, got []"),
    "numbers that wrap": (
        RUN.replace("value = -1", "random = [0, 4294967296]"),
        "",
        "expected numbers that int32",
    ),
    "numbers that are cut": (
        RUN.replace("value = -1", "random = [0, 1.5]"),
        "",
        "expected whole numbers for int32",
    ),
    "numbers without end": (
        RUN.replace("value = 3.0", "random = [-inf, inf]"),
        "",
        "numbers that bfloat16 has",
    ),
    "more than a buffer holds": (
        RUN + '"7" = { shape = [536870912] }\n',
        "",
        "at most 1073741824 bytes",
    ),
    "another dtype": (RUN.replace('"x.npy"', '"x.npy", dtype = "float16"'), "", "expected float32, which x.npy has"),
    "another shape": (RUN.replace('"x.npy"', '"x.npy", shape = [9]'), "", "expected [8], which x.npy has, got [9]"),
    "an output that is an input": (RUN, "-o add.toml", "-o: expected another file than those given, got add.toml"),
    "an output nowhere": (RUN, "-o none/out.json", "-o: expected a file in a folder that is there, got none/out.json"),
    "an output that is a folder": (RUN, "-o .", "-o: expected a file in a folder that is there, got ."),
    "a TOML that is not there": (
        RUN,
        "--toml=none.toml",
        "--toml: expected a file, which says what to run, got",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_line_and_status_2(name, add, capsys):
    toml, option, said = WRONG[name]
    (add / "add.toml").write_text(toml)
    status, out, err = emulate(capsys, "add.metal", *option.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


NOT_METALS = {
    "float64": (np.zeros(8), "expected an array of float32, float16"),
    "complex": (np.zeros(8, complex), "got 'complex128'"),
    "nothing": (np.zeros((0, 8), np.float32), "expected 1 to 1073741824 bytes, got 0"),
    "a text": (b"text", "expected an array of NumPy"),
    "no bytes": (b"", "expected an array of NumPy"),
}


@pytest.mark.parametrize("name", NOT_METALS)
def test_an_array_that_metal_cannot_have_is_refused(name, add, capsys):
    array, said = NOT_METALS[name]
    with open("x.npy", "wb") as file:
        if isinstance(array, bytes):
            file.write(array)
        else:
            np.save(file, array)
    status, out, err = emulate(capsys, "add.metal")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "buffers.x.file: " in err
    assert said in err


def test_bytes_in_the_other_order_are_turned(add):
    np.save("x.npy", np.arange(8, dtype=">f4"))
    (run,) = suite.read_spec("add.toml").runs
    assert np.frombuffer(run.buffers["x"].data, "<f4").tolist() == list(range(8))


def test_a_mark_of_byte_order_is_no_character(add, capsys):
    for name in ("add.metal", "add.toml"):
        text = Path(name).read_bytes()
        Path(name).write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert emulate(capsys, "add.metal") == (0, "1 kernel of 1 file run: no findings\n", "")
    Path("k.metal").write_bytes(b"\xef\xbb\xbf// \r\nkernel void k(device float* y) {\r\n  double z = 1;\r\n}\r\n")
    assert emulate(capsys, "k.metal")[1].startswith("k.metal:3:3: refused: 'double'")


def test_what_is_wrong_is_told_before_anything_runs(add, capsys, monkeypatch):
    monkeypatch.setattr(suite, "run", lambda *args: pytest.fail("it ran"))
    Path("other.metal").write_text(ADD)
    Path("other.toml").write_text("[[run]]\ngrid = 3\n")
    assert "other.toml: run 1: grid" in emulate(capsys, "add.metal", "other.metal")[2]
    Path("other.metal").write_bytes(b"\xff")
    assert "whose byte 0 is none" in emulate(capsys, "add.metal", "other.metal")[2]


def test_a_file_given_twice_runs_once(add, capsys):
    assert emulate(capsys, "add.metal", "./add.metal")[1] == "1 kernel of 1 file run: no findings\n"


def test_a_file_without_a_kernel_is_a_file(add, capsys):
    Path("none.metal").write_text("inline float twice(float x) { return 2 * x; }\n")
    assert emulate(capsys, "check", "none.metal") == (0, "0 kernels of 1 file checked: no findings\n", "")
    assert emulate(capsys, "check", "add.toml")[0] == 2
    with pytest.raises(emulator.KernelError, match=r"entry: expected none\.metal to have a kernel, got add"):
        emulator.library(Path("none.metal")).parameters("add")


def test_a_link_out_of_its_folder_is_not_read(add, capsys):
    (add / "kernels").mkdir()
    (add / "secret").write_text("the = word\n")
    os.symlink("../secret", "kernels/k.metal")
    status, out, err = emulate(capsys, "check", "kernels/k.metal")
    assert (status, out) == (2, "")
    assert "kernels/k.metal: expected a file in its own folder or below" in err
    assert emulate(capsys, "check", "kernels/k.metal", "-I", ".")[0] == 1
    assert emulate(capsys, "check", "kernels/k.metal", "--no-isolate")[0] == 1


def test_a_text_that_is_too_long_is_refused_at_once(add, capsys):
    Path("k.metal").write_text(" " * (33 << 20))
    assert "it has more than 32 MiB" in emulate(capsys, "check", "k.metal")[1]


NO_FILE = "[metal] expected a file in {folder} or below, got "
GIVEN_WRONGLY = {
    "library('none.metal')": NO_FILE + "none.metal, which is none.",
    "check('none.metal')": NO_FILE + "none.metal, which is none.",
    "run('gelu.metal')": NO_FILE + "gelu.toml, which is none.",
    "library('softmax.meta')": "[emulator] source: expected a text, or a Path to a file, got 'softmax.meta'.",
    "library('softmax.metal', ['no'])": "[emulator] include_dirs: expected folders, got '{folder}/no', which is none.",
    "library('softmax.metal', 'no')": "[emulator] include_dirs: expected a list of folders, got 'no'.",
    "library('softmax.metal', mode='chekced')": "[emulator] mode: expected one of plain, checked, counted, got",
    "library('softmax.metal', language_version=3.1)": "[emulator] language_version: expected a version of Metal",
    "check('gelu.metal')": "gelu.metal:7:3: refused: 'double'",
}


@pytest.mark.parametrize("call", GIVEN_WRONGLY)
def test_what_a_test_gives_wrongly_is_told_in_short(call, tmp_path):
    for name in ("softmax.metal", "gelu.metal"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text())
    (tmp_path / "test_it.py").write_text(f"def test_it(metal):\n    metal.{call}\n")
    plugin = ["-p", "voxtral_kernels.pytest_plugin", "-p", "no:cacheprovider", "--disable-warnings"]
    command = [sys.executable, "-m", "pytest", "-q", *plugin, "-c", os.devnull, "--rootdir=.", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    shown = done.stdout.split("___\n", 1)[1].split("====")[0].splitlines()
    assert shown[1] == f">   metal.{call}"
    assert shown[2].startswith("E   " + GIVEN_WRONGLY[call].format(folder=tmp_path))
    assert shown[-1] == "test_it.py:2: "
    assert len(shown) < 10


def test_a_file_that_is_none(capsys):
    assert emulate(capsys, "check", "absent.metal")[0] == 2
    assert emulate(capsys, "run", EXAMPLES / "gelu.metal")[0] == 2  # has no TOML


def test_a_file_that_is_no_text_is_named(tmp_path, capsys):
    (tmp_path / "k.metal").write_bytes(b"// \xff\n")
    status, out, err = emulate(capsys, "check", tmp_path / "k.metal")
    assert (status, out) == (2, "")
    assert f"source: expected UTF-8 text, got {tmp_path}/k.metal, whose byte 3 is none" in err
