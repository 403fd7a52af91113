"""The dialect check: each rule with a text that breaks it, on the right line, and its corrected twin; MLX's kernels.

``dialect/<case>.metal`` holds both texts; lines that must be reported end in ``// error``.
"""

import pathlib
import re
import subprocess

import mlx.core as mx
import pytest
import ziglang

from voxtral_kernels import emulator
from voxtral_kernels.emulator import dialect
from voxtral_kernels.emulator.frontend.tokens import tokenize

CASES = sorted((pathlib.Path(__file__).parent / "dialect").glob("*.metal"))
KERNELS = pathlib.Path(mx.__file__).parent / "include/mlx/backend/metal/kernels"


def read(path):
    """Rule, version, the bad text and the good one."""
    bad, good = path.read_text().split("//= corrected\n")
    rule, version = re.findall(r"^// (?:rule|version): (\S+)$", bad, re.MULTILINE)
    return rule, version, bad, good


OF_TYPES = {"address-space-cast", "bfloat-conversion", "function-constant"}  # the compiler's tree tells, not the words
OF_WORDS = [path for path in CASES if read(path)[0] not in OF_TYPES]


@pytest.mark.parametrize("path", OF_WORDS, ids=lambda p: p.stem)
def test_reports_the_marked_lines(path):
    rule, version, bad, _ = read(path)
    expected = [(rule, i) for i, line in enumerate(bad.splitlines(), 1) if line.endswith("// error")]
    assert expected
    found = dialect.check(tokenize(bad, path.name), version=version)
    assert [(v.rule.name, v.line) for v in found] == expected
    assert all(str(v).startswith(f"{path.name}:{v.line}: ") and v.rule.section in str(v) for v in found)


@pytest.mark.parametrize("path", OF_WORDS, ids=lambda p: p.stem)
def test_passes_the_corrected_twin(path):
    _, version, _, good = read(path)
    assert dialect.check(tokenize(good, path.name), version=version) == []


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_the_emulator_refuses_and_accepts(path):
    rule, version, bad, good = read(path)
    lines = [i for i, line in enumerate(bad.splitlines(), 1) if line.endswith("// error")]
    with pytest.raises(emulator.KernelError, match=rf"^{path.name}:{lines[0]}:") as caught:
        emulator.library(bad, path=path.name, language_version=version).check()
    if rule in OF_TYPES:
        assert f"[{rule}, MSL " in str(caught.value)
        errors = r"^\S+?:(\d+): '|^\S+?:(\d+):\d+: error:"
        found = [int(a or b) for a, b in re.findall(errors, str(caught.value), re.MULTILINE)]
        assert found == lines
    emulator.library(good, path=path.name, language_version=version).check()


def test_every_rule_has_a_case():
    assert {read(path)[0] for path in CASES} == set(dialect.RULES)


@pytest.mark.parametrize(
    ("case", "since"),
    [("lambda", "3.2"), ("bfloat", "3.1"), ("recursion", "2.4"), ("program_scope_builtin", "3.1")],
)
def test_rules_that_end_with_a_version(case, since):
    rule, _, bad, _ = read(pathlib.Path(__file__).parent / "dialect" / f"{case}.metal")
    assert dialect.check(tokenize(bad), version=since) == []
    before = {"3.2": "3.1", "3.1": "3.0", "2.4": "2.3"}[since]
    assert {v.rule.name for v in dialect.check(tokenize(bad), version=before)} == {rule}


def test_function_pointers_to_visible_functions_since_2_3():
    source = "[[visible]] float square(float x) { return x * x; }\nfloat apply(float (*f)(float)) { return f(2); }\n"
    assert dialect.check(tokenize(source), version="2.3") == []
    assert [v.line for v in dialect.check(tokenize(source), version="2.2")] == [2]


def test_require_names_every_line():
    source = "kernel float k() {\n  goto x;\nx:\n  return double(1);\n}\n"
    with pytest.raises(dialect.DialectError) as caught:
        dialect.require(tokenize(source, "k.metal"))
    assert [v.line for v in caught.value.violations] == [1, 2, 4]
    assert re.fullmatch(r"k\.metal:1: .*\nk\.metal:2: .*\nk\.metal:4: .*", str(caught.value))


