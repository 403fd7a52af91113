"""Reads a tekken.json and bounds its numbers, before mistral_common builds a tokenizer of it.

mistral_common trusts the file: a number of special tokens is a list of that length, a padding a prompt of that length.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._check import fail, shown
from ._model_files import refuse_pointer

if TYPE_CHECKING:
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

# Section, key, the least and the greatest that can be meant, whether it is a whole number.
_BOUNDS = (
    ("config", "default_vocab_size", 1, 1 << 22, True),
    ("config", "default_num_special_tokens", 1, 1 << 16, True),
    ("audio", "sampling_rate", 1000, 1 << 20, True),
    ("audio", "frame_rate", 0.1, 1000, False),
    ("audio", "chunk_length_s", 0.1, 3600, False),
    ("audio", "transcription_delay_ms", 1, 60_000, False),
    ("audio", "streaming_look_ahead_ms", 0, 60_000, False),
    ("audio", "streaming_look_back_ms", 0, 60_000, False),
    ("audio", "streaming_n_left_pad_tokens", 0, 4096, True),
    ("audio.audio_encoding_config", "num_mel_bins", 1, 1 << 10, True),
    ("audio.audio_encoding_config", "hop_length", 1, 1 << 13, True),
    ("audio.audio_encoding_config", "window_size", 2, 1 << 13, True),
)


def read(op: str, path: Path) -> Tekkenizer:
    """mistral_common's tokenizer of a file.

    Raises:
        ValueError: there is no such file, or it is no tekken.json.
    """
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    if not path.is_file():
        raise fail(op, "path", "a tekken.json", f"{str(path)!r}, which is not a file")
    refuse_pointer(op, path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(op, path, error) from None
    if not isinstance(values, dict):
        raise _unreadable(op, path, TypeError(f"an object is needed, not {type(values).__name__}"))
    _bound(op, values)
    try:
        return Tekkenizer.from_file(path)
    except Exception as error:  # it checks little: whatever it raises, the file is not what it should be
        raise _unreadable(op, path, error) from None


def _unreadable(op: str, path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error)[:1000].split())
    reason = type(error).__name__ + (f": {reason}" if 0 < len(reason) <= 120 else "")
    return fail(op, "path", "a tekken.json", f"{str(path)!r} ({reason})")


def _bound(op: str, values: dict[str, Any]) -> None:
    for section, key, least, greatest, whole in _BOUNDS:
        found: Any = values
        for name in (*section.split("."), key):
            if not isinstance(found, dict):
                raise fail(op, f"tekken.json {section}", "an object", shown(found))
            found = found.get(name)
            if found is None:
                break
        if found is None:
            continue  # of no audio, of the other family, or missed by mistral_common
        number = isinstance(found, int if whole else (int, float)) and not isinstance(found, bool)
        if not number or not least <= found <= greatest or not math.isfinite(found):
            kind = "a whole number" if whole else "a number"
            raise fail(op, f"tekken.json {section}.{key}", f"{kind} from {least:g} to {greatest:g}", shown(found))
