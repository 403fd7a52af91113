"""The realtime hosts, small and random or with the tiny checkpoint, and what their own loops do, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from ..paths import TINY
from .importing import host, randomize

SAMPLE_RATE, SAMPLES_PER_TOKEN, DELAY = 16000, 1280, 6


def _config(encoder: dict[str, int], decoder: dict[str, int], windows: tuple[int, int]) -> dict[str, Any]:
    """A configuration in Mistral's form; voxmlx and WhisperLiveKit read it."""
    audio = {"num_mel_bins": 128}
    encoder_args = {"rope_theta": 1e4, "sliding_window": windows[0], "audio_encoding_args": audio} | encoder
    whisper = {"encoder_args": encoder_args, "downsample_args": {"downsample_factor": 4}}
    shared = {"rope_theta": 1e4, "sliding_window": windows[1], "vocab_size": 96, "ada_rms_norm_t_cond_dim": 32}
    return {"multimodal": {"whisper_model_args": whisper}} | shared | decoder


# Sizes of the random models: odd head counts, grouped queries, windows that a second of audio passes.
SMALL_ENCODER = {"dim": 64, "n_layers": 2, "n_heads": 2, "head_dim": 32, "hidden_dim": 96}
SMALL_DECODER = {"dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 32, "hidden_dim": 96}
SMALL_WINDOWS = (24, 16)


@dataclass(frozen=True)
class Layers:
    """A host's encoder or decoder layers with their caches, apart from what stands before them.

    Args:
        caches: One a layer, empty.
        run: ``[*lead, L, D]`` to hidden states or logits, behind what the caches have seen.
        lead: Axes before the positions.
    """

    caches: list[Any]
    run: Callable[[mx.array], mx.array]
    lead: tuple[int, ...] = (1,)


class AudioStream:
    """voxmlx's and WhisperLiveKit's incremental encoder and the state that their loops carry.

    Args:
        step: The host's method.
    """

    def __init__(self, step: Any) -> None:
        self._step = step
        self._state: tuple[Any, ...] = (None,) * 4

    def feed(self, mel: mx.array) -> mx.array | None:
        """Embeddings ``[n, D]`` that new frames ``[n_mels, T]`` complete."""
        embeds, *state = self._step(mel, *self._state)
        self._state = tuple(state)
        return embeds

    @property
    def caches(self) -> list[Any]:
        """The encoder's cache objects."""
        return self._state[2]


class Voxmlx:
    """voxmlx, and what its own loops do, step by step."""

    name = "voxmlx"

    def small(self) -> Any:
        return self.sized(SMALL_ENCODER, SMALL_DECODER, SMALL_WINDOWS)

    def sized(self, encoder: dict[str, int], decoder: dict[str, int], windows: tuple[int, int]) -> Any:
        """A random model of these sizes."""
        return randomize(self._build(encoder, decoder, windows))

    def _build(self, encoder: dict[str, int], decoder: dict[str, int], windows: tuple[int, int]) -> Any:
        return host("voxmlx.model").VoxtralRealtime(_config(encoder, decoder, windows))

    def tiny(self) -> Any:
        model, _ = host("voxmlx.weights").load_model(TINY)
        model.set_dtype(mx.float32)
        return model

    def loaded(self) -> Any:
        """What the host's own loops take: the model, or its holder."""
        return self.tiny()

    def embed(self, model: Any, mel: mx.array) -> mx.array:
        return model.encode(mel)

    def open(self, model: Any) -> AudioStream:
        """The host's incremental encoder at the start of a stream."""
        return AudioStream(model.encode_step)

    def encoder_layers(self, model: Any) -> Layers:
        """The streaming encoder's layers."""
        caches = [host("voxmlx.cache").RotatingKVCache(100_000) for _ in model.encoder.layers]
        return Layers(caches, lambda x: model.encoder.forward_transformer(x, cache=caches))

    def decoder_layers(self, model: Any, window: int) -> Layers:
        """The decoder's layers and its head; the delay's embedding is computed once, as in the host's loop."""
        condition, caches = self.condition(model), self.new_cache(model, window)
        mx.eval(condition)
        return Layers(caches, lambda x: model.decode(x, condition, None, caches))

    def embed_stream(self, model: Any, mel: mx.array, chunks: Sequence[int]) -> tuple[mx.array, list[Any]]:
        """Audio embeddings of mel fed in these chunks, and the encoder's caches."""
        stream = self.open(model)
        parts = [stream.feed(piece) for piece in _split(mel, chunks)]
        return mx.concatenate([p for p in parts if p is not None and p.shape[0]]), stream.caches

    def condition(self, model: Any) -> mx.array:
        return model.time_embedding(mx.array([DELAY], mx.float32))

    def new_cache(self, model: Any, size: int) -> list[Any]:
        cache = host("voxmlx.cache").RotatingKVCache
        return [cache(size) for _ in model.language_model.layers]

    def decode(self, model: Any, x: mx.array, cache: list[Any]) -> mx.array:
        """Logits ``[L, V]`` of the newest rows ``x [L, D]``."""
        mask = "causal" if x.shape[0] > 1 else None
        return model.decode(x[None], self.condition(model), mask, cache)[0]

    def quantize(self, model: Any) -> None:
        nn.quantize(model, group_size=32, bits=4)


class WhisperLiveKit(Voxmlx):
    """WhisperLiveKit's `voxtral_mlx`."""

    name = "whisperlivekit"

    def _build(self, encoder: dict[str, int], decoder: dict[str, int], windows: tuple[int, int]) -> Any:
        return host("whisperlivekit.voxtral_mlx.model").VoxtralMLXModel(_config(encoder, decoder, windows))

    def tiny(self) -> Any:
        return self.loaded().model

    def loaded(self) -> Any:
        asr = host("whisperlivekit.voxtral_mlx_asr").VoxtralMLXASR(model_dir=str(TINY))
        asr.model.set_dtype(mx.float32)
        return asr

    def open(self, model: Any) -> AudioStream:
        return AudioStream(model.encode_incremental)

    def encoder_layers(self, model: Any) -> Layers:
        caches = [host("whisperlivekit.voxtral_mlx.model").SlidingKVCache(100_000) for _ in model.encoder.blocks]
        return Layers(caches, lambda x: model.encoder.forward_transformer_incremental(x, caches))

    def condition(self, model: Any) -> mx.array:
        return model.delay_embedding(mx.array([DELAY], mx.float32))

    def new_cache(self, model: Any, size: int) -> list[Any]:
        cache = host("whisperlivekit.voxtral_mlx.model").SlidingKVCache
        return [cache(size) for _ in model.decoder.blocks]


class SessionStream(AudioStream):
    """mlx-audio's session from the mel on."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def feed(self, mel: mx.array) -> mx.array | None:
        frames = self._session._sconv.step(mel)
        return self._session._sproj.step(self._session._senc.step(frames))

    @property
    def caches(self) -> list[Any]:
        return self._session._senc._caches


class MlxAudio(Voxmlx):
    """mlx-audio's `voxtral_realtime`; its adapter is 3072 wide in code, so these instances get another."""

    name = "mlx-audio"

    def _model(self, encoder: dict[str, Any], decoder: dict[str, Any]) -> Any:
        package = host("mlx_audio.stt.models.voxtral_realtime")
        config = package.ModelConfig(
            encoder_args=package.EncoderConfig.from_dict(encoder), decoder=package.DecoderConfig.from_dict(decoder)
        )
        model = package.Model(config)
        width, wide = decoder["dim"], 4 * encoder["dim"]
        model.encoder.audio_language_projection_0 = nn.Linear(wide, width, bias=False)
        model.encoder.audio_language_projection_2 = nn.Linear(width, width, bias=False)
        return model

    def small(self) -> Any:
        model = super().small()
        model._ensure_ada_scales(DELAY * 80)
        return model

    def _build(self, encoder: dict[str, int], decoder: dict[str, int], windows: tuple[int, int]) -> Any:
        both = {"rope_theta": 1e4, "vocab_size": 96}
        own = {"n_kv_heads": encoder["n_heads"], "sliding_window": windows[0]}
        return self._model(encoder | both | own, decoder | both)

    def tiny(self) -> Any:
        import json

        params = json.loads((TINY / "params.json").read_text())
        whisper = params["multimodal"]["whisper_model_args"]["encoder_args"]
        # This host fails on a prompt of more than half its decoder's window, as 39 of 64 is: it gets its default.
        model = self._model(whisper, params | {"sliding_window": 8192})
        weights = model.sanitize(mx.load(str(TINY / "consolidated.safetensors")))
        model.load_weights(list(weights.items()))
        model.set_dtype(mx.float32)
        return type(model).post_load_hook(model, TINY)

    def loaded(self) -> Any:
        return self.tiny()

    def embed(self, model: Any, mel: mx.array) -> mx.array:
        return model.encoder(mel)

    def open(self, model: Any) -> AudioStream:
        return SessionStream(model.create_streaming_session())

    def encoder_layers(self, model: Any) -> Layers:
        encoder = model.create_streaming_session()._senc
        return Layers(encoder._caches, encoder.step, ())

    def decoder_layers(self, model: Any, window: int) -> Layers:
        model._ensure_ada_scales(DELAY * 80)
        caches = self.new_cache(model, window)
        return Layers(caches, lambda x: self.decode(model, x, caches), ())

    def new_cache(self, model: Any, size: int) -> list[Any]:
        return model.decoder.make_cache()

    def decode(self, model: Any, x: mx.array, cache: list[Any]) -> mx.array:
        hidden, _ = model.decoder.forward(x, start_pos=cache[0].offset, cache=cache)
        return model.decoder.logits(hidden)

    def quantize(self, model: Any) -> None:
        nn.quantize(model, group_size=32, bits=4, class_predicate=lambda p, m: hasattr(m, "to_quantized"))


REALTIME = (Voxmlx(), WhisperLiveKit(), MlxAudio())


def _split(mel: mx.array, chunks: Sequence[int]) -> list[mx.array]:
    """``mel [n_mels, T]`` in pieces of these lengths, over and over."""
    pieces, start, i = [], 0, 0
    while start < mel.shape[1]:
        pieces.append(mel[:, start : start + chunks[i % len(chunks)]])
        start, i = start + chunks[i % len(chunks)], i + 1
    return pieces
