"""The package imports, knows its version and keeps its public names, arguments and defaults."""

import inspect
import tomllib
from pathlib import Path

import pytest

import voxtral_kernels as vk
from voxtral_kernels.ops.explain import public_ops

ROOT = Path(__file__).resolve().parents[1]


def test_version_is_the_one_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert vk.__version__ == project["version"]


SIGNATURES = {
    "causal_conv1d_gelu": "x, weight, bias=None, *, stride=1, state=None, gelu=True, stream=None",
    "conv1d_gelu": "x, weight, bias=None, *, stride=1, padding=1, gelu=True, stream=None",
    "ada_rms_norm": "x, weight=None, scale=None, *, eps=1e-05, residual=None, stream=None",
    "sliding_window_attention": "q, k, v, *, scale=None, window=None, cache=None, stream=None",
    "RingKVCache": "window, *, bits=16, offset=0, phase=0.0, lazy=False",
    "RingSlots": "window, *, bits=16, lazy=False",
    "LinearKVCache": "*, bits=16, offset=0, phase=0.0, lazy=False",
    "explain": "op, *args, **kwargs",
    "use_backend": "name",
    "load": "source, dtype=None, *, time_dtype=None, revision=None, group=None",
    "AsyncStream": (
        "model, delay_ms=480, *, sample_rate=None, offset=0, cache_bits=16, drafts=None, chunk_ms=80, exact=False"
    ),
    "Batch": "model, slots=8, *, cache_bits=16, longest_s=None",
    "AsyncBatch": "model, slots=8, *, cache_bits=16, longest_s=None",
    "load_audio": "source, *, sample_rate=None, argument='audio'",
    "accelerate": "model, *, semantics='right', decoder_window=None, cache_bits=16",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name):
    signature = inspect.signature(getattr(vk, name))
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == f"({SIGNATURES[name]})"


def test_every_public_name_is_documented_and_there():
    # What a call or a method gives, so that its type has a name.
    given = {"Patched", "Result", "Stream", "StreamEvent", "Voxtral", "VoxtralRealtime", "Word"}
    given |= {"AsyncBatchStream", "BatchFull", "BatchStats", "BatchStream"}
    # An op is public by its files: test_layout.py asks for all of them.
    assert set(vk.__all__) - set(public_ops()) == {*SIGNATURES, *given, "emulator", "AudioWarning"} - set(public_ops())
    assert set(SIGNATURES) <= set(vk.__all__)
    assert {"metal_kernel", "library", "check_order", "KernelError"} <= set(vk.emulator.__all__)
    assert all(getattr(vk, name).__doc__ for name in vk.__all__)
