"""Holds a host against what its file here was written for, before anything is changed."""

from __future__ import annotations

import inspect
import re
from importlib import metadata
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from .. import _check

OP = "accelerate"


def version(distribution: str, tested: str) -> str:
    """The installed version of a host.

    Args:
        distribution: Its name on PyPI.
        tested: The version this package was tested with; a later one goes on to the checks of its structure.

    Raises:
        ValueError: an older one, or none that says its version.
    """
    expected = f"{distribution} {tested} or later"
    try:
        installed = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise _check.fail(OP, "model", expected, f"{distribution} of no known version") from None
    if _numbers(installed) < _numbers(tested):
        raise _check.fail(OP, "model", expected, f"{distribution} {installed}")
    return installed


def _numbers(text: str) -> tuple[int, ...]:
    release = re.match(r"[\d.]*", text)
    return tuple(int(n) for n in release.group().split(".") if n) if release else ()


def noise(*shape: int) -> mx.array:
    """Inputs for a probe of a version that was not tested, the same each time."""
    return mx.array(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


class Structure:
    """Checks of one host's objects; each error names the host, the path and the difference.

    Args:
        host: Package and version.
    """

    def __init__(self, host: str) -> None:
        self.host = host

    def fail(self, path: str, expected: str, got: object) -> ValueError:
        return _check.fail(OP, f"{self.host} {path}", expected, got)

    def signature(self, owner: Any, method: str, parameters: str, path: str) -> None:
        """The host's method takes exactly these parameters (without self), e.g. ``"x, mask, cache"``."""
        function = getattr(type(owner), method, None)
        if function is None:
            raise self.fail(path, f"a method {method}({parameters})", "none")
        names = list(inspect.signature(function).parameters)[1:]
        if ", ".join(names) != parameters:
            raise self.fail(path, f"{method}({parameters})", f"{method}({', '.join(names)})")

    def attributes(self, owner: Any, names: str, kind: type | tuple[type, ...], path: str) -> None:
        """The host's object has each of these attributes, of this kind."""
        for name in names.split(", "):
            value = getattr(owner, name, None)
            if not isinstance(value, kind):
                kinds = kind if isinstance(kind, tuple) else (kind,)
                expected = " or ".join(k.__name__ for k in kinds)
                raise self.fail(f"{path}.{name}".lstrip("."), expected, type(value).__name__)

    def equal(self, path: str, value: object, expected: object) -> None:
        if value != expected:
            raise self.fail(path, str(expected), value)

    def rows(self, module: nn.Module, name: str, expected: int, path: str) -> None:
        """The child is a linear layer, plain or quantised, with this many outputs."""
        child = getattr(module, name, None)
        if not isinstance(child, nn.Module) or not isinstance(child.get("weight"), mx.array):
            raise self.fail(f"{path}.{name}", "a linear layer", type(child).__name__)
        if child["weight"].shape[0] != expected:
            raise self.fail(f"{path}.{name}", f"{expected} outputs", child["weight"].shape[0])

    def conv(self, module: nn.Module, stride: int, path: str) -> None:
        """A convolution ``[C_out, 3, C_in]`` with a bias and this stride."""
        weight, bias = module.get("weight"), module.get("bias")
        if not isinstance(weight, mx.array) or weight.ndim != 3 or weight.shape[1] != 3:
            raise self.fail(f"{path}.weight", "[C_out, 3, C_in]", getattr(weight, "shape", weight))
        if not isinstance(bias, mx.array) or bias.shape != weight.shape[:1]:
            raise self.fail(f"{path}.bias", f"{weight.shape[:1]}", getattr(bias, "shape", bias))
        self.equal(f"{path}.stride", module.stride, stride)
        self.equal(f"{path}.dilation", getattr(module, "dilation", 1), 1)
        self.equal(f"{path}.groups", getattr(module, "groups", 1), 1)

    def attention(
        self, module: nn.Module, sizes: tuple[int, int, int, float], names: tuple[str, ...], path: str
    ) -> None:
        """Projections that agree with (query heads, key/value heads, head_dim, scale)."""
        n_heads, n_kv_heads, head_dim, scale = sizes
        for name, heads in zip(names[:3], (n_heads, n_kv_heads, n_kv_heads), strict=True):
            self.rows(module, name, heads * head_dim, path)
        if n_heads % n_kv_heads or head_dim % 2:
            raise self.fail(path, "key/value heads that divide the query heads and an even head_dim", sizes[:3])
        if abs(scale - head_dim**-0.5) > 1e-6:
            raise self.fail(f"{path}.scale", f"{head_dim}**-0.5", scale)
