"""``kernels/common/erf_gelu.h`` on the emulator, against float64, and its coefficients against their derivation."""

import importlib.util
import math
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels import emulator
from voxtral_kernels.backends import source

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def gelu():
    kernel = emulator.metal_kernel(
        name="gelu",
        input_names=["x"],
        output_names=["y"],
        source="uint i = thread_position_in_grid.x; y[i] = erf_gelu(x[i]);",
        header=source.text("common/erf_gelu.h"),
    )

    def run(x):
        x = mx.array(np.asarray(x, np.float32))
        grid = (x.size, 1, 1)
        outs = kernel(inputs=[x], grid=grid, threadgroup=(128, 1, 1), output_shapes=[x.shape], output_dtypes=[x.dtype])
        return np.array(outs[0])

    return run


def exact(x):
    return np.array([float(v) * math.erfc(-float(v) / math.sqrt(2)) / 2 for v in x])


def test_two_ulp_from_minus_one_on(gelu):
    x = np.concatenate([np.linspace(-1, 9, 60_001), np.logspace(-30, -1, 2_000), -np.logspace(-30, -1, 2_000)])
    x = x.astype(np.float32)
    truth = exact(x)
    ulp = np.spacing(np.abs(truth).astype(np.float32)).astype(np.float64)
    assert (np.abs(gelu(x) - truth) / ulp).max() <= 2


def test_absolute_error_below_minus_one(gelu):
    x = np.linspace(-40, -1, 40_001).astype(np.float32)
    assert np.abs(gelu(x) - exact(x)).max() <= 2.0**-23


def test_special_values(gelu):
    y = gelu([0.0, -0.0, np.inf, -np.inf, np.nan, 3e38, -3e38, 1.0])
    assert y[0] == 0
    assert not np.signbit(y[0])
    assert y[1] == 0
    assert np.signbit(y[1])
    assert y[2] == np.inf
    assert y[3] == 0  # the limit
    assert np.isnan(y[4])
    assert y[5] == np.float32(3e38)
    assert y[6] == 0


def test_coefficients_are_those_that_the_script_derives():
    spec = importlib.util.spec_from_file_location("derive_erf_gelu", ROOT / "docs" / "derive_erf_gelu.py")
    derive = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(derive)
    header = source.text("common/erf_gelu.h")
    for table, values in derive.TABLES.items():
        listed = header.split(f"{table}[] = {{")[1].split("}")[0].replace("f", "").split(",")
        assert np.array_equal(np.array([float(v) for v in listed], np.float32), values), table
