"""Reads the values of a model's config file, each with its bounds: an absurd one is refused by its full name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from .. import _check

OP = "load"


class Section:
    """One JSON object of a config file; ``path`` names it in errors, e.g. ``params.json multimodal``."""

    def __init__(self, values: Any, path: str) -> None:
        if not isinstance(values, dict):
            raise _check.fail(OP, path, "a JSON object", type(values).__name__)
        self.values = values
        self.path = path

    @classmethod
    def read(cls, file: Path) -> Section:
        """The whole file.

        Raises:
            ValueError: the file cannot be read, is no JSON or holds no object.
        """
        try:
            return cls(json.loads(file.read_text(encoding="utf-8")), file.name)
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise _check.fail(OP, file.name, "a readable JSON file", f"{type(error).__name__}: {error}") from None

    def name(self, key: str) -> str:
        """How an error names the value."""
        return f"{self.path} {key}" if self.path.endswith(".json") else f"{self.path}.{key}"

    def section(self, key: str) -> Section:
        """A nested object."""
        return Section(self.values.get(key), self.name(key))

    def integer(self, key: str, minimum: int, maximum: int, default: int | None = None) -> int:
        """An integer in ``minimum .. maximum``; ``default`` where the key is missing."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        return _check.integer(OP, self.name(key), value, minimum, maximum)

    def number(self, key: str, minimum: float, maximum: float, default: float | None = None) -> float:
        """A finite number in ``minimum .. maximum``; ``default`` where the key is missing."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        bounds = f"a number from {minimum:g} to {maximum:g}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _check.fail(OP, self.name(key), bounds, repr(value))
        if not math.isfinite(value) or not minimum <= value <= maximum:
            raise _check.fail(OP, self.name(key), bounds, value)
        return float(value)

    def fixed(self, key: str, expected: Any) -> None:
        """The value, where the key is there at all, is the only one that this package implements."""
        if self.values.get(key, expected) != expected:
            raise _check.fail(OP, self.name(key), repr(expected), repr(self.values[key]))
