"""Other packages' modules, imported without PyTorch.

The packages lie in ``build/hosts`` (``make build/hosts``), apart from the environment. A parent package whose import
would pull in what its MLX model does not use (PyTorch, transformers, web servers) is stood in for by an empty module
with the same ``__path__``: the model's own files are imported unchanged.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from ..paths import HOSTS as FOLDER

# Parents that are stood in for, with their folder; and modules that only servers and microphones need.
_PARENTS = ("whisperlivekit", "mlx_voxtral", "mlx_lm", "mlx_audio.stt.models")
_UNUSED = ("sounddevice", "uvicorn", "webrtcvad")


def install() -> None:
    """Make the hosts importable; a second call does nothing.

    Raises:
        ModuleNotFoundError: they are not in ``build/hosts``.
    """
    if str(FOLDER) in sys.path:
        return
    if not (FOLDER / "voxmlx").is_dir():
        raise ModuleNotFoundError(f"no hosts in {FOLDER}: run `make build/hosts/.installed`")
    sys.path.append(str(FOLDER))
    for name in _PARENTS:
        module = types.ModuleType(name)
        module.__path__ = [str(FOLDER / name.replace(".", "/"))]
        sys.modules[name] = module
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(importlib.import_module(parent), leaf, module)


def installed() -> bool:
    """`install`; where they are not there, standard error says what to do."""
    try:
        install()
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        return False
    return True


def host(name: str) -> Any:
    """A module of a host by its dotted name; what only servers and microphones need is stood in for while it loads."""
    install()
    missing = [m for m in _UNUSED if m not in sys.modules and importlib.util.find_spec(m) is None]
    sys.modules.update({m: types.ModuleType(m) for m in missing})
    try:
        return importlib.import_module(name)
    finally:
        for m in missing:
            del sys.modules[m]


def randomize(model: nn.Module, seed: int = 0) -> Any:
    """Fill every weight with float32 noise of a size that keeps activations near one; norms near one."""
    rng = np.random.default_rng(seed)

    def noise(path: str, a: mx.array) -> mx.array:
        draw = rng.standard_normal(a.shape).astype(np.float32)
        return mx.array(1 + 0.1 * draw if a.ndim == 1 and "norm" in path else draw / np.sqrt(a[0].size))

    from mlx.utils import tree_map_with_path

    model.update(tree_map_with_path(noise, model.parameters()))
    mx.eval(model.parameters())
    return model
