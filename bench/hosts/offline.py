"""The offline hosts, small and random, through their own classes; see `importing`."""

from __future__ import annotations

import types
from typing import Any

import mlx.core as mx
import numpy as np

from .importing import host, randomize

AUDIO_TOKEN = 24
_FRAMES = 24  # of mel: 12 after the stem, 3 audio tokens
# The tower's MLP is as wide as four frames, as in the released models.
_AUDIO = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
_AUDIO |= {"max_source_positions": _FRAMES // 2, "num_mel_bins": 128}
_TEXT = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
_TEXT |= {"num_key_value_heads": 2, "head_dim": 32, "vocab_size": 96}
# config.json of these models, for our own loader.
CONFIG: dict[str, Any] = {"model_type": "voxtral", "audio_config": _AUDIO}
CONFIG["text_config"] = _TEXT | {"rope_theta": 1e8, "rms_norm_eps": 1e-5}


class MlxAudioVoxtral:
    """mlx-audio's `voxtral`."""

    name = "mlx-audio"

    def small(self) -> Any:
        package = host("mlx_audio.stt.models.voxtral")
        audio = _AUDIO | {"d_model": 64, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 256}
        config = package.ModelConfig(package.AudioConfig.from_dict(audio), package.TextConfig.from_dict(_TEXT))
        return randomize(package.Model(config))

    def outputs(self, model: Any) -> dict[str, mx.array]:
        """Audio embeddings, and logits: a prefill, three more tokens at once, then one by one."""
        cache = self.new_cache(model)
        ids = mx.array([prompt()])
        logits = [model(ids, self._features(), cache=cache)]
        logits += [model(mx.array([piece]), cache=cache) for piece in _PIECES]
        return {"audio": model.get_audio_embeds(self._features()), "logits": mx.concatenate(logits, axis=1)}

    def new_cache(self, model: Any) -> list[Any]:
        return host("mlx_audio.lm.models.cache").make_prompt_cache(model.language_model)

    def decode(self, model: Any, ids: list[int], cache: list[Any]) -> mx.array:
        """Logits ``[V]`` behind the newest of these ids."""
        return model(mx.array([ids]), cache=cache)[0, -1]

    def whole(self, model: Any, mel: mx.array) -> mx.array:
        """Logits ``[L, V]`` of the prompt with audio ``mel [1, T, n_mels]``."""
        return model(mx.array([prompt()]), mel)[0]

    def masked(self, model: Any) -> mx.array:
        attention = model.language_model.model.layers[0].self_attn
        return attention(mx.array(noise(1, 6, 64)), mx.array(_PADDED))

    def generate(self, model: Any) -> list[int]:
        """The host's own loop; its processor and tokenizer, which no test has, are not needed for ids."""
        model._processor = types.SimpleNamespace(tokenizer=types.SimpleNamespace(eos_token_ids=[]))
        stream = host("mlx_audio.lm.generate").generation_stream
        steps = model.stream_generate(
            mx.array([prompt()]), input_features=self._features(), max_tokens=12, generation_stream=stream
        )
        return [int(token) for token, _ in steps]

    def _features(self) -> mx.array:
        return mx.array(noise(1, _FRAMES, 128))


class MlxVoxtral:
    """mlx-voxtral."""

    name = "mlx-voxtral"

    def small(self) -> Any:
        package = host("mlx_voxtral.configuration_voxtral")
        config = package.VoxtralConfig(_AUDIO, _TEXT)
        return randomize(host("mlx_voxtral.modeling_voxtral").VoxtralForConditionalGeneration(config))

    def outputs(self, model: Any) -> dict[str, mx.array]:
        """Audio embeddings, every hidden state, and logits: a prefill, three tokens at once, then one by one."""
        cache = self.new_cache(model)
        logits = [model(mx.array([prompt()]), input_features=self._features(), past_key_values=cache).logits]
        logits += [model(mx.array([piece]), past_key_values=cache).logits for piece in _PIECES]
        _, hidden, _ = model.audio_tower(self._features(), output_hidden_states=True)
        audio = model.get_audio_embeds(self._features())
        return {"audio": audio, "hidden": mx.concatenate(hidden), "logits": mx.concatenate(logits, axis=1)}

    def whole(self, model: Any, mel: mx.array) -> mx.array:
        """Logits ``[L, V]`` of the prompt with audio ``mel [1, T, n_mels]``."""
        return model(mx.array([prompt()]), input_features=mel.transpose(0, 2, 1)).logits[0]

    def masked(self, model: Any) -> mx.array:
        attention = model.language_model.layers[0].self_attn
        return attention(mx.array(noise(1, 6, 64)), mx.array(_PADDED), self.new_cache(model)[0])

    def generate(self, model: Any) -> list[int]:
        """The host's own loop."""
        ids = mx.array([prompt()])
        out = model.generate(ids, self._features(), max_new_tokens=12, stop_tokens=[])
        return out[0, ids.shape[1] :].tolist()

    def new_cache(self, model: Any) -> list[Any]:
        cache = host("mlx_lm.models.cache").KVCache
        return [cache() for _ in model.language_model.layers]

    def decode(self, model: Any, ids: list[int], cache: list[Any]) -> mx.array:
        """Logits ``[V]`` behind the newest of these ids."""
        return model(mx.array([ids]), past_key_values=cache).logits[0, -1]

    def _features(self) -> mx.array:
        return mx.array(noise(1, 128, _FRAMES))


OFFLINE = (MlxAudioVoxtral(), MlxVoxtral())

_PIECES = ([40, 41, 42], [43], [44], [45])
# The first two positions are padding.
_PADDED = np.tril(np.ones((6, 6), bool)) & (np.arange(6) >= 2) | np.eye(6, dtype=bool)


def prompt() -> list[int]:
    return [1, 30, *[AUDIO_TOKEN] * (_FRAMES // 8), 31, 32]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)
