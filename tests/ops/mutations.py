"""Small wrong edits to the shaders: each must make the emulated cases fail. Part of `make soak`."""

import mlx.core as mx
import pytest

from voxtral_kernels import testing
from voxtral_kernels.emulator import KernelError

pytestmark = pytest.mark.soak

NORM = "ada_rms_norm"
CONV = "causal_conv1d_gelu"
ATTENTION = "sliding_window_attention"
ROPE = "rope_append"
GATED = "silu_mul"
SKINNY = "skinny_linear"


# Cases of skinny_linear that have what an edit touches.
ROWS_3 = "r3-K100-N13-bias-norm-residual-view"
ROWS_5 = "r5-K257-N31-norm-scale5-add"
GATED_8 = "r8-K640-N96-norm-gated"
HEADS = "r6-K72-H3.1x16-B2-T5-norm-residual-heads"
# And of attention.
DRAFT = "B1-H2.1-L9-D32-WNone-past700+30-C1024"
BLOCKS = "B1-H8.1-L9-D128-W640-past1659+9-bits8"
BARRIER = "threadgroup_barrier(mem_flags::mem_threadgroup);\n"

# (op, file): what the edit is, the right text, the wrong one in its place (the first time it stands there); the case to
# try first, where the list is long
EDITS = {
    (ATTENTION, "common/ring.h"): [
        ("window one too long", "key > query - window", "key >= query - window"),
        ("window one too short", "key > query - window", "key > query - window + 1"),
        ("mask at the wrong side", "key <= query &&", "key >= query &&"),
        ("first key left out", "query - window + 1,", "query - window + 2,"),
        ("ring never wraps", "slot < capacity ? slot : slot - capacity", "slot"),
        ("slot one off", "position - origin", "position - origin + 1"),
        ("tail read from the ring", "HAS_RING && position < ring_end;", "HAS_RING && position <= ring_end;"),
        ("scale of another row", "[rows.row(position)]", "[0]"),
        ("scales of keys and values swapped", "(VALUES ? rows.ring_v_scales", "(!VALUES ? rows.ring_v_scales"),
        ("values of another head", "(n_heads + head)", "n_heads"),
    ],
    (ATTENTION, "common/key_rows.h"): [
        ("a split's last key twice", "min(range.end, begin + SPAN)", "min(range.end, begin + SPAN + 1)", DRAFT),
        ("a split before a row's first in its place", "place + n_splits : place", "0 : place", BLOCKS),
        ("sums not rescaled", "sum[r][e] * factor)", "sum[r][e])"),
        ("row of another query", "first + (row + r) / group", "first + (row + r) % group"),
        ("scale of a byte key forgotten", "(score) * key_scale", "(score)"),
        ("slots of two peaks added", "sum[r][e] *= factor;", "", DRAFT),
    ],
    (ATTENTION, "common/online_softmax.h"): [
        ("a share weighed as the first", "part_peak - peak", "part_peak - part_peak"),
        ("total of the shares not rescaled", "fma(part_total, weight, total)", "part_total + total"),
    ],
    (ATTENTION, "sliding_window_attention_vector.metal"): [
        ("sums of the shares not rescaled", "sum * factors.x)", "sum)"),
        (
            "every split weighed as the first",
            "simd_shuffle(factor, ushort(s - base))",
            "simd_shuffle(factor, ushort(0))",
        ),
        ("merge barrier dropped", f"    {BARRIER}    const int head", "    const int head"),
        ("scale of another byte value", "simd_shuffle(value_scales, from)", "simd_shuffle(key_scales, from)"),
        ("query barrier dropped", f"  {BARRIER}  KeyRows", "  KeyRows"),
        ("wrong batch stride", "b * q_strides[0]", "b * q_strides[1]"),
    ],
    (ATTENTION, "sliding_window_attention_staged.metal"): [
        ("a share's runs side by side", "i / Layout::RUN * Layout::SHARES", "i / Layout::RUN", DRAFT),
        ("staged from beyond the end", "position < keys.end) {", "position <= keys.end) {", BLOCKS),
        ("scale of another byte value, staged", "scales[KEYS + k]", "scales[k]", BLOCKS),
        ("keys staged over those in use", f"      {BARRIER}      stage_keys", "      stage_keys", DRAFT),
        ("keys read before they are staged", f"      {BARRIER}      for (int i = 0", "      for (int i = 0", DRAFT),
        ("queries read before they are staged", f"  {BARRIER}  KeyRows", "  KeyRows", DRAFT),
        ("a block's last query left out", "/ group + 1), 0};", "/ group), 0};", BLOCKS),
        ("rows of the first block", "tile[i] = r < n_rows", "tile[i] = i / D < n_rows", BLOCKS),
        ("sums of the shares not rescaled, staged", "sum[r][e] * factors.x)", "sum[r][e])", DRAFT),
    ],
    (ATTENTION, "sliding_window_attention_tiled.metal"): [
        ("tile barrier dropped", f"    {BARRIER}    load_tile", "    load_tile"),
        ("tile filled from beyond the end", "base + row < end", "base + row <= end"),
        ("scale forgotten", ": scale;", ": 1.0f;"),
        ("scale of a byte key forgotten", "scales[n * 8 + at.column + j] * scale", "scale"),
        (
            "scale of a byte value forgotten",
            "thread_elements()[1] *= scales",
            "thread_elements()[1] *= 1.0f; (void)scales",
        ),
        (
            "barrier without its flag",
            f"    {BARRIER}    if (seen)",
            "    threadgroup_barrier(mem_flags::mem_none);\nif (seen)",
        ),
        ("keys not transposed", "load_fragment_transposed(tile", "load_fragment(tile"),
        ("a tile in sight skipped", "base + BK > simd_begin", "base > simd_begin"),
    ],
    (NORM, "ada_rms_norm.metal"): [
        ("eps forgotten", "/ float(dim) + eps", "/ float(dim) + eps * 8"),
        ("mean over the threads", "sum_sq / float(dim)", "sum_sq / float(n_threads)"),
        ("scale without the one", "1 + float(condition.v[j])", "float(condition.v[j])"),
        ("scale row of another batch", "row / rows_per_scale", "row % rows_per_scale"),
        ("residual subtracted", "float(row.v[j]) + float(added.v[j])", "float(row.v[j]) - float(added.v[j])"),
    ],
    (ROPE, "rope_append.metal"): [
        ("turned the other way", "first * angle.v[j] - second", "first * angle.v[j] + second"),
        ("angle of another position", "rotation + t * dim + d", "rotation + d"),
        ("angle counted from the tail", "rotation + (t - n_tail) * dim", "rotation + t * dim"),
        ("values turned too", "if (!is_value) {", "if (true) {"),
        ("values from where the keys stand", "(is_value ? n_kv_heads : 0)", "0"),
        ("tail of another head", "(size_t(b) * n_kv_heads + head) * n_tail", "(size_t(b) * n_kv_heads) * n_tail"),
        ("rows of the first batch", "(size_t(b) * n_new + t - n_tail)", "(size_t(0) * n_new + t - n_tail)"),
        ("rows apart read as packed", "is_packed ? q_row : n_kv_heads * dim", "q_row"),
        ("one row of the tail too few", "if (t < n_tail) {", "if (t + 1 < n_tail) {"),
    ],
    (GATED, "common/silu.h"): [("exp of the wrong sign", "precise::exp(-g)", "precise::exp(g)")],
    (GATED, "silu_mul.metal"): [
        ("gate and factor swapped", "float(from.v[2 * j % V])", "float(from.v[2 * j % V + 1])"),
        ("row of half the length", "size_t(row) * 2 * dim", "size_t(row) * dim"),
    ],
    (SKINNY, "common/skinny_rows.h"): [
        ("a row's sum of squares from another's place", "partial[lane * Shape::UNITS + u]", "partial[u]", ROWS_3),
        ("scale of the norm without the one", "1.0f + condition.v[0]", "condition.v[0]", ROWS_5),
        ("scale of the norm from another row", "row / sizes[4]", "row % sizes[4]", ROWS_5),
        ("eps too great", "/ float(dim) + eps", "/ float(dim) + eps * 8", ROWS_3),
        ("residual left out of the sum", "row.v[i][j] + added.v[i][j]", "row.v[i][j]", ROWS_3),
        ("gains of the stage before", "now = Shape::ROW - now;", "", GATED_8),
        ("stage barrier dropped", f"    {BARRIER}    for (uint i = simd", "    for (uint i = simd", ROWS_5),
        ("read before it is staged", f"    {BARRIER}    for (uint u = 0", "    for (uint u = 0", ROWS_5),
        ("sums over what is still read", f"  {BARRIER}  skinny_linear_leave", "  skinny_linear_leave", ROWS_5),
        ("sums read before they are there", f"  }}\n  {BARRIER}}}", "  }\n}", ROWS_5),
        ("sums without half of the lanes", "step = kLanes", "step = kLanes / 2", ROWS_5),
        ("affine scale of another group", "place_of(lane) * V / group", "place_of(lane) / group", "r4-K384-N21-q2g64"),
        ("affine scales never renewed", "if (of == 0)", "if (k == 0)", "r1-K4352-N40-q4g64-add"),
        ("bias of another column", "(bias, column, ", "(bias, column + 1, ", ROWS_3),
    ],
    (SKINNY, "common/weight_piece.h"): [
        ("columns past the weight read", "even < n ? end : 0", "end", ROWS_5),
        (
            "halves of 16 bytes kept by the wrong lane",
            "odd ? of_even.v[j] : of_odd",
            "odd ? of_odd.v[j] : of_even",
            ROWS_5,
        ),
        ("high bits of a number lost", "at % 32 + BITS > 32", "at % 32 + BITS > 64", "r16-K128-N34-q3g32"),
        ("affine bias forgotten", "- 1)), bias)", "- 1)), 0.0f)", "r4-K384-N21-q2g64"),
        ("a row of too few words", "first, n, row, k", "first, n, row - 1, k", "r4-K384-N21-q2g64"),
    ],
    (SKINNY, "skinny_linear.metal"): [
        ("gate and up swapped", "silu(sums.x) * sums.y", "silu(sums.y) * sums.x", GATED_8),
        ("residual of the first row", "add + row * n", "add", ROWS_5),
    ],
    (SKINNY, "skinny_linear_heads.metal"): [
        ("pairs turned the other way", "-(sums.y * angle[1])", "sums.y * angle[1]", HEADS),
        ("values of the heads turned too", "if (head < n_heads + n_kv_heads)", "if (true)", HEADS),
        ("rotation of another row", "(row % layout[5])", "(row / layout[5])", HEADS),
        ("new keys in front of the tail", "+ tail + row % length", "+ row % length", HEADS),
        ("tails without room for the new rows", "(layout[2] * layout[4])", "0", HEADS),
    ],
    (NORM, "common/reduce.h"): [("reduction barrier dropped", BARRIER, "")],
    (NORM, "common/packed.h"): [("ragged end overrun", "if (i + V <= n) {\n    store", "if (i < n) {\n    store")],
    (CONV, "common/frames.h"): [("context one frame late", "frame -= pad_left;", "frame -= pad_left + 1;")],
    (CONV, "common/erf_gelu.h"): [("a centre one off", "a - 0.75f", "a - 0.7f")],
    (CONV, "causal_conv1d_gelu.metal"): [
        ("stride ignored", "(f * STRIDE + k)", "(f + k)"),
        ("stride ignored in tiles", "(first_t + row) * STRIDE", "(first_t + row)"),
        ("bias of another channel", "min(first + o, c_out - 1)])", "min(first + o + 1, c_out - 1)])"),
        ("staging barrier dropped", f"    {BARRIER}    for (int k", "    for (int k"),
        ("last channels dropped", "c < frames.c_in; c += Conv", "c + Conv::CHUNK <= frames.c_in; c += Conv"),
    ],
}
# What only infinite and NaN inputs show.
EDITS_AT_THE_ENDS = {
    (ATTENTION, "common/key_rows.h"): [
        ("values behind the mask taken times 0", "if (visible) {", "if (inside) {"),
    ],
    (ATTENTION, "sliding_window_attention_tiled.metal"): [
        ("values behind the mask taken times 0, tiles", "simd_any(no_number)", "simd_any(false)"),
        ("a row summed again without its own key", "seen <= position; ++seen", "seen < position; ++seen"),
    ],
}
MUTATIONS = [
    pytest.param(op, file, cases, *edit[1:3], "".join(edit[3:]), id=edit[0])
    for cases, of_all in (("CASES", EDITS), ("EXTREMES", EDITS_AT_THE_ENDS))
    for (op, file), edits in of_all.items()
    for edit in edits
]


def first_failure(op, cases, first):
    for case in sorted(getattr(testing.definition(op), cases), key=lambda case: str(case) != first):
        for dtype in (mx.float32, mx.bfloat16):
            try:
                testing.check_case(op, case, dtype, "emulator")
            except (AssertionError, KernelError) as error:
                return f"{case}: {str(error).splitlines()[0]}"
    return None


@pytest.mark.parametrize(("op", "file", "cases", "right", "wrong", "first"), MUTATIONS)
def test_the_suite_sees_the_edit(edit_shader, op, file, cases, right, wrong, first):
    edit_shader(file, right, wrong)
    failure = first_failure(op, cases, first)
    assert failure
    assert "does not compile" not in failure
