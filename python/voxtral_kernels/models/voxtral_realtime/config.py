"""Configuration of Voxtral Realtime, read from each layout's config file with every value in its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import _check
from ...tokenizer import Tokenizer
from ..section import MAX_DIM, MAX_VOCAB, OP, Section

_MAX_WINDOW = 1 << 20


@dataclass(frozen=True)
class EncoderConfig:
    """Causal Whisper-style encoder; ``window`` counts visible keys including the query's own."""

    dim: int
    n_layers: int
    n_heads: int
    head_dim: int
    hidden_dim: int
    window: int
    rope_theta: float
    norm_eps: float
    n_mels: int

    @property
    def n_kv_heads(self) -> int:
        """As many as query heads."""
        return self.n_heads


@dataclass(frozen=True)
class DecoderConfig:
    """Delay-conditioned decoder with a tied head; ``cond_dim`` is the width between the two conditioning matrices."""

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    hidden_dim: int
    window: int
    rope_theta: float
    norm_eps: float
    vocab_size: int
    cond_dim: int


@dataclass(frozen=True)
class Config:
    """The whole model: ``downsample`` encoder frames make one token of ``2 * downsample`` mel frames."""

    encoder: EncoderConfig
    decoder: DecoderConfig
    downsample: int
    hop: int = 160
    n_fft: int = 400
    sample_rate: int = 16000
    log_mel_max: float = 1.5

    @property
    def mel_per_token(self) -> int:
        """Mel frames of one token."""
        return 2 * self.downsample

    @property
    def samples_per_token(self) -> int:
        """Samples of one token."""
        return self.hop * self.mel_per_token

    @property
    def token_s(self) -> float:
        """Seconds of one token."""
        return self.samples_per_token / self.sample_rate


def from_mistral(config: Section) -> Config:
    """``params.json`` of the original layout; the converted layout's ``config.json`` holds the same keys."""
    whisper = config.section("multimodal").section("whisper_model_args")
    encoder = whisper.section("encoder_args")
    downsample = whisper.section("downsample_args").integer("downsample_factor", 1, 64)
    return _mistral(config, encoder, encoder.section("audio_encoding_args"), downsample)


def from_mlx_audio(config: Section) -> Config:
    """``config.json`` of mlx-audio's conversions: the same keys under ``decoder`` and ``encoder_args``."""
    encoder = config.section("encoder_args")
    audio = config if "audio_encoding_args" in config.values else encoder
    downsample = encoder.integer("downsample_factor", 1, 64, default=4)
    return _mistral(config.section("decoder"), encoder, audio.section("audio_encoding_args"), downsample)


def _mistral(decoder: Section, encoder: Section, audio: Section, downsample: int) -> Config:
    for section in (decoder, encoder):
        section.fixed("causal", True)
    for key, value in (("pos_embed", "rope"), ("ffn_type", "swiglu"), ("norm_type", "rms_norm"), ("use_biases", True)):
        encoder.fixed(key, value)
    for key, value in (("tied_embeddings", True), ("use_biases", False), ("ada_rms_norm_t_cond", True)):
        decoder.fixed(key, value)
    sizes = _sizes(encoder, "dim", "n_layers", "n_heads", "hidden_dim", "sliding_window")
    encoder.fixed("n_kv_heads", sizes["n_heads"])
    theta = encoder.number("rope_theta", 1.0, 1e12), decoder.number("rope_theta", 1.0, 1e12)
    mel = audio.mel_sizes()
    return Config(
        EncoderConfig(**sizes, rope_theta=theta[0], n_mels=audio.mels(mel["n_fft"], mel["sample_rate"])),
        DecoderConfig(
            **_sizes(decoder, "dim", "n_layers", "n_heads", "hidden_dim", "sliding_window"),
            n_kv_heads=decoder.kv_heads("n_heads", "n_kv_heads"),
            rope_theta=theta[1],
            vocab_size=decoder.integer("vocab_size", 1, MAX_VOCAB),
            cond_dim=decoder.integer("ada_rms_norm_t_cond_dim", 1, MAX_DIM, default=32),
        ),
        downsample=downsample,
        **mel,
        log_mel_max=audio.number("global_log_mel_max", -100, 100, default=1.5),
    )