def test_a_version_that_is_none():
    with pytest.raises(ValueError, match=r"\[dialect\] version: expected a number like '3.1', got 'metal'\."):
        dialect.check([], version="metal")


def test_lines_follow_line_directives():
    source = '#line 70 "user.metal"\nfloat f(float x) {\n  goto out;\nout:\n  return x;\n}\n'
    assert [(v.path, v.line) for v in dialect.check(tokenize(source))] == [("user.metal", 71)]


@pytest.fixture(scope="module")
def empty_metal_headers(tmp_path_factory):
    """Stand-ins for Apple's headers, so that MLX's own go through the preprocessor."""
    folder = tmp_path_factory.mktemp("metal")
    for path in KERNELS.rglob("*.h"):
        for name in re.findall(r"#\s*include <([^>]+)>", path.read_text()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    return folder


@pytest.mark.parametrize("version", ["310", "400"], ids=["3.1", "4.0"])
def test_mlx_kernels_are_accepted(empty_metal_headers, version):
    """Apple's compiler takes them, so no rule may refuse them: every header of the wheel, after its preamble."""
    zig = pathlib.Path(ziglang.__file__).parent / "zig"
    headers = sorted(p for p in KERNELS.rglob("*.h") if ("nax" in p.name) == (version == "400"))
    flags = ["-nostdinc", "-nostdinc++", f"-D__METAL_VERSION__={version}", "-D__METAL__", f"-I{KERNELS.parents[3]}"]
    assert headers
    includes = "".join(f'#include "{header}"\n' for header in [KERNELS / "utils.h", *headers])
    command = [zig, "clang", "-E", "-x", "c++", *flags, f"-I{empty_metal_headers}", "-"]
    text = subprocess.run(command, input=includes, check=True, capture_output=True, text=True).stdout
    assert dialect.check(tokenize(text), version=f"{version[0]}.{version[1]}", preprocessed=True) == []


@pytest.mark.parametrize("name", ["utils.h", "erf.h", "sdpa_vector.h", "softmax.h", "gemv.h", "reduction/ops.h"])
def test_mlx_headers_are_accepted_without_a_preprocessor(name):
    found = dialect.check(tokenize((KERNELS / name).read_text(), name))
    assert [v for v in found if v.rule.name not in ("missing-header", "library-function")] == []


def test_generated_sources_are_accepted():
    """What mx.fast.metal_kernel hands to the compiler: preamble, header, wrapper and body."""
    kernel = mx.fast.metal_kernel(
        name="scaled",
        input_names=["x", "scale"],
        output_names=["y"],
        header="template <typename T> METAL_FUNC T twice(T x) { return x + x; }",
        source="""
          uint i = thread_position_in_grid.x;
          threadgroup float shared[32];
          shared[thread_index_in_threadgroup] = x[elem_to_loc(i, x_shape, x_strides, x_ndim)];
          threadgroup_barrier(mem_flags::mem_threadgroup);
          y[i] = twice(T(shared[31 - thread_index_in_threadgroup] * scale));
        """,
        ensure_row_contiguous=False,
    )
    found = []

    def record(event):
        found.extend(text for text in find_strings(event) if "[[kernel]]" in text)

    def call(x, scale):
        return kernel(
            inputs=[x, scale],
            template=[("T", mx.float16)],
            grid=(32, 1, 1),
            threadgroup=(32, 1, 1),
            output_shapes=[(32,)],
            output_dtypes=[mx.float16],
            stream=mx.gpu,
        )

    mx.export_function(record, call, mx.zeros((32,)), mx.array(1.0))
    assert found
    text = '#include "mlx/backend/metal/kernels/utils.h"\n' + found[0]
    assert dialect.check(tokenize(text, "generated")) == []


def find_strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from find_strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from find_strings(item)
