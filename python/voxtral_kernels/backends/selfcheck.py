"""First-use check of every kernel variant against the composed op, on the machine that will run it.

The first request that needs a variant runs a small canary of the same template arguments. A compile error, a failed
launch or a wrong value disables the variant: one warning, the reason in `explain`, and another backend serves. The
verdict is kept on disk for this package, kernel text, MLX, OS and GPU.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
import warnings
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import mlx.core as mx
import numpy as np

from .._version import __version__
from ..reference.definitions import definition, in_float32
from . import select
from .source import Factory, all_text

# A kernel may differ from the composed form on float32 inputs by this share of its largest value: far above rounding
# (fast exponentials included), far below what a slip in a kernel does to a canary.
TOLERANCE = {mx.float32: 2e-5, mx.float16: 4e-3, mx.bfloat16: 3e-2}
ENVIRONMENT = "VOXTRAL_KERNELS_CACHE"

_verdicts: dict[str, str] = {}
_reasons: dict[tuple[Any, ...], str] = {}  # the sentences for `explain`, by what is cheap to compare
_stored: dict[Path, dict[str, str]] = {}


def verdict(op: str, dispatch: ModuleType, request: Any, factory: Factory, route: str) -> str:
    """Why the variant that would serve the request must not be used; ``""`` when its canary came out right."""
    name = dispatch.variant(request)[0]
    if name == "empty":
        return ""
    residual = getattr(request, "residual", None) is not None
    options = tuple(value for _, value in dispatch.template(request))
    key = (route, op, name, residual, options)
    if key not in _reasons:
        listed = ",".join(str(value).rpartition(".")[2] for value in options)
        label = f"{route}:{op}:{name}{'+residual' * residual}<{listed}>"
        _verdicts[label] = _examined(label, op, dispatch, request, factory)
        _reasons[key] = f"{name} failed its self-check: {_verdicts[label]}" if _verdicts[label] else ""
        if _verdicts[label]:
            warnings.warn(f"{label} is disabled on this machine: {_verdicts[label]}", RuntimeWarning, stacklevel=2)
    return _reasons[key]


def _examined(label: str, op: str, dispatch: ModuleType, request: Any, factory: Factory) -> str:
    """The verdict from disk, or of a canary that is run now."""
    stored = _load(_file())
    if label not in stored:
        stored[label] = _examine(op, dispatch, dispatch.canary(request), factory)
        _store(_file(), stored)
    return stored[label]


def report() -> dict[str, str]:
    """Every verdict of this process by variant; ``""`` for a variant that came out right."""
    return dict(_verdicts)


def forget() -> None:
    """Check again at the next use; what is on disk stays."""
    _verdicts.clear()
    _reasons.clear()
    _stored.clear()
    select.changed()


def _examine(op: str, dispatch: ModuleType, canary: Any, factory: Factory) -> str:
    with mx.stream(mx.cpu):  # a GPU's own float32 products may be rounded to less
        expected = definition(op).composed(in_float32(canary))
        mx.eval(expected)
    try:
        results = dispatch.launch(canary, factory, None)
        mx.eval(results)
    except Exception as error:  # any failure of a compiler or a driver must end in the fallback
        lines = str(error).strip().splitlines() or [""]
        return f"it does not run ({type(error).__name__}: {lines[0]})."
    outputs, truths = (list(r) if isinstance(r, tuple) else [r] for r in (results, expected))
    for out, truth in zip(outputs, truths, strict=True):
        difference = _difference(out, truth)
        if not difference <= TOLERANCE[out.dtype]:
            return f"its result differs from the composed op's by {difference:.2g} of the largest value."
    return ""


def _difference(out: mx.array, truth: mx.array) -> float:
    got, expected = (np.array(a.astype(mx.float32), np.float64) for a in (out, truth))
    if got.shape != expected.shape:
        return float("inf")
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def _file() -> Path:
    home = os.environ.get(ENVIRONMENT)
    if home:
        folder = Path(home)
    elif sys.platform == "darwin":
        folder = Path.home() / "Library/Caches/voxtral-kernels"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voxtral-kernels"
    return folder / f"selfcheck-{_fingerprint()}.json"


def _fingerprint() -> str:
    """Changes with anything that could change a verdict."""
    device = sorted((k, str(v)) for k, v in mx.device_info().items() if k in {"architecture", "device_name"})
    parts = [__version__, all_text(), metadata.version("mlx"), platform.platform(), repr(device)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _load(file: Path) -> dict[str, str]:
    if file not in _stored:
        _stored[file] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError):
            _stored[file] = {str(k): str(v) for k, v in json.loads(file.read_text()).items()}
    return _stored[file]


def _store(file: Path, verdicts: dict[str, str]) -> None:
    """Best effort: without a writable cache every process checks anew."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(verdicts, indent=1, sort_keys=True))
        part.replace(file)
