"""Reads the values of a model's config file, each with its bounds: an absurd one is refused by its full name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from .. import _check
from .._model_files import exists, refuse_pointer
from ..audio.mel import MelConfig

OP = "load"
REALTIME, OFFLINE = "Voxtral Realtime", "Voxtral (offline)"
# Nothing that could be meant is beyond these; what is, would only fill the memory.
MAX_DIM = 1 << 16
MAX_LAYERS = 512
MAX_HEADS = 512
MAX_HEAD_DIM = 1024
MAX_VOCAB = 1 << 22
MAX_MELS = 1 << 10
# Beside the original weights the first is taken, else the second where both are there.
CONFIG_FILES = ("params.json", "config.json")


class Section:
    """One JSON object of a config file; ``path`` names it in errors, e.g. ``params.json multimodal``."""

    def __init__(self, values: Any, path: str) -> None:
        if not isinstance(values, dict):
            raise _check.fail(OP, path, "a JSON object", type(values).__name__)
        self.values = values
        self.path = path

    @classmethod
    def read(cls, file: Path) -> Section:
        """The whole file.

        Raises:
            ValueError: the file cannot be read, is no JSON or holds no object.
        """
        refuse_pointer(OP, file)
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:  # a number of 5000 digits is a plain ValueError
            raise _check.fail(OP, file.name, "a readable JSON file", f"{type(error).__name__}: {error}") from None
        return cls(values, file.name)

    @classmethod
    def of_model(cls, folder: Path) -> Section:
        """A model folder's config file: ``params.json`` beside the original weights, else ``config.json``.

        Raises:
            ValueError: there is none, or it cannot be read.
        """
        original = exists(OP, folder / "params.json") and exists(OP, folder / "consolidated.safetensors")
        for name in ("params.json",) if original else ("config.json", "params.json"):
            if exists(OP, folder / name):
                return cls.read(folder / name)
        raise _check.fail(OP, "model", "params.json or config.json in the folder", f"neither in {folder}")

    @property
    def family(self) -> str:
        """Which models a model's config file, of any layout, is of: `REALTIME`, `OFFLINE`, or what it says itself."""
        kind = self.values.get("model_type")
        if self.values.get("ada_rms_norm_t_cond") or kind == "voxtral_realtime":
            return REALTIME
        if kind is None and "multimodal" in self.values:
            whisper = self.section("multimodal").section("whisper_model_args")
            # A causal encoder is not Whisper's.
            return "another model" if whisper.section("encoder_args").values.get("causal") else OFFLINE
        return OFFLINE if kind == "voxtral" else str(kind or "another model")

    def require_family(self, family: str) -> None:
        """The config file is of that family.

        Raises:
            ValueError: it is not; the text names the one that it is of.
        """
        if self.family != family:
            raise _check.fail(OP, self.path, f"the configuration of {family}", f"that of {self.family}")

    def name(self, key: str) -> str:
        """How an error names the value."""
        return f"{self.path} {key}" if self.path.endswith(".json") else f"{self.path}.{key}"

    def section(self, key: str) -> Section:
        """A nested object."""
        return Section(self.values.get(key), self.name(key))

    def integer(self, key: str, minimum: int, maximum: int, default: int | None = None) -> int:
        """An integer in ``minimum .. maximum``; ``default`` where the key is missing."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        return _check.integer(OP, self.name(key), value, minimum, maximum)

    def number(self, key: str, minimum: float, maximum: float, default: float | None = None) -> float:
        """A finite number in ``minimum .. maximum``; ``default`` where the key is missing."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        bounds = f"a number from {minimum:g} to {maximum:g}"
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not minimum <= cast(float, value) <= maximum:  # NaN is not, and an int of any size compares
            raise _check.fail(OP, self.name(key), bounds, _check.shown(value))
        return float(cast(float, value))

    def fixed(self, key: str, expected: Any) -> None:
        """The value, where the key is there at all, is the only one that this package implements."""
        if self.values.get(key, expected) != expected:
            raise _check.fail(OP, self.name(key), repr(expected), _check.shown(self.values[key]))

    def flag(self, key: str) -> bool | None:
        """True, False, or None where the key is missing."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise _check.fail(OP, self.name(key), "true or false", _check.shown(value))
        return value

    def sizes(self, dim: str, layers: str, heads: str, hidden: str) -> dict[str, Any]:
        """Those of a stack of layers, by this package's names; the arguments are the file's."""
        return {
            "dim": self.integer(dim, 1, MAX_DIM),
            "n_layers": self.integer(layers, 1, MAX_LAYERS),
            "n_heads": self.integer(heads, 1, MAX_HEADS),
            "hidden_dim": self.integer(hidden, 1, 4 * MAX_DIM),
        }

    def mel_sizes(self) -> dict[str, Any]:
        """Hop, window and rate of the mel front-end, from the original layout's ``audio_encoding_args``."""
        n_fft = self.integer("window_size", 2, 1 << 13, default=400)
        if n_fft % 2:
            raise _check.fail(OP, self.name("window_size"), "an even number", n_fft)
        return {
            "hop": self.integer("hop_length", 1, n_fft, default=160),
            "n_fft": n_fft,
            "sample_rate": self.integer("sampling_rate", 1000, 1 << 20, default=16000),
        }

    def mels(self, n_fft: int = 400, sample_rate: int = 16000) -> int:
        """The number of mel filters, each of which takes at least one frequency of the window."""
        n_mels = self.integer("num_mel_bins", 1, MAX_MELS)
        try:
            MelConfig(n_mels, n_fft, sample_rate=sample_rate).taps  # noqa: B018
        except (ArithmeticError, LookupError, ValueError):
            expected = f"filters that a window of {n_fft} samples at {sample_rate} Hz can have"
            raise _check.fail(OP, self.name("num_mel_bins"), expected, n_mels) from None
        return n_mels

    def head_dim(self, key: str = "head_dim", default: int | None = None) -> int:
        """The width of a head: even, as rotary positions turn pairs."""
        value = self.integer(key, 2, MAX_HEAD_DIM, default)
        if value % 2:
            raise _check.fail(OP, self.name(key), "an even number", value)
        return value

    def kv_heads(self, heads: str, kv_heads: str) -> int:
        """The number of key/value heads, which divides that of the heads."""
        n, kv = self.integer(heads, 1, MAX_HEADS), self.integer(kv_heads, 1, MAX_HEADS)
        if n % kv:
            raise _check.fail(OP, self.name(kv_heads), f"a divisor of {heads} {n}", kv)
        return kv

    def rope_theta(self) -> float:
        """The base of the rotary frequencies, in transformers' present form or the one before."""
        rope = self.section("rope_parameters") if self.values.get("rope_parameters") else self
        rope.fixed("rope_type", "default")
        return rope.number("rope_theta", 1.0, 1e12)
