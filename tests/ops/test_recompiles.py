"""Nothing recompiles as a stream moves: the texts that MLX would compile over 1000 steps, counted."""

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels import testing
from voxtral_kernels.backends import select
from voxtral_kernels.backends.shaders import Kernels
from voxtral_kernels.emulator.launch import custom_kernel


@pytest.fixture
def compiled(monkeypatch):
    """Serves the ops by a stand-in that only notes what MLX would compile, and gives zeros."""
    texts = []

    def factory(**description):
        kernel = mx.fast.metal_kernel(**description)

        def launch(inputs, output_shapes, output_dtypes, stream=None, **arguments):
            shapes = {"output_shapes": output_shapes, "output_dtypes": output_dtypes}
            texts.append(custom_kernel.capture(kernel, inputs, **shapes, **arguments).text)
            return [mx.zeros(s, d) for s, d in zip(output_shapes, output_dtypes, strict=True)]

        return launch

    monkeypatch.setitem(select.ORDER, mx.cpu, ("metal",))
    for op in testing.SHADED:
        monkeypatch.setitem(select._loaded, ("metal", op), Kernels(op, factory, "stand-in", checked=False))
    return texts


def attend(cache, heads, kv_heads, length, dim):
    q, k, v = (mx.zeros((1, h, length, dim)) for h in (heads, kv_heads, kv_heads))
    mx.eval(vk.sliding_window_attention(q, k, v, cache=cache), cache.state)


def test_a_decoder_stream_compiles_five_texts(compiled):
    """Before and behind the first commit, with splits from 512 keys on; then nothing new, growth and wrap included."""
    cache = vk.RingKVCache(window=700)
    for step in range(1000):
        attend(cache, 4, 1, 1, 32)
        if step == 600:
            early = set(compiled)
    assert set(compiled) == early
    assert len(early) <= 5


def test_an_encoder_stream_compiles_three_texts(compiled):
    cache = vk.RingKVCache(window=50)
    for _ in range(1000):
        attend(cache, 2, 2, 4, 48)
    assert len(set(compiled)) <= 3


def test_norm_and_convolution_compile_one_text_each(compiled):
    weight, state = mx.zeros((24, 3, 16)), None
    for _ in range(300):
        vk.ada_rms_norm(mx.zeros((1, 1, 96)), mx.ones((96,)))
        _, state = vk.causal_conv1d_gelu(mx.zeros((1, 8, 16)), weight, state=state, stride=2)
    assert len(set(compiled)) == 2