def from_transformers(config: Section) -> Config:
    """``config.json`` of the transformers layout."""
    encoder, decoder = config.section("audio_config"), config.section("text_config")
    for section in (encoder, decoder):
        section.fixed("hidden_act", "silu")
    encoder.fixed("activation_function", "gelu")
    config.fixed("projector_hidden_act", "gelu")
    config.fixed("tie_word_embeddings", True)
    keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "sliding_window")
    result = Config(
        EncoderConfig(
            **_sizes(encoder, *keys, eps="rms_norm_eps"),
            rope_theta=encoder.rope_theta(),
            n_mels=encoder.mels(),
        ),
        DecoderConfig(
            **_sizes(decoder, *keys, eps="rms_norm_eps"),
            n_kv_heads=decoder.kv_heads("num_attention_heads", "num_key_value_heads"),
            rope_theta=decoder.rope_theta(),
            vocab_size=decoder.integer("vocab_size", 1, MAX_VOCAB),
            cond_dim=32,
        ),
        downsample=config.integer("downsample_factor", 1, 64, default=4),
    )
    config.fixed("audio_length_per_tok", result.mel_per_token)
    return result


def to_params(config: Config) -> dict[str, Any]:
    """The keys of ``params.json``, which ``from_mistral`` reads back."""

    def part(c: EncoderConfig | DecoderConfig) -> dict[str, Any]:
        same = ("dim", "n_layers", "n_heads", "n_kv_heads", "head_dim", "hidden_dim", "rope_theta", "norm_eps")
        return {key: getattr(c, key) for key in same} | {"sliding_window": c.window, "causal": True}

    audio = {
        "sampling_rate": config.sample_rate,
        "frame_rate": config.sample_rate / config.samples_per_token,
        "num_mel_bins": config.encoder.n_mels,
        "hop_length": config.hop,
        "window_size": config.n_fft,
        "global_log_mel_max": config.log_mel_max,
    }
    encoder = part(config.encoder) | {"use_biases": True, "audio_encoding_args": audio}
    whisper = {"encoder_args": encoder, "downsample_args": {"downsample_factor": config.downsample}}
    return part(config.decoder) | {
        "use_biases": False,
        "vocab_size": config.decoder.vocab_size,
        "tied_embeddings": True,
        "ada_rms_norm_t_cond": True,
        "ada_rms_norm_t_cond_dim": config.decoder.cond_dim,
        "multimodal": {"whisper_model_args": whisper},
    }


def _sizes(
    s: Section, dim: str, layers: str, heads: str, hidden: str, window: str, eps: str = "norm_eps"
) -> dict[str, Any]:
    """The values that encoder and decoder have in common, by this package's names."""
    return s.sizes(dim, layers, heads, hidden) | {
        "head_dim": s.head_dim(),
        "window": s.integer(window, 1, _MAX_WINDOW),
        "norm_eps": s.number(eps, 0.0, 1.0, default=1e-5),
    }


def check_tokenizer(tokenizer: Tokenizer, config: Config) -> None:
    """The tokenizer is one of this model.

    Raises:
        ValueError: it is not; the text names what differs.
    """
    if not tokenizer.audio.is_streaming:
        raise _check.fail(OP, "tekken.json", "the streaming audio section of a realtime model", "an offline one")
    for name, expected, got in (
        ("vocabulary", f"at most {config.decoder.vocab_size} ids as the model has", tokenizer.vocab_size),
        ("samples_per_token", config.samples_per_token, tokenizer.audio.samples_per_token),
        ("sampling_rate", config.sample_rate, tokenizer.audio.sample_rate),
        ("n_mels", config.encoder.n_mels, tokenizer.audio.n_mels),
    ):
        right = got <= config.decoder.vocab_size if name == "vocabulary" else got == expected
        if not right:
            raise _check.fail(OP, f"tekken.json {name}", str(expected), got)
