"""``python -m bench counters``: green on the shaders as they are, red on ones that move more."""

import json

import pytest

from bench.suites import counters
from voxtral_kernels.reference import skinny_linear


def test_the_norm_at_one_row_is_within_its_gate(capsys):
    assert counters.main(["--only", "norm, 1 row"]) == 0
    assert "1.000     1.000         -     1.000" in capsys.readouterr().out


def test_the_convolution_reads_each_weight_once(capsys):
    assert counters.main(["--only", "conv1, 8 frames", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["failures"] == []
    assert row["over_least"] <= 1.25


@pytest.mark.parametrize("rows", [1, 16])
def test_a_small_projection_reads_each_weight_once(rows):
    case = skinny_linear.Case(rows, 512, 64, norm=True, scale=-1, form="gated")
    row = counters.count(counters.Gate("gated", "skinny_linear", case, weights_once=True, segments=1.05))
    assert row.failures == []
    assert row.over_derived == pytest.approx(1, abs=0.002)


def test_a_second_read_is_worse(edit_shader, capsys):
    edit_shader("ada_rms_norm.metal", "    if (i < dim) {\n      ada_rms_norm_store", "    if (i < dim) {\n      "
            "ada_rms_norm_load<T, V, false>(x, x, h, i, dim, kept[p]);\n      ada_rms_norm_store")  # fmt: skip
    assert counters.main(["--only", "norm, 1 row"]) == 1
    assert "WORSE: bytes / least 1.2" in capsys.readouterr().out


def test_scattered_reads_are_worse(edit_shader, capsys):
    edit_shader("ada_rms_norm.metal", "(p * n_threads + tid) * V", "(p * n_threads + tid * 5 % n_threads) * V")
    assert counters.main(["--only", "norm, 1 row, bfloat16"]) == 1
    assert "WORSE: segments / ideal" in capsys.readouterr().out


def test_a_name_that_no_shape_has_is_an_error(capsys):
    assert counters.main(["--only", "softmax"]) == 2
    assert "no shape" in capsys.readouterr().err


@pytest.mark.soak
def test_every_shape_is_within_its_gate():
    assert counters.main([]) == 0
