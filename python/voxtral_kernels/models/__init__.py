"""The models, and ``load``, which finds the right one for a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx

from .. import _check
from . import hub
from .section import OP, Section


def load(source: str | Path, dtype: mx.Dtype | str | None = None, *, time_dtype: mx.Dtype | str | None = None) -> Any:
    """A model ready to transcribe.

    Args:
        source: ``"tiny"`` (the small checkpoint in the package), a folder, or a Hugging Face hub id, which is
            downloaded. Layouts: original Mistral, converted (voxmlx, mlx-audio; 4/6/8-bit too), transformers.
        dtype: Arithmetic and floating weights: float32, float16 or bfloat16; None for the checkpoint's own.
        time_dtype: Arithmetic of the delay's time embedding; None for the checkpoint's own (the published error rates
            used bfloat16).

    Raises:
        ValueError: no such model; or a configuration, file or tensor in it that is not what it should be. Everything
            is checked before any weight is loaded.
    """
    dtypes = [dtype_of(name, value) for name, value in (("dtype", dtype), ("time_dtype", time_dtype))]
    folder = hub.find(source)
    from .voxtral_realtime import config, layouts
    from .voxtral_realtime.model import VoxtralRealtime

    _, section = layouts.detect(folder)
    if not config.is_realtime(section):
        raise _check.fail(OP, section.path, "the configuration of a Voxtral Realtime model", _family(section))
    return VoxtralRealtime.load(folder, dtypes[0], time_dtype=dtypes[1])


def _family(section: Section) -> str:
    return str(section.values.get("model_type") or "another model")


def dtype_of(argument: str, value: mx.Dtype | str | None) -> mx.Dtype | None:
    """A floating dtype by itself or by its name.

    Raises:
        ValueError: another one.
    """
    if value is None:
        return None
    name = _check.dtype_name(value) if isinstance(value, mx.Dtype) else value
    for dtype in _check.FLOATS:
        if _check.dtype_name(dtype) == name:
            return dtype
    raise _check.fail(OP, argument, "float32, float16, bfloat16 or None", name)
