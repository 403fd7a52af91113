"""`accelerate`: finds the host's file by the class of what it is given."""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any

from .. import _check
from ._patched import MARK, Patched, Plan
from ._verify import OP, version

DISABLE = "VOXTRAL_KERNELS_DISABLE"
SEMANTICS = ("right", "host")

# Module and class of what can be accelerated: distribution, version it was tested with, file here.
HOSTS = {
    "voxmlx.model.VoxtralRealtime": ("voxmlx", "0.0.2", "voxmlx"),
    "whisperlivekit.voxtral_mlx.model.VoxtralMLXModel": ("whisperlivekit", "0.2.26", "whisperlivekit"),
    "whisperlivekit.voxtral_mlx_asr.VoxtralMLXASR": ("whisperlivekit", "0.2.26", "whisperlivekit"),
    "whisperlivekit.voxtral_mlx_asr.VoxtralMLXOnlineProcessor": ("whisperlivekit", "0.2.26", "whisperlivekit"),
    "mlx_audio.stt.models.voxtral_realtime.voxtral_realtime.Model": ("mlx-audio", "0.6.2", "mlx_audio_realtime"),
    "mlx_audio.stt.models.voxtral.voxtral.Model": ("mlx-audio", "0.6.2", "mlx_audio_voxtral"),
    "mlx_voxtral.modeling_voxtral.VoxtralForConditionalGeneration": ("mlx-voxtral", "0.0.6", "mlx_voxtral"),
}

_said_disabled = False


def accelerate(model: Any, *, semantics: str = "right", decoder_window: int | None = None) -> Patched:
    """Make another package's Voxtral model use these kernels, in batch and in streaming.

    Args:
        model: A loaded model of voxmlx, WhisperLiveKit (also its ``VoxtralMLXASR`` or online processor), mlx-audio
            (``voxtral_realtime``, ``voxtral``) or mlx-voxtral. It is changed in place; its class and package are not.
        semantics: ``"right"``: the windows are enforced, and the phases of conv and mel kept, wherever the host hands
            them to us. ``"host"``: the host's own numbers.
        decoder_window: Visible keys of the realtime decoder; None for the one that the host uses. voxmlx and
            WhisperLiveKit use 8192 for every checkpoint.

    Returns:
        What can report on the acceleration and undo it; also a context manager. With ``VOXTRAL_KERNELS_DISABLE=1``
        nothing is changed, which a warning says once.

    Raises:
        ValueError: another kind of model, an older version, a structure that differs from the one expected, or a
            model that is accelerated already. Nothing has been changed then.
    """
    if semantics not in SEMANTICS:
        raise _check.fail(OP, "semantics", " or ".join(map(repr, SEMANTICS)), repr(semantics))
    if decoder_window is not None:
        _check.integer(OP, "decoder_window", decoder_window, 1)
    if os.environ.get(DISABLE, "") not in ("", "0"):
        return _disabled(model, semantics)
    distribution, tested, file = _host(model)
    if isinstance(getattr(model, "__dict__", {}).get(MARK), Patched):
        got = "one that is accelerated already: undo() that first"
        raise _check.fail(OP, "model", "a model that is not accelerated", got)
    host = f"{distribution} {version(distribution, tested)}"
    plan = Plan(host, semantics, [])
    importlib.import_module(f"{__package__}.{file}").fill(plan, model, decoder_window)
    return Patched(model, plan)


def _host(model: Any) -> tuple[str, str, str]:
    for cls in type(model).__mro__:
        if found := HOSTS.get(f"{cls.__module__}.{cls.__qualname__}"):
            return found
    packages = ", ".join(dict.fromkeys(f"{d} {v}" for d, v, _ in HOSTS.values()))
    got = f"{type(model).__module__}.{type(model).__qualname__}"
    if type(model).__module__.startswith(__package__.partition(".")[0] + "."):
        got += ", which uses the kernels as it is"
    raise _check.fail(OP, "model", f"a Voxtral model of {packages} or later", got)


def _disabled(model: Any, semantics: str) -> Patched:
    global _said_disabled
    reason = f"{DISABLE} is set: models stay as they are"
    if not _said_disabled:
        _said_disabled = True
        warnings.warn(f"[accelerate] {reason}.", stacklevel=3)
    return Patched(model, Plan(reason, semantics, []))
