"""The tokenizer: what it splits, what it keeps, and that every token knows the user's line."""

import pathlib

import mlx.core as mx
import pytest

from voxtral_kernels.emulator.frontend import tokens as tk

KERNELS = pathlib.Path(mx.__file__).parent / "include/mlx/backend/metal/kernels"


def texts(source):
    return [token.text for token in tk.tokenize(source)]


def test_splits_attributes_templates_and_shifts_into_single_brackets():
    assert texts("a[[b]]") == ["a", "[", "[", "b", "]", "]"]
    assert texts("vec<vec<T,2>>x>>=1;") == ["vec", "<", "vec", "<", "T", ",", "2", ">", ">", "x", ">", ">=", "1", ";"]
    assert texts("a->*b<<=c>=d") == ["a", "->*", "b", "<<=", "c", ">=", "d"]


@pytest.mark.parametrize("number", ["1", "0x1p-3f", "1.5h", ".5bf", "1e+5", "1'000u", "0b101", "0x1Fu", "1.", "3.0H"])
def test_a_number_is_one_token(number):
    assert [(t.kind, t.text) for t in tk.tokenize(f"-{number};")][1] == (tk.NUMBER, number)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1.5h", ("1.5", "h", True)),
        ("1e-3bf", ("1e-3", "bf", True)),
        ("0xbf", ("0xbf", "", False)),
        ("0x1p4h", ("0x1p4", "h", True)),
        ("7ul", ("7", "ul", False)),
        ("2.F", ("2.", "F", True)),
        ("0b11u", ("0b11", "u", False)),
    ],
)
def test_literal_parts(text, parts):
    assert tk.literal(text) == parts


def test_strings_characters_and_raw_strings_hide_their_content():
    tokens = tk.tokenize('"a // b" \'"\' R"x(/* "\n )" )x" u8"é" // "end')
    assert [t.kind for t in tokens] == [tk.STRING, tk.CHAR, tk.STRING, tk.STRING]
    assert tokens[3].line == 2


def test_comments_and_continuations_keep_the_lines():
    tokens = tk.tokenize("a /* x\n y */ b // c \\\n still a comment\nc\\\nd")
    assert [(t.text, t.line) for t in tokens] == [("a", 1), ("b", 2), ("c", 4), ("d", 5)]


def test_line_directives_and_markers_name_the_users_file():
    tokens = tk.tokenize('a\n#line 40 "k.metal"\nb\n# 7 "dir/\\"q\\".h" 1 3\nc\n#line 9\nd', "top")
    assert [(t.text, t.path, t.line) for t in tokens] == [
        ("a", "top", 1),
        ("b", "k.metal", 40),
        ("c", 'dir/"q".h', 7),
        ("d", 'dir/"q".h', 9),
    ]


def test_a_directive_is_one_token_with_its_continuations():
    tokens = tk.tokenize("#define F(x) /* why\n */ x \\\n  + 1 // no\n  # pragma unroll\na # b")
    assert [t.kind for t in tokens[:2]] == [tk.DIRECTIVE, tk.DIRECTIVE]
    assert [(t.text, t.line) for t in tokens[1:]] == [("# pragma unroll", 4), ("a", 5), ("#", 5), ("b", 5)]
    define = tk.directive(tokens[0])
    assert define.name == "define"
    assert [(t.text, t.line) for t in define.tokens][3:] == [(")", 1), ("x", 2), ("+", 3), ("1", 3)]
    again = define.token(define.tokens)
    assert tk.directive(again).tokens == define.tokens
    assert again.text.count("\n") == tokens[0].text.count("\n") == 2


def test_a_function_like_macro_stays_one():
    for source in ("#define F(x) x", "#define F (x)"):
        define = tk.directive(tk.tokenize(source)[0])
        assert define.token(define.tokens).text == source


def test_include_paths():
    tokens = tk.tokenize('#include <metal_stdlib>\n# include "a/b.h"\n#pragma once\nx')
    assert [tk.include_path(t) for t in tokens] == [("metal_stdlib", True), ("a/b.h", False), None, None]


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("a\n/* b\n", 2, "never closed"),
        ('a\n\n"b\n"', 3, "never closed on its line"),
        ("a\n`", 2, "'`': this character is not"),
    ],
)
def test_broken_text_is_an_error_with_its_line(source, line, message):
    with pytest.raises(tk.TokenError, match=message) as caught:
        tk.tokenize(source, "k.metal")
    assert (caught.value.path, caught.value.line) == ("k.metal", line)


def test_brackets_pair_and_complain():
    tokens = tk.tokenize("f(a[b], {c})")
    partner = tk.brackets(tokens)
    assert partner[1] == len(tokens) - 1
    assert partner[3] == 5
    assert tk.closing(tokens, 1) == partner[1]
    for source, message in [
        ("f(\na]", "']' closes nothing"),
        ("f(\na", r"'\(' is never closed"),
        ("}", "closes nothing"),
    ]:
        with pytest.raises(tk.TokenError, match=message):
            tk.brackets(tk.tokenize(source))


def test_template_lists_against_comparisons():
    tokens = tk.tokenize("a<b<c>, (d > e)> x")
    assert tk.closing_angle(tokens, 1) == len(tokens) - 2
    for source in ("a < b;", "a < b && c > d", "f(a < b)", "a < b) > c"):
        tokens = tk.tokenize(source)
        assert tk.closing_angle(tokens, [t.text for t in tokens].index("<")) is None


def test_split_commas_at_the_top_level_only():
    parts = tk.split_commas(tk.tokenize("A<int, 2> a, b[f(1, 2)] = {3, 4}, i < 3"))
    assert ["".join(t.text for t in part) for part in parts] == ["A<int,2>a", "b[f(1,2)]={3,4}", "i<3"]
    assert tk.split_commas([]) == []


def test_to_text_keeps_lines_and_spelling():
    source = 'a\n\n\nvec<vec<T, 2>>x >> 1;\n#define F(x) x \\\n  y\nb - -c; "s" f(1.5h)\n'
    tokens = tk.tokenize(source, "k.metal")
    text = tk.to_text(tokens)
    assert tk.tokenize(text, "other") == tokens
    assert "vec<vec<T, 2>>x >> 1;" in text


def test_to_text_moves_new_tokens_to_the_line_they_stand_for():
    a, b = tk.tokenize("a\nb", "k.metal")
    far = b._replace(line=500)
    text = tk.to_text([a, far, a.like("#define X 1", tk.DIRECTIVE), a.like("y", space=False), a.like("z", space=False)])
    assert [(t.text, t.line) for t in tk.tokenize(text)] == [
        ("a", 1),
        ("b", 500),
        ("#define X 1", 1),
        ("y", 1),
        ("z", 1),
    ]


@pytest.mark.parametrize("path", sorted(KERNELS.rglob("*.h")), ids=lambda p: str(p.relative_to(KERNELS)))
def test_mlx_headers_survive_the_round_trip(path):
    tokens = tk.tokenize(path.read_text(), str(path))
    tk.brackets([t for t in tokens if t.kind != tk.DIRECTIVE])
    again = tk.tokenize(tk.to_text(tokens), "x")
    assert [t[:4] for t in again] == [t[:4] for t in tokens]
