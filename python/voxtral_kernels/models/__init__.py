"""The models, and ``load``, which finds the right one for a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import mlx.core as mx

from .. import _check, _forked
from . import hub, ranks
from .section import OFFLINE, OP, REALTIME, Section

if TYPE_CHECKING:
    from .voxtral import Voxtral
    from .voxtral_realtime import VoxtralRealtime


@overload
def load(
    source: Literal["tiny"],
    dtype: mx.Dtype | str | None = None,
    *,
    time_dtype: mx.Dtype | str | None = None,
    revision: None = None,
    group: mx.distributed.Group | None = None,
) -> VoxtralRealtime: ...


@overload
def load(
    source: str | Path,
    dtype: mx.Dtype | str | None = None,
    *,
    time_dtype: mx.Dtype | str | None = None,
    revision: str | None = None,
    group: mx.distributed.Group | None = None,
) -> VoxtralRealtime | Voxtral: ...


def load(
    source: str | Path,
    dtype: mx.Dtype | str | None = None,
    *,
    time_dtype: mx.Dtype | str | None = None,
    revision: str | None = None,
    group: mx.distributed.Group | None = None,
) -> VoxtralRealtime | Voxtral:
    """A model ready to transcribe: Voxtral Realtime or offline Voxtral, whichever the source holds.

    Args:
        source: ``"tiny"`` (the small checkpoint in the package), a folder, or a Hugging Face hub id (``owner/name``
            or ``owner/name@revision``), which is downloaded. Layouts: original Mistral, transformers, MLX conversions
            (voxmlx, mlx-audio, mlx-voxtral; quantised too, in each of MLX's modes).
        dtype: Arithmetic and floating weights: float32, float16 or bfloat16; None for the checkpoint's own.
        time_dtype: Voxtral Realtime only: arithmetic of the delay's time embedding; None for the checkpoint's own (the
            published error rates used bfloat16).
        revision: Of a hub id: a branch, tag or commit; None for the newest.
        group: From ``mx.distributed.init()``: the model is split among its processes, each of which calls this and
            then everything else alike; see docs/scale.md. None, or a group of one: all of it is here.

    Returns:
        A ``VoxtralRealtime`` or a ``Voxtral``; ``isinstance`` tells them apart. Both have ``transcribe``; ``stream`` is
        refused by the latter, ``ask`` by the former.

    Raises:
        ValueError: no such model, or one that cannot be downloaded, with what to do about it; or a configuration, file
            or tensor in it that is not what it should be. Everything but the values is checked before any weight is
            loaded; a weight that is NaN or infinite is named. With ``group`` on every rank where it is so on one; also
            heads or hidden units that the ranks do not divide, and a checkpoint that differs between them.
    """
    _forked.refuse(OP)
    split = ranks.of(group)
    dtypes = [dtype_of(name, value) for name, value in (("dtype", dtype), ("time_dtype", time_dtype))]
    folder, section = ranks.agreed(split, lambda: _found(source, revision))
    if section.family == REALTIME:
        from .voxtral_realtime.model import VoxtralRealtime

        return VoxtralRealtime.load(folder, dtypes[0], time_dtype=dtypes[1], ranks=split)
    if section.family == OFFLINE:
        from .voxtral.model import Voxtral

        if time_dtype is not None:
            raise _check.fail(OP, "time_dtype", f"None, as {OFFLINE} knows no delay", dtypes[1])
        return Voxtral.load(folder, dtypes[0], ranks=split)
    raise _check.fail(OP, section.path, f"the configuration of {REALTIME} or {OFFLINE}", section.family)


def _found(source: str | Path, revision: str | None) -> tuple[Path, Section]:
    folder = hub.find(source, revision)
    return folder, Section.of_model(folder)


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
