"""The public function: shapes it takes, errors it gives. Values: test_cases."""

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels import testing
from voxtral_kernels.backends import select
from voxtral_kernels.backends.extension import extension
from voxtral_kernels.ops.skinny_linear import skinny_linear

OP = "skinny_linear"
REF = testing.definition(OP)
X = mx.ones((2, 3, 64))
W = mx.ones((10, 64)) / 64
ROW = mx.ones((64,))
PARTS = dict(zip(("weight", "scales", "biases"), mx.quantize(mx.ones((10, 64)), group_size=32, bits=4), strict=True))
TURNS = mx.ones((3, 1, 2))


def test_any_number_of_leading_axes():
    for lead in [(), (1,), (16,), (2, 2, 3)]:
        assert skinny_linear(mx.ones((*lead, 64)), W).shape == (*lead, 10)


def test_what_comes_back():
    y, h = skinny_linear(X, W, norm=ROW, residual=X, gated=True)
    assert y.shape == (2, 3, 5)
    assert mx.array_equal(h, 2 * X)
    tail = mx.zeros((2, 1, 4, 2))
    q, k, v = skinny_linear(X, W, rotation=TURNS, n_heads=3, n_kv_heads=1, tail_k=tail, tail_v=tail)
    assert (q.shape, k.shape, v.shape) == ((2, 3, 3, 2), (2, 1, 7, 2), (2, 1, 7, 2))
    each = mx.concatenate([TURNS, TURNS])
    apart = skinny_linear(X, W, rotation=each, n_heads=3, n_kv_heads=1, tail_k=tail, tail_v=tail, length=3)
    assert all(mx.array_equal(a, b) for a, b in zip((q, k, v), apart, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [1.0]}, r"x: expected an mx\.array, got list\."),
        ({"x": mx.ones((0, 64))}, r"x: expected \[\.\.\., K\] of at least one row with K >= 1, got shape \(0, 64\)\."),
        ({"weight": W[0]}, r"weight: expected \[N, K\] \(2 axes\), got shape \(64,\)\."),
        ({"weight": W[:, 1:]}, r"weight: expected shape \(N, 64\) with N >= 1, got \(10, 63\)\."),
        ({"weight": W.astype(mx.float16)}, r"weight: expected float32, got float16\."),
        ({"scales": ROW}, r"scales: expected \[N, K / group_size\] \(2 axes\), got shape \(64,\)\."),
        ({"scales": PARTS["scales"]}, r"biases: expected an mx\.array, got NoneType\."),
        (PARTS | {"weight": W}, r"weight: expected uint32, got float32\."),
        (PARTS | {"biases": W[:, :1]}, r"biases: expected shape \(10, 2\), got \(10, 1\)\."),
        (PARTS | {"scales": W[:, :3], "biases": W[:, :3]}, r"scales: expected shape \(10, 64 / group_size\), .* 128"),
        (
            PARTS | {"weight": PARTS["weight"][:, :7]},
            r"weight: expected shape \(N, 64 \* bits / 32\), bits one of 2, 3",
        ),
        ({"bias": ROW}, r"bias: expected shape \(10,\), got \(64,\)\."),
        ({"norm": ROW[1:]}, r"norm: expected shape \(64,\), got \(63,\)\."),
        ({"scale": ROW}, r"scale: expected None without a norm, got shape \(64,\)\."),
        ({"residual": X}, r"residual: expected None without a norm"),
        ({"norm": ROW, "scale": mx.ones((4, 64))}, r"scale: expected shape \(64,\) or \(S, 64\), S a divisor of 6"),
        ({"norm": ROW, "residual": X[:1]}, r"residual: expected shape \(2, 3, 64\), got \(1, 3, 64\)\."),
        ({"norm": ROW, "eps": -1.0}, r"eps: expected a finite number >= 0, got -1\.0\."),
        ({"add": X}, r"add: expected shape \(2, 3, 10\), got \(2, 3, 64\)\."),
        ({"add": X, "gated": True}, r"epilogue: expected one of add, gated and rotation, got add and gated\."),
        ({"weight": W[:9], "gated": True}, r"weight: expected an even number of rows, gate and up in turn"),
        ({"tail_k": X}, r"tail_k: expected None without a rotation"),
        ({"rotation": TURNS, "n_heads": 3}, r"n_kv_heads: expected an integer >= 1, got 0\."),
        ({"rotation": TURNS[:2], "n_heads": 3, "n_kv_heads": 1, "length": 3}, r"rotation: expected \[L, D / 2, 2\] or"),
        ({"rotation": mx.ones((4, 1, 2)), "n_heads": 3, "n_kv_heads": 1}, r"rotation: expected .* 6 rows, L a divisor"),
        (
            {"rotation": TURNS, "n_heads": 4, "n_kv_heads": 1},
            r"weight: expected 12 rows, those of q, k and v, got 10\.",
        ),
        ({"rotation": TURNS, "n_heads": 3, "n_kv_heads": 1, "tail_k": X}, r"tail_v: expected both tails or none"),
    ],
)
def test_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=r"^\[skinny_linear\] " + message):
        skinny_linear(**{"x": X, "weight": W, **arguments})


@pytest.mark.parametrize("bits", [0, 4])
def test_more_rows_than_a_kernel_takes(bits):
    """A CPU takes them in blocks; a shader says why it does not."""
    case = REF.Case(37, 128, 18, bits, bias=True, norm=True, scale=37, form="add")
    testing.check_case(OP, case, mx.float32, "native")
    with vk.use_backend("emulator"), pytest.raises(RuntimeError, match=r"37 rows; the kernel takes up to 16"):
        select.run(OP, REF.example(case, mx.float32))


def test_explain_says_what_many_rows_get():
    backend, _, reasons = vk.explain(OP, mx.ones((65, 64)), W)
    assert (backend, reasons[0]) == (
        "composed",
        "native: 65 rows; a plain product of more than 64 is faster in tiles.",
    )
    assert vk.explain(OP, mx.ones((64, 64)), W)[0] == "native"


def test_native_refuses_what_would_be_read_out_of_bounds():
    ext = extension()
    rest = (1e-5, None, None, False, 0, None, None, None, 0, 0)
    packed = tuple(PARTS.values())
    ext.skinny_linear(X, *packed, None, None, None, *rest)
    turns = (1e-5, None, None, False, 3, TURNS, None, None, 3, 1)
    ext.skinny_linear(X, W, None, None, None, None, None, *turns)
    for bad in (
        (X, W[:, 1:], None, None, None, None, None, *rest),
        (X, packed[0][:, 1:], *packed[1:], None, None, None, *rest),
        (X, *packed[:2], packed[2][:, 1:], None, None, None, *rest),
        (X, W, None, None, ROW, None, None, *rest),
        (X, W, None, None, None, ROW[1:], None, *rest),
        (X, W, None, None, None, ROW, mx.ones((4, 64)), *rest),
        (X, W, None, None, None, None, None, 1e-5, None, X, False, 0, None, None, None, 0, 0),
        (X, W[:9], None, None, None, None, None, 1e-5, None, None, True, 0, None, None, None, 0, 0),
        (X, W, None, None, None, None, None, 1e-5, None, None, False, 3, TURNS, None, None, 4, 1),
        (X, W, None, None, None, None, None, 1e-5, None, None, False, 2, TURNS, None, None, 3, 1),
    ):
        with pytest.raises(ValueError, match=r"^\[skinny_linear\] "):
            ext.skinny_linear(*bad)
