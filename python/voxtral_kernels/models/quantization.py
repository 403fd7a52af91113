"""How matrices are quantised: MLX's modes, and the ``quantization`` object of a config file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from .. import _check
from .section import OP, Section

AFFINE = "affine"
# The microscaling modes, and NVIDIA's, have one group size and one width each, an 8-bit scale and no bias.
_FIXED = {"mxfp4": (32, 4), "mxfp8": (32, 8), "nvfp4": (16, 4)}
MODES = (AFFINE, *_FIXED)
_GROUP_SIZES, _BITS = (32, 64, 128), (2, 3, 4, 5, 6, 8)


@dataclass(frozen=True)
class Quantization:
    """Along the rows: ``bits`` a value, one scale for every ``group_size`` values, in the affine mode one bias too."""

    group_size: int
    bits: int
    mode: str = AFFINE

    @property
    def parts(self) -> tuple[str, ...]:
        """The tensors that a quantised matrix is stored as."""
        return ("weight", "scales", "biases") if self.mode == AFFINE else ("weight", "scales")

    @property
    def nan_scale(self) -> int:
        """The bits of an 8-bit scale that are all set in a NaN; the sign of E4M3 does not count."""
        return 0x7F if self.mode == "nvfp4" else 0xFF

    def shapes(self, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
        """Shape of each of the parts of ``[rows, columns]``."""
        groups = (rows, columns // self.group_size)
        return {part: (rows, columns * self.bits // 32) if part == "weight" else groups for part in self.parts}

    def quantize(self, x: mx.array) -> dict[str, mx.array]:
        """The parts of a matrix whose rows divide into groups."""
        packed = mx.quantize(x, group_size=self.group_size, bits=self.bits, mode=self.mode)
        return dict(zip(self.parts, packed, strict=True))

    def to_config(self) -> dict[str, Any]:
        """As a config file has it; the affine mode is not named, which older readers do not know."""
        sizes: dict[str, Any] = {"group_size": self.group_size, "bits": self.bits}
        return sizes if self.mode == AFFINE else sizes | {"mode": self.mode}


@dataclass(frozen=True)
class Quantizations:
    """The ``quantization`` object of a converted layout: for every matrix, and others for single ones by their name."""

    default: Quantization
    single: dict[str, Quantization]

    @classmethod
    def read(cls, config: Section) -> Quantizations | None:
        """From a config file's ``quantization``, or its ``quantization_config``; None for plain weights.

        Raises:
            ValueError: a mode, group size or number of bits that MLX has not.
        """
        key = next((k for k in ("quantization", "quantization_config") if config.values.get(k) is not None), None)
        if key is None:
            return None
        section = config.section(key)
        if "bits" not in section.values and "mode" not in section.values and "quant_method" in section.values:
            expected = "MLX's quantisation (group_size, bits, mode)"
            raise _check.fail(OP, section.path, expected, f"that of {section.values['quant_method']}")
        single = {name: read(section.section(name)) for name, v in section.values.items() if isinstance(v, dict)}
        return cls(read(section), single)

    def of(self, stem: str) -> Quantization:
        """That of a matrix, by the file's name without ``.weight``."""
        return self.single.get(stem, self.default)


def read(section: Section) -> Quantization:
    """One quantisation of a config file.

    Raises:
        ValueError: it is none of MLX's.
    """
    mode = section.values.get("mode")
    mode = AFFINE if mode is None else mode
    if mode not in MODES:
        raise _check.fail(OP, section.name("mode"), f"one of {', '.join(MODES)}", repr(mode))
    if mode == AFFINE:
        group_size, bits = section.integer("group_size", 1, 1 << 16), section.integer("bits", 1, 32)
        allowed: tuple[tuple[int, ...], tuple[int, ...]] = (_GROUP_SIZES, _BITS)
    else:
        only = _FIXED[mode]
        group_size = section.integer("group_size", 1, 1 << 16, only[0])
        bits = section.integer("bits", 1, 32, only[1])
        allowed = ((only[0],), (only[1],))
    for key, value, values in zip(("group_size", "bits"), (group_size, bits), allowed, strict=True):
        if value not in values:
            expected = f"one of {', '.join(map(str, values))}" if len(values) > 1 else f"{values[0]} as {mode} has"
            raise _check.fail(OP, section.name(key), expected, value)
    return Quantization(group_size, bits, mode)


def chosen(op: str, mode: str | None, bits: int | None, group_size: int | None) -> Quantization | None:
    """What arguments ask for; None for none: neither bits nor a mode.

    Raises:
        ValueError: a combination that is not converted to.
    """
    if mode is not None and mode not in MODES:
        raise _check.fail(op, "mode", f"{', '.join(MODES)} or None", mode)
    default_group, default_bits = _FIXED.get(mode or AFFINE, (64, 4))
    widths, groups = ((default_bits,), (default_group,)) if mode in _FIXED else ((4, 6, 8), _GROUP_SIZES)
    if bits is not None and bits not in widths:
        expected = "4, 6, 8 or None" if len(widths) > 1 else f"{default_bits} or None, as {mode} has"
        raise _check.fail(op, "bits", expected, bits)
    if group_size is not None and group_size not in groups:
        expected = "32, 64 or 128" if len(groups) > 1 else f"{default_group} or None, as {mode} has"
        raise _check.fail(op, "group_size", expected, group_size)
    if mode is None and bits is None:
        return None
    return Quantization(group_size or default_group, bits or default_bits, mode or AFFINE)
