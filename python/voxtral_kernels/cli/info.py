"""``voxtral-kernels info``: what is installed, what it runs on, and which backend serves each op, with the reasons."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import platform
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from .._paths import PACKAGE
from .console import print_text

PACKAGES = ("mlx", "mlx-cpu", "mlx-metal", "mistral-common", "huggingface_hub", "numpy", "soundfile", "soxr")
OPTIONAL = ("ziglang", "sounddevice", "jiwer", "ray")
# Long enough for passes of every size to be timed.
_SILENCE_S = 20


def info(
    as_json: Annotated[bool, typer.Option("--json", help="For programs; with what --verbose adds.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Load the tiny model: what it planned.")] = False,
) -> None:
    """Print versions, device, and the backend of each op with the reasons."""
    facts = gather()
    if verbose or as_json:
        facts |= _of_tiny()
    print_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n" if as_json else "\n".join(_lines(facts)) + "\n")


def gather() -> dict[str, Any]:
    """All that ``info`` prints, by name."""
    import voxtral_kernels

    from ..backends import selfcheck
    from ..models import machines

    choice = machines.default()
    with warnings.catch_warnings(action="ignore"):  # of a variant that the self-check disables: it is told below
        served = list(ops())
    return {
        "version": voxtral_kernels.__version__,
        "package": str(PACKAGE),
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in (*PACKAGES, *OPTIONAL)},
        "device": _device(),
        "ops": served,
        "selfcheck": {name: reason or "right" for name, reason in selfcheck.report().items()},
        "backends": _backends(),
        "extension": _status("voxtral_kernels.backends.extension"),
        "default_model": {"id": choice.model.id, "bits": choice.model.bits, "reason": choice.reason},
    }


def _of_tiny() -> dict[str, Any]:
    """What the tiny model planned and what drafts save in it; or why it cannot be loaded."""
    from .. import load

    try:
        model = load("tiny")
        found = planned()
        return {"planned": found, "drafts": _drafts(model)}
    except Exception as error:  # as in `_status`
        return {"planned": f"{type(error).__name__}: {error}"}


def planned() -> list[dict[str, Any]]:
    """What the steps of the loaded models are served by."""
    from ..backends import planned as made

    return [
        {"op": p.op, "rows": p.rows, "dtype": p.dtype, "backend": p.choice.backend, "variant": p.choice.variant}
        for p in made.planned()
    ]


def _drafts(model: Any) -> dict[str, Any]:
    """What passes take here by their rows, and how silence was decoded meanwhile."""
    import numpy as np

    passes = model.transcribe(np.zeros(_SILENCE_S * 16000, np.float32)).passes
    milliseconds = {rows: 1000 * seconds for rows, seconds in model.costs.here().times().items()}
    return {"silence_s": _SILENCE_S, **passes._asdict(), "said": str(passes), "milliseconds_by_rows": milliseconds}


@dataclass(frozen=True)
class Sizes:
    """What the ops see of a model; the defaults are Voxtral Realtime 4B's."""

    n_mels: int = 128
    encoder_dim: int = 1280
    encoder_heads: int = 32
    encoder_head_dim: int = 64
    encoder_window: int = 750
    dim: int = 3072
    heads: int = 32
    kv_heads: int = 8
    head_dim: int = 128
    hidden_dim: int = 9216
    window: int = 8192

    @classmethod
    def of(cls, config: Any) -> Sizes:
        """Those of a Voxtral Realtime configuration."""
        e, d = config.encoder, config.decoder
        encoder = (e.n_mels, e.dim, e.n_heads, e.head_dim, e.window)
        return cls(*encoder, d.dim, d.n_heads, d.n_kv_heads, d.head_dim, d.hidden_dim, d.window)


def ops(sizes: Sizes | None = None, dtype: Any = None) -> Iterator[dict[str, Any]]:
    """Which backend serves each op: its name, the case, backend, variant and reasons (sentences).

    Args:
        sizes: None for Voxtral Realtime 4B's.
        dtype: None for bfloat16.
    """
    import mlx.core as mx

    from .. import explain

    for op, case, args, kwargs in _calls(sizes or Sizes(), dtype or mx.bfloat16):
        entry: dict[str, Any] = {"op": op, "case": case}
        try:
            entry["backend"], entry["variant"], entry["reasons"] = explain(op, *args, **kwargs)
        except RuntimeError as error:  # a backend asked for by name that cannot serve this call
            entry |= {"backend": None, "variant": None, "reasons": [str(error)]}
        yield entry


