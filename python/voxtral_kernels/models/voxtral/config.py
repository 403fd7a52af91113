"""Configuration of offline Voxtral, read from each layout's config file with every value in its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import _check
from ...tokenizer import Tokenizer
from ..section import MAX_VOCAB, OP, Section

_MAX_POSITIONS = 1 << 20
_MAX_CONTEXT = 1 << 24


@dataclass(frozen=True)
class EncoderConfig:
    """Whisper encoder; ``max_positions`` encoder frames are one chunk of audio."""

    dim: int
    n_layers: int
    n_heads: int
    hidden_dim: int
    max_positions: int
    n_mels: int
    norm_eps: float = 1e-5


@dataclass(frozen=True)
class DecoderConfig:
    """Llama decoder.

    ``tied``: the embedding is the head too; None where the config file does not say. ``max_context``: positions that it
    was made for.
    """

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    hidden_dim: int
    rope_theta: float
    norm_eps: float
    vocab_size: int
    max_context: int
    tied: bool | None
    window: None = None


@dataclass(frozen=True)
class Config:
    """The whole model: ``downsample`` encoder frames make one token of ``2 * downsample`` mel frames."""

    encoder: EncoderConfig
    decoder: DecoderConfig
    audio_token: int = 24
    downsample: int = 4
    hop: int = 160
    n_fft: int = 400
    sample_rate: int = 16000

    @property
    def chunk_frames(self) -> int:
        """Mel frames of a chunk (3000)."""
        return 2 * self.encoder.max_positions

    @property
    def chunk_samples(self) -> int:
        """Samples of a chunk (480000: 30 s)."""
        return self.chunk_frames * self.hop

    @property
    def chunk_tokens(self) -> int:
        """Tokens of a chunk (375)."""
        return self.encoder.max_positions // self.downsample


def from_mistral(config: Section) -> Config:
    """``params.json`` of the original layout."""
    whisper = config.section("multimodal").section("whisper_model_args")
    encoder = whisper.section("encoder_args")
    audio = encoder.section("audio_encoding_args")
    for key, value in (("use_biases", False), ("causal", True), ("sliding_window", None), ("yarn", None)):
        config.fixed(key, value)
    encoder.fixed("use_biases", True)
    names = ("dim", "n_layers", "n_heads", "hidden_dim")
    sizes = encoder.sizes(*names)
    encoder.fixed("n_kv_heads", sizes["n_heads"])
    mel = audio.mel_sizes()
    result = Config(
        EncoderConfig(
            **sizes,
            max_positions=encoder.integer("max_source_positions", 1, _MAX_POSITIONS, default=1500),
            n_mels=audio.mels(mel["n_fft"], mel["sample_rate"]),
        ),
        DecoderConfig(
            **config.sizes(*names),
            n_kv_heads=config.kv_heads("n_heads", "n_kv_heads"),
            head_dim=config.head_dim(),
            rope_theta=config.number("rope_theta", 1.0, 1e12),
            norm_eps=config.number("norm_eps", 0.0, 1.0, default=1e-5),
            vocab_size=config.integer("vocab_size", 1, MAX_VOCAB),
            max_context=config.integer("model_max_length", 1, _MAX_CONTEXT, default=131072),
            tied=config.flag("tied_embeddings"),
        ),
        downsample=whisper.section("downsample_args").integer("downsample_factor", 1, 64),
        **mel,
    )
    if "head_dim" in encoder.values:
        encoder.fixed("head_dim", result.encoder.dim // result.encoder.n_heads)
    return _checked(result, encoder)


def from_transformers(config: Section) -> Config:
    """``config.json`` of the transformers layout, and of the MLX conversions."""
    encoder, decoder = config.section("audio_config"), config.section("text_config")
    encoder.fixed("activation_function", "gelu")
    encoder.fixed("scale_embedding", False)
    config.fixed("projector_hidden_act", "gelu")
    for key, value in (("hidden_act", "silu"), ("attention_bias", False), ("mlp_bias", False)):
        decoder.fixed(key, value)
    for key in ("rope_scaling", "sliding_window"):
        decoder.fixed(key, None)
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    result = Config(
        EncoderConfig(
            **encoder.sizes(*names),
            max_positions=encoder.integer("max_source_positions", 1, _MAX_POSITIONS, default=1500),
            n_mels=encoder.mels(),
        ),
        DecoderConfig(
            **decoder.sizes(*names),
            n_kv_heads=decoder.kv_heads("num_attention_heads", "num_key_value_heads"),
            head_dim=decoder.head_dim(default=128),
            rope_theta=decoder.rope_theta(),
            norm_eps=decoder.number("rms_norm_eps", 0.0, 1.0, default=1e-5),
            vocab_size=decoder.integer("vocab_size", 1, MAX_VOCAB),
            max_context=decoder.integer("max_position_embeddings", 1, _MAX_CONTEXT, default=131072),
            tied=decoder.flag("tie_word_embeddings"),
        ),
        audio_token=config.integer("audio_token_id", 0, MAX_VOCAB, default=24),
    )
    return _checked(result, encoder)


def _checked(c: Config, encoder: Section) -> Config:
    """What no single value shows."""
    e = c.encoder
    if e.dim % e.n_heads:
        raise _check.fail(OP, encoder.path, f"a width that its {e.n_heads} heads divide", e.dim)
    if e.max_positions % c.downsample:
        expected = f"a multiple of {c.downsample}"
        raise _check.fail(OP, encoder.name("max_source_positions"), expected, e.max_positions)
    return c


def to_config(c: Config) -> dict[str, Any]:
    """The keys of the transformers layout's ``config.json``, which ``from_transformers`` reads back."""
    e, d = c.encoder, c.decoder
    return {
        "model_type": "voxtral",
        "audio_token_id": c.audio_token,
        "projector_hidden_act": "gelu",
        "audio_config": {
            "model_type": "voxtral_encoder",
            "hidden_size": e.dim,
            "num_hidden_layers": e.n_layers,
            "num_attention_heads": e.n_heads,
            "intermediate_size": e.hidden_dim,
            "max_source_positions": e.max_positions,
            "num_mel_bins": e.n_mels,
            "activation_function": "gelu",
        },
        "text_config": {
            "model_type": "llama",
            "hidden_size": d.dim,
            "num_hidden_layers": d.n_layers,
            "num_attention_heads": d.n_heads,
            "num_key_value_heads": d.n_kv_heads,
            "head_dim": d.head_dim,
            "intermediate_size": d.hidden_dim,
            "rope_theta": d.rope_theta,
            "rms_norm_eps": d.norm_eps,
            "vocab_size": d.vocab_size,
            "max_position_embeddings": d.max_context,
            "tie_word_embeddings": d.tied,
        },
    }


def check_tokenizer(tokenizer: Tokenizer, config: Config) -> None:
    """The tokenizer is one of this model.

    Raises:
        ValueError: it is not; the text names what differs.
    """
    audio = tokenizer.audio
    if audio.is_streaming or audio.config.chunk_length_s is None:
        got = "that of a realtime model" if audio.is_streaming else "one without chunk_length_s"
        raise _check.fail(OP, "tekken.json", "the audio section of an offline model", got)
    size = config.decoder.vocab_size
    if tokenizer.vocab_size > size:
        raise _check.fail(OP, "tekken.json vocabulary", f"at most {size} ids as the model has", tokenizer.vocab_size)
    facts: tuple[tuple[str, float, Any], ...] = (
        ("sampling_rate", config.sample_rate, audio.sample_rate),
        ("n_mels", config.encoder.n_mels, audio.n_mels),
        ("chunk_length_s", config.chunk_samples / config.sample_rate, audio.config.chunk_length_s),
        ("samples_per_token", config.chunk_samples // config.chunk_tokens, audio.samples_per_token),
    )
    for name, expected, got in facts:
        if got != expected:
            raise _check.fail(OP, f"tekken.json {name}", str(expected), got)
