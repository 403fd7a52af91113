"""``python -m voxtral_kernels.patch ENTRY ...``: a host's own program, its models accelerated as they are loaded.

The one place that rebinds names of another package: the host's loader, in a process that runs nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

from ..caches import check_bits
from . import accelerate
from ._accelerate import HOSTS, SEMANTICS

# What to do with what a loader returns, given the options of `accelerate`.
Take = Callable[[Any, dict[str, Any]], None]


def _triple(loaded: Any, options: dict[str, Any]) -> None:
    """voxmlx and WhisperLiveKit: model, tokenizer, configuration."""
    _accelerate(loaded[0], options | {"decoder_window": loaded[2].get("sliding_window")})


def _first(loaded: Any, options: dict[str, Any]) -> None:
    """mlx-voxtral: model, configuration."""
    _accelerate(loaded[0], options)


def _processor(made: Any, options: dict[str, Any]) -> None:
    """WhisperLiveKit makes one for each connection, on the model that was loaded at the start."""
    accelerate(made, **options)


def _known(loaded: Any, options: dict[str, Any]) -> None:
    """mlx-audio loads models of many kinds; those that are not Voxtral's stay as they are."""
    if any(f"{c.__module__}.{c.__qualname__}" in HOSTS for c in type(loaded).__mro__):
        _accelerate(loaded, options)


# Package: the names to rebind, as (module, name, what to do with the result).
LOADERS: dict[str, list[tuple[str, str, Take]]] = {
    "voxmlx": [("voxmlx", "load_model", _triple)],
    "whisperlivekit": [
        ("whisperlivekit.voxtral_mlx_asr", "load_voxtral_model", _triple),
        ("whisperlivekit.voxtral_mlx_asr", "VoxtralMLXOnlineProcessor", _processor),
    ],
    "mlx_audio": [("mlx_audio.stt.utils", "base_load_model", _known)],
    "mlx_voxtral": [("mlx_voxtral", "load_voxtral_model", _first)],
}


def install(package: str, **options: Any) -> None:
    """Rebind a package's loader, so that what it returns is accelerated with these options.

    Args:
        package: A key of ``LOADERS``.
        **options: As for `accelerate`.
    """
    for module, name, take in LOADERS[package]:
        owner = importlib.import_module(module)
        setattr(owner, name, _taking(getattr(owner, name), take, options))


def _taking(loader: Callable[..., Any], take: Take, options: dict[str, Any]) -> Callable[..., Any]:
    def load(*args: Any, **kwargs: Any) -> Any:
        loaded = loader(*args, **kwargs)
        take(loaded, options)
        return loaded

    return load


def _accelerate(model: Any, options: dict[str, Any]) -> None:
    """Accelerate and say so; what cannot be accelerated ends the program with one line."""
    try:
        report = accelerate(model, **options).report()
    except ValueError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    print(f"voxtral-kernels: {report}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Run the entry point named, with the rest of the arguments as its own."""
    parser = argparse.ArgumentParser(prog="python -m voxtral_kernels.patch", description=__doc__)
    parser.add_argument("--semantics", choices=SEMANTICS, default="right", help="see voxtral_kernels.accelerate")
    parser.add_argument("--cache-bits", type=int, default=16, metavar="N", help="see voxtral_kernels.accelerate")
    parser.add_argument("entry", help="a program of voxmlx, WhisperLiveKit, mlx-audio or mlx-voxtral")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own arguments")
    given = parser.parse_args(arguments)
    found = list(metadata.entry_points(group="console_scripts", name=given.entry))
    packages = [entry.value.partition(":")[0].partition(".")[0] for entry in found]
    if not found:
        parser.error(f"entry: expected an installed program, got {given.entry!r}.")
    if packages[0] not in LOADERS:
        parser.error(f"entry: expected a program of {', '.join(LOADERS)}, got one of {packages[0]}.")
    try:
        check_bits("accelerate", "--cache-bits", given.cache_bits)
    except ValueError as error:
        parser.error(str(error))
    install(packages[0], semantics=given.semantics, cache_bits=given.cache_bits)
    sys.argv = [given.entry, *given.arguments]
    return found[0].load()() or 0


if __name__ == "__main__":
    sys.exit(main())
