"""What a launch brings to Metal: its own entry point and what that needs, at the lines where it stands."""

import re

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from bench.measure import nodes
from bench.measure.steps import KINDS, ours
from bench.suites.host import TEXT_BYTES
from voxtral_kernels.backends import source
from voxtral_kernels.backends.lean import bare, lean, words

BODIES = [
    (path.name, name)
    for path in sorted(source.kernels_dir().glob("*.metal"))
    for name in re.findall(r"// BODY (\w+)", path.read_text())
]
STEMS = sorted({name for _, name in BODIES} | {"sliding_window_attention_commit"})


def numbered(text):
    """(file, number, line) of each line, as a compiler counts them."""
    file, number = "", 0
    for line in text.splitlines():
        if found := re.fullmatch(r'#line (\d+) "(.*)"', line):
            number, file = int(found[1]), found[2]
            continue
        yield file, number, line
        number += 1


@pytest.mark.parametrize(("file", "name"), BODIES, ids=lambda v: v)
def test_every_line_stands_at_its_own_number(file, name):
    text = source.header(file, name) + source.body(file, name)
    own = {}
    for place, number, line in numbered(text):
        lines = own.setdefault(place, bare((source.kernels_dir() / place).read_text()).split("\n"))
        assert line in (lines[number - 1], ""), f"{place}:{number}"
    assert file in own


@pytest.mark.parametrize(("file", "name"), BODIES, ids=lambda v: v)
def test_no_comment_and_no_entry_point_beside_its_own(file, name):
    header = source.header(file, name)
    assert "//" not in header + source.body(file, name)
    assert "[[kernel]]" not in header
    assert source.entry(name).count("[[kernel]]") == 1
    assert f"{name}_kernel(" in source.entry(name)


def test_an_entry_point_brings_what_it_needs_and_no_more():
    merge = source.header("sliding_window_attention_vector.metal", "sliding_window_attention_vector_merge")
    assert "sliding_window_attention_vector_merge(" in merge
    assert "kNothingSeen" in merge
    assert "struct" not in merge.replace("struct OnlineSoftmax", "")
    assert "threadgroup T*" not in source.entry("ada_rms_norm")


def test_no_entry_point_is_named():
    with pytest.raises(KeyError, match="no shader file has softmax_kernel"):
        source.entry("softmax")


TEXT = """#line 1 "a.h"
/* a { brace
   in a comment */
constant constexpr float kTable[] = {1.0f,
                                     2.0f};
#line 3 "b.metal"
#include <metal_stdlib>

struct Pair {  // { not a brace
  float a;

  METAL_FUNC float sum() const { return a + kTable[0]; }
};

template <typename T, int N>
METAL_FUNC T scaled(T x) { return x * N; }
template <typename T>
METAL_FUNC T scaled(const device T* x) {
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    return *x;
  }
}

METAL_FUNC float unused(float x) { return scaled<float, 2>(x); }

typedef Pair Twice;

template <typename T>
[[kernel]] void first_kernel(device T* y) { y[0] = scaled<T, 2>(y[0]); }

[[kernel]] void second_kernel(device float* y) { y[0] = Twice().sum(); }
"""


def names(needed):
    text = lean(TEXT, needed)
    found = (
        "kTable",
        "struct Pair",
        "scaled(T x)",
        "scaled(const",
        "unused(",
        "typedef",
        "first_kernel",
        "second_kernel",
    )
    return {name for name in found if name in text}


def test_declarations_are_followed_by_name():
    assert names(["first_kernel"]) == {"first_kernel", "scaled(T x)", "scaled(const"}
    assert names(["second_kernel"]) == {"second_kernel", "typedef", "struct Pair", "kTable"}
    assert names(["unused"]) == {"unused(", "scaled(T x)", "scaled(const"}
    assert names([]) == set()
    assert words('#line 3 "file_kernel.metal"\nf(a);  // b') == {"f", "a"}
    assert list(numbered(lean(TEXT, ["kTable"]))) == [
        ("a.h", 3, "constant constexpr float kTable[] ={1.0f,"),
        ("a.h", 4, "2.0f};"),
        ("b.metal", 3, "#include <metal_stdlib>"),
    ]


@pytest.mark.parametrize(
    ("line", "tight"),
    [
        ("const device T* x, uint n) {  // why", "const device T*x,uint n){"),
        ("for (int i = 0; i < n; ++i) {", "for (int i=0;i<n;++i){"),
        ("x = a ? b - c : A::d;", "x=a?b-c:A::d;"),
        # Two tokens that would be one, or a comment.
        ("x = a - -b + +c;", "x=a - -b + +c;"),
        ("y = x / *p & &q;", "y=x / *p & &q;"),
        ("n = 0x1e + 2;", "n = 0x1e + 2;"),
        ("#define A (x) + 1", "#define A (x) + 1"),
        ('#line 3 "a  b.h"', '#line 3 "a  b.h"'),
    ],
)
def test_spaces_go_where_they_separate_nothing(line, tight):
    assert bare(line) == tight


def where(file, line):
    return (source.kernels_dir() / file).read_text().split("\n").index(line) + 1


@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        ("ada_rms_norm.metal", "sum_sq = threadgroup_sum(", "sum_sq = absent + threadgroup_sum(", "absent"),
        (
            "common/packed.h",
            "  return *(const device Packed<T, V>*)p;",
            "  return *(const device Packed<T, V>*)q;",
            "q",
        ),
        ("ada_rms_norm.metal", "  const uint tid = thread_position", "  const uint tid = absent.position", "absent"),
    ],
)
def test_an_error_of_the_compiler_names_the_line_of_the_file(file, right, wrong, said, edit_shader):
    edit_shader(file, right, wrong)
    lines = (source.kernels_dir() / file).read_text().split("\n")
    number = next(i for i, line in enumerate(lines, 1) if wrong.strip() in line)
    with vk.use_backend("emulator"), pytest.raises(RuntimeError, match=rf"{file}:{number}:.*{said}"):
        vk.ada_rms_norm(mx.ones((2, 64)))


def test_a_finding_names_the_line_of_the_file(edit_shader):
    edit_shader("ada_rms_norm.metal", "    if (i < dim) {\n      ada_rms_norm_store", "    {\n      ada_rms_norm_store")
    edit_shader("common/packed.h", "  if (i + V <= n) {\n    store", "  if (true) {\n    store")
    line = where("common/packed.h", "  *(device Packed<T, V>*)p = packed;")
    with vk.use_backend("emulator"), pytest.raises(RuntimeError, match=rf"common/packed\.h:{line}"):
        mx.eval(vk.ada_rms_norm(mx.ones((2, 72))))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_step_brings_at_most_6_kb_an_op(kind):
    texts = nodes.texts(ours(kind, "metal", 2))
    assert 0 < texts.handed <= TEXT_BYTES * texts.served


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_extension_gets_a_text_once(kind):
    step = ours(kind, "native, GPU", 2)  # has taken two steps
    assert nodes.texts(step).handed == 0
