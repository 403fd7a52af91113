"""The 4B model's shapes without its weights: random ones, cut to a few layers."""

from __future__ import annotations

import dataclasses
import math

import mlx.core as mx

from voxtral_kernels.models.layers import Matrix
from voxtral_kernels.models.quantization import Quantization
from voxtral_kernels.models.voxtral_realtime.config import Config, DecoderConfig, EncoderConfig
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime
from voxtral_kernels.models.voxtral_realtime.weights import Weights, build, tensor_shapes

# mistralai/Voxtral-Mini-4B-Realtime-2602, params.json.
FULL = Config(
    EncoderConfig(1280, 32, 32, 64, 5120, 750, 1e6, 1e-5, 128),
    DecoderConfig(3072, 26, 32, 8, 128, 9216, 8192, 1e6, 1e-5, 131072, 32),
    downsample=4,
)


class RandomWeights(Weights):
    """Random tensors of a configuration, in place of a checkpoint's."""

    def __init__(self, config: Config, dtype: mx.Dtype, quantization: Quantization | None) -> None:
        self.config, self.dtype, self.packing = config, dtype, quantization
        self.shapes = tensor_shapes(config)
        self._unproven = {}

    def array(self, name: str, dtype: mx.Dtype | None = None) -> mx.array:
        shape, dtype = self.shapes[name], dtype or self.dtype
        if len(shape) == 1:
            return mx.ones(shape, dtype)
        fan_in = shape[-1] * (shape[1] if len(shape) == 3 else 1)
        # One random block over and over: the values only have to be ordinary numbers.
        size = math.prod(shape)
        block = mx.random.normal((min(size, 1 << 20),)) * fan_in**-0.5
        return mx.tile(block.astype(dtype), -(-size // block.size))[:size].reshape(shape)

    def matrix(self, stem: str) -> Matrix:
        weight = self.array(f"{stem}.weight")
        q = self.packing
        if q is None or weight.shape[-1] % q.group_size:
            return Matrix(weight)
        packed = mx.quantize(weight, group_size=q.group_size, bits=q.bits)
        mx.eval(packed)
        return Matrix(*packed, q)


def random(config: Config, *, bits: int | None = None) -> VoxtralRealtime:
    """A model of this configuration, bf16 or quantised in groups of 64; random weights from a fixed seed."""
    mx.random.seed(0)
    quantization = None if bits is None else Quantization(64, bits)
    stages = build(RandomWeights(config, mx.bfloat16, quantization))
    return VoxtralRealtime(config, *stages, None, dtype=mx.bfloat16, time_dtype=mx.bfloat16)


def cut(encoder_layers: int = 2, decoder_layers: int = 2, *, bits: int | None = None) -> VoxtralRealtime:
    """The 4B shapes with this many layers."""
    config = dataclasses.replace(
        FULL,
        encoder=dataclasses.replace(FULL.encoder, n_layers=encoder_layers),
        decoder=dataclasses.replace(FULL.decoder, n_layers=decoder_layers),
    )
    return random(config, bits=bits)
