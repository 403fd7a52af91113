"""``voxtral-kernels emulate``, its TOML, the pytest plugin, hooks and action; docs/emulate.md shows their output."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml

from voxtral_kernels import emulator
from voxtral_kernels.cli import main
from voxtral_kernels.emulator import suite

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "emulate.md").read_text()
EXAMPLES = ROOT / "examples" / "emulate"
PRINTED = re.findall(r"<!-- printed in examples/emulate -->\n```console\n\$ voxtral-kernels (.*)\n([\s\S]*?)```", DOCS)
ADD = """#include <metal_stdlib>
using namespace metal;
constant bool twice [[function_constant(0)]];
kernel void add(const device float* x [[buffer(0)]], const device bfloat* b [[buffer(1)]],
                device float* y [[buffer(2)]], constant int& n [[buffer(3)]],
                threadgroup float* memory [[threadgroup(0)]], uint i [[thread_position_in_grid]]) {
  memory[i] = x[i] + float(b[i]);
  y[i] = (twice ? 2 : 1) * memory[i] + n;
}
"""
RUN = """[[run]]
grid = [8, 1, 1]
threadgroup = [8, 1, 1]
constants = { 0 = true }
threadgroup_memory = { 0 = 32 }
seeds = [0, 1]
[run.buffers]
x = { file = "x.npy" }
b = { dtype = "bfloat16", shape = [8], value = 3.0 }
y = { shape = [8], output = true }
n = { dtype = "int32", value = -1 }
"""


def emulate(capsys, *arguments):
    status = main(["emulate", *map(str, arguments)])
    return status, *capsys.readouterr()


@pytest.fixture
def add(tmp_path, monkeypatch):
    """A kernel, its TOML and its file, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "add.metal").write_text(ADD)
    (tmp_path / "add.toml").write_text(RUN)
    np.save(tmp_path / "x.npy", np.arange(8, dtype=np.float32))
    return tmp_path


@pytest.mark.parametrize(("command", "printed"), PRINTED, ids=[command for command, _ in PRINTED])
def test_the_document_shows_what_is_printed(command, printed, capsys, monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    status, out, err = emulate(capsys, *shlex.split(command)[1:])
    assert (out, err) == (printed, "")
    assert status == (0 if "no findings" in printed else 1)


def test_the_document_shows_three_kernels():
    assert len(PRINTED) == 3


def test_the_document_shows_the_plugins_failure():
    shown = re.search(r"<!-- printed by pytest in examples/emulate -->\n```\n([\s\S]*?)```", DOCS)[1]
    plugin = ["-p", "voxtral_kernels.pytest_plugin", "-p", "no:cacheprovider", "--disable-warnings"]
    command = [sys.executable, "-m", "pytest", "-q", *plugin, "-c", os.devnull, "--rootdir=.", "test_softmax.py"]
    ours = ("PYTEST", "CI", "BUILD_NUMBER")  # where CI or BUILD_NUMBER is set, pytest does not cut its summary's lines
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)} | {"COLUMNS": "80"}
    done = subprocess.run(command, cwd=EXAMPLES, env=environment, capture_output=True, text=True, check=False)
    assert shown in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1
    assert "KernelError" not in done.stdout
    assert (EXAMPLES / "test_softmax.py").read_text() in DOCS