def _calls(s: Sizes, dtype: Any) -> Iterator[tuple[str, str, tuple[Any, ...], dict[str, Any]]]:
    """Op, case and arguments. The arrays are never evaluated: nothing is allocated."""
    import mlx.core as mx

    from .. import RingKVCache

    def zeros(*shape: int) -> mx.array:
        return mx.zeros(shape, dtype)

    for case, length in (("one token", 1), ("prompt", 39)):
        x = zeros(1, length, s.dim)
        yield "ada_rms_norm", case, (x, zeros(s.dim), zeros(s.dim)), {"residual": x}
    for case, channels, stride in (("80 ms, first", s.n_mels, 1), ("80 ms, second", s.encoder_dim, 2)):
        weight, bias = zeros(s.encoder_dim, 3, channels), zeros(s.encoder_dim)
        yield "causal_conv1d_gelu", case, (zeros(1, 8, channels), weight, bias), {"stride": stride}
    encoder = (s.encoder_heads, s.encoder_heads, s.encoder_head_dim, s.encoder_window)
    decoder = (s.heads, s.kv_heads, s.head_dim, s.window)
    for case, length, (heads, kv_heads, dim, window) in (
        ("encoder, 80 ms", 4, encoder),
        ("encoder, 5 s", 256, encoder),
        ("decoder, one token", 1, decoder),
        ("decoder, prompt", 39, decoder),
    ):
        q, kv = zeros(1, heads, length, dim), zeros(1, kv_heads, length, dim)
        yield "sliding_window_attention", case, (q, kv, kv), {"cache": RingKVCache(window=window)}
    gate_up = (2 * s.hidden_dim, s.dim)
    packed = (
        mx.zeros((gate_up[0], s.dim // 8), mx.uint32),
        zeros(gate_up[0], s.dim // 64),
        zeros(gate_up[0], s.dim // 64),
    )
    for case, length, weights in (
        ("gate and up, one token", 1, (zeros(*gate_up),)),
        ("gate and up, 8 tokens", 8, (zeros(*gate_up),)),
        ("gate and up, prompt", 39, (zeros(*gate_up),)),
        ("gate and up in 4 bits, one token", 1, packed),
    ):
        yield "skinny_linear", case, (zeros(1, length, s.dim), *weights), {"norm": zeros(s.dim), "gated": True}


def _device() -> dict[str, Any]:
    import mlx.core as mx

    metal = mx.metal.is_available()
    facts: dict[str, Any] = {"default": str(mx.default_device().type).rpartition(".")[2], "metal": metal}
    if metal:
        facts |= {str(k): v for k, v in mx.device_info().items()}
    return facts


def _backends() -> dict[str, str]:
    """Whether each backend is there, which ops it does not serve yet, or the sentence that says why it is not there."""
    from ..backends import select
    from ..reference.definitions import OPS

    states = {}
    for name in select.BACKENDS:
        refusals = {}
        for op in OPS:
            try:
                select.load(name, op)
            except select.UnavailableError as reason:
                refusals[op] = str(reason)
        if len(refusals) == len(OPS):
            states[name] = next(iter(refusals.values()))
        else:
            only = ["available; serves only by name" if name == "emulator" else "available", *refusals.values()]
            states[name] = "; ".join(only)
    return states


def _status(module: str) -> Any:
    """What a part says of itself by its ``status()``, or that it is not there."""
    if importlib.util.find_spec(module) is None:
        return "not part of this version"
    try:
        return importlib.import_module(module).status()
    except Exception as error:  # `info` is where a broken installation is looked into: it must not fail itself
        return f"{type(error).__name__}: {error}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"voxtral-kernels {facts['version']}"
    yield f"package         {facts['package']}"
    yield f"python          {facts['python']}"
    yield f"platform        {facts['platform']}"
    yield f"device          {_flat(facts['device'])}"
    yield f"default model   {facts['default_model']['id']} ({facts['default_model']['reason']})"
    yield "\npackages"
    for name, version in facts["packages"].items():
        if version or name in OPTIONAL:
            yield f"  {name:<16}{version or 'not installed (optional)'}"
    yield f"\nextension       {_flat(facts['extension'])}"
    yield "\nbackends"
    for name, state in facts["backends"].items():
        yield f"  {name:<16}{state}"
    yield "\nself-check of the kernels" + ("" if facts["selfcheck"] else ": none was needed here")
    for name, state in facts["selfcheck"].items():
        yield f"  {name:<48}{state}"
    yield "\nops, at the sizes of Voxtral Realtime 4B in bfloat16"
    for entry in facts["ops"]:
        name = f"{entry['op']} ({entry['case']})"
        yield f"  {name:<48}{entry['backend'] or 'none'} / {entry['variant'] or '-'}"
        said = {f"{backend}: {state}" for backend, state in facts["backends"].items()}
        yield from (f"      {reason}" for reason in entry["reasons"] if reason not in said)
    yield from _planned(facts)


def _planned(facts: dict[str, Any]) -> Iterator[str]:
    plans = facts.get("planned")
    if plans is None:
        return
    yield "\nplanned when the tiny model was loaded" + (f": {plans}" if isinstance(plans, str) else "")
    for entry in plans if isinstance(plans, list) else ():
        rows = f"{entry['rows']} row{'s' if entry['rows'] > 1 else ''}, " if entry["rows"] else ""
        name = f"{entry['op']} ({rows}{entry['dtype']})"
        yield f"  {name:<48}{entry['backend']} / {entry['variant']}"
    drafts = facts.get("drafts")
    if drafts is None:
        return
    yield f"\ndrafts, over {drafts['silence_s']} s of silence: {drafts['said']}"
    for rows, spent in drafts["milliseconds_by_rows"].items():
        name = f"a pass of {rows} row{'s' if rows > 1 else ''}"
        yield f"  {name:<48}{spent:.2f} ms"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_flat(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(map(_flat, value))
    return str(value)
