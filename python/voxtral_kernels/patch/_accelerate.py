"""`accelerate`: finds the host's file by the class of what it is given."""

from __future__ import annotations

import importlib
import os
import threading
import warnings
from typing import Any, Literal

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from .. import _check
from ..caches import check_bits
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
# Processors that share a model may be accelerated by several threads.
_one_at_a_time = threading.Lock()


def accelerate(
    model: Any,
    *,
    semantics: Literal["right", "host"] = "right",
    decoder_window: int | None = None,
    cache_bits: int = 16,
) -> Patched:
    """Make another package's Voxtral model use these kernels, in batch and in streaming.

    Args:
        model: A loaded model of voxmlx, WhisperLiveKit (also its ``VoxtralMLXASR`` or online processor), mlx-audio
            (``voxtral_realtime``, ``voxtral``) or mlx-voxtral. It is changed in place; its class and package are not.
        semantics: ``"right"``: the windows are enforced, and the phases of conv and mel kept, wherever the host hands
            them to us. ``"host"``: the host's own numbers.
        decoder_window: Visible keys of the realtime decoder; None for the one that the host uses. voxmlx and
            WhisperLiveKit use 8192 for every checkpoint.
        cache_bits: 8: keys and values are held in 8 bits, in half the memory; 16: in the model's dtype.

    Returns:
        What can report on the acceleration and undo it; also a context manager. With ``VOXTRAL_KERNELS_DISABLE=1``
        nothing is changed, which a warning says once.

    Raises:
        ValueError: another kind of model, an older version, a later one of another structure or arithmetic, or a model
            that is accelerated already. Nothing has been changed then.
    """
    if semantics not in SEMANTICS:
        raise _check.fail(OP, "semantics", " or ".join(map(repr, SEMANTICS)), repr(semantics))
    if decoder_window is not None:
        decoder_window = _check.integer(OP, "decoder_window", decoder_window, 1)
    cache_bits = check_bits(OP, "cache_bits", cache_bits)
    if os.environ.get(DISABLE, "") not in ("", "0"):
        return _disabled(model, semantics)
    with _one_at_a_time:
        return _accelerated(model, semantics, decoder_window, cache_bits)


def _accelerated(model: Any, semantics: str, decoder_window: int | None, cache_bits: int) -> Patched:
    distribution, tested, file = _host(model)
    if isinstance(getattr(model, "__dict__", {}).get(MARK), Patched):
        got = "one that is accelerated already: undo() that first"
        raise _check.fail(OP, "model", "a model that is not accelerated", got)
    installed = version(distribution, tested)
    host = f"{distribution} {installed}"
    module = importlib.import_module(f"{__package__}.{file}")
    if installed != tested:
        _compare(module, model, host, tested)
    plan = Plan(host, semantics, [], cache_bits)
    module.fill(plan, model, decoder_window)
    if cache_bits == 8:
        plan.changes.append("caches: keys and values are held in 8 bits, with a scale a row")
    patched = Patched(model, plan)
    # Threads may share the model; what its loader left uncomputed only this one can finish.
    modules = [m for marked in plan.marked if isinstance(marked, nn.Module) for m in marked.modules()]
    mx.eval([value for m in modules for value in dict.values(m) if isinstance(value, mx.array)])
    return patched


def _compare(module: Any, model: Any, host: str, tested: str) -> None:
    """A version that was not tested must give its own numbers with the host's semantics, on a few frames."""
    before = module.probe(model)
    plan = Plan(host, "host", [])
    module.fill(plan, model, None)
    with Patched(model, plan):
        after = module.probe(model)
    for name, a in before.items():
        x, y = (np.array(part.astype(mx.float32), np.float64) for part in (a, after[name]))
        off = np.sqrt(np.mean((x - y) ** 2) / np.mean(x**2))
        if not off <= (1e-3 if a.dtype == mx.float32 else 0.1):
            raise _check.fail(OP, f"{host} {name}", f"the arithmetic of {tested}", f"results that are {off:.2g} off")


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