def test_a_run_in_every_format(add, capsys):
    assert emulate(capsys, "run", "add.metal") == (0, "1 kernel of 1 file run: no findings\n", "")
    (add / "add.toml").write_text(RUN.replace("threadgroup_memory = { 0 = 32 }", "threadgroup_memory = { 0 = 16 }"))
    status, out, _ = emulate(capsys, "add.metal", "--format", "json")
    record = json.loads(out)
    (finding,) = record["findings"]
    assert (status, record["action"], record["runs"][0]["entry"]) == (1, "run", "add")
    assert (finding["kind"], finding["place"]["line"], finding["byte"]) == ("out-of-bounds", 7, 16)
    status, out, _ = emulate(capsys, "add.metal", "--format", "github", "--no-isolate")
    assert (status, out.split("::")[1]) == (1, "error file=add.metal,line=7,col=3,title=out-of-bounds")
    status, out, _ = emulate(capsys, "add.metal", "--format", "sarif", "-o", "out.sarif")
    assert (status, out) == (1, "")
    assert json.loads((add / "out.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "out-of-bounds"


def test_inputs_have_the_values_that_the_toml_says(add):
    (add / "add.metal").write_text(ADD.replace("+ n;", "+ n; if (i == 7 && y[i] != 19) y[100] = 0;"))
    (outcome,) = suite.run("add.metal", suite.read_spec("add.toml"))
    assert outcome.findings == []  # y[7] = 2 (7 + 3) - 1
    (run,) = suite.read_spec("add.toml").runs
    assert run.buffers["b"].data.tolist() == [0x4040] * 8


def test_schedules_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (
        "#include <metal_stdlib>\nusing namespace metal;\nkernel void ticket(device uint* y, device atomic_uint* n,\n"
    )
    body = "  uint i [[thread_position_in_grid]]) { y[i] = atomic_fetch_add_explicit(n, 1, memory_order_relaxed); }\n"
    (tmp_path / "k.metal").write_text(text + body)
    run = "[[run]]\ngrid = [64, 1, 1]\nthreadgroup = [64, 1, 1]\nseeds = [0, 3]\n[run.buffers]\n"
    buffers = [
        'y = { dtype = "uint32", shape = [64], output = true }',
        '1 = { dtype = "uint32", value = 0, output = true }',
    ]
    (tmp_path / "k.toml").write_text(run + "\n".join(buffers))
    status, out, _ = emulate(capsys, "k.metal")
    assert (status, out.split(" output 0")[0]) == (1, "k.metal:3:13: order-dependence:")


@pytest.mark.parametrize("isolate", ["--isolate", "--no-isolate"])
def test_a_bracket_left_open_is_a_finding(tmp_path, capsys, isolate):
    for text, line in (("kernel void k(device float* y) {\n  y[0] = 1; [[ }\n", 2), ("[[", 1)):
        (tmp_path / "k.metal").write_text(text)
        status, out, _ = emulate(capsys, "check", tmp_path / "k.metal", isolate)
        assert (status, out.splitlines()[0]) == (1, f"{tmp_path}/k.metal:{line}: compile-error: '[' is never closed")
        with pytest.raises(emulator.KernelError, match=rf"k\.metal:{line}: error: '\[' is never closed"):
            emulator.library(tmp_path / "k.metal")


def test_what_does_not_compile_is_a_finding(tmp_path, capsys):
    (tmp_path / "k.metal").write_text("kernel void k(device float* y) {\n  y[0] = undeclared;\n}\n")
    status, out, _ = emulate(capsys, "check", tmp_path / "k.metal")
    assert (status, out.splitlines()[0]) == (
        1,
        f"{tmp_path}/k.metal:2:8: compile-error: use of undeclared identifier 'undeclared'",
    )


def test_nothing_of_models_or_mlx_is_imported(add):
    script = """import sys
from voxtral_kernels import emulator
from voxtral_kernels.cli import main
status = main(["emulate", "add.metal"])
parts = ("mlx.core", "mlx.nn", "av", "mistral_common", "huggingface_hub", "torch", "transformers")
ours = [m for m in sys.modules if m.startswith("voxtral_kernels.") and m.split(".")[1] in
        ("models", "ops", "backends", "caches", "audio", "patch", "tokenizer", "reference", "dispatch")]
print(status, ours + [m for m in parts if m in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr


def test_the_plugin_is_registered():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name = "voxtral_kernels.pytest_plugin"
    assert project["entry-points"]["pytest11"] == {name: name}
    assert (ROOT / "python" / name.replace(".", "/")).with_suffix(".py").is_file()


def test_the_hooks_are_commands(capsys, monkeypatch):
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    emulator = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["emulator"]
    monkeypatch.chdir(EXAMPLES)
    for hook in hooks:
        assert hook["additional_dependencies"] == emulator
        program, *arguments = shlex.split(hook["entry"])
        assert program == "voxtral-kernels"
        assert main([*arguments, "gelu.metal"]) == 1
    assert capsys.readouterr().out.count("'double'") == len(hooks)


@pytest.mark.soak
def test_the_action_runs(tmp_path):
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", steps[0]["uses"])
    script = steps[-1]["run"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    sarif = tmp_path / "out.sarif"
    given = {"FILES": "gel*.metal", "ACTION": "check", "SARIF": str(sarif)}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(
        command, cwd=EXAMPLES, env={**os.environ, "PATH": path, **given}, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("::error file=gelu.metal,line=7,col=3,title=refused::'double'")
    assert len(json.loads(sarif.read_text())["runs"][0]["results"]) == 2
