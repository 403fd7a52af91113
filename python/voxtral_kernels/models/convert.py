"""Writes a checkpoint as MLX conversions have it: config.json, model.safetensors (in shards if large), tekken.json."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx

from .. import _check
from . import dtype_of, hub, quantization, voxtral, voxtral_realtime
from .layout import Layout
from .partial_folder import PartialFolder
from .quantization import Quantization
from .section import OFFLINE, Section
from .weights import Weights

OP = "convert"
SHARD_BYTES = 4 << 30


def convert(
    source: str | Path,
    target: str | Path,
    *,
    bits: int | None = None,
    group_size: int | None = None,
    mode: str | None = None,
    dtype: mx.Dtype | str | None = None,
    revision: str | None = None,
) -> int:
    """Write a checkpoint of either family and any layout as MLX conversions have it.

    Voxtral Realtime is written as voxmlx reads it, offline Voxtral as mlx-audio reads it.

    Args:
        source: As for ``load``.
        target: Folder to write; must not exist, or be empty.
        bits: 4, 6 or 8: quantise every matrix whose rows divide into groups; None, without a mode, leaves them as
            they are.
        group_size: 32, 64 or 128 values that share a scale; None for 64, or for the mode's own.
        mode: ``"affine"``, ``"mxfp4"``, ``"mxfp8"`` or ``"nvfp4"``, MLX's modes; the latter three fix bits and group
            size. None is affine.
        dtype: Of what is not quantised; None for the checkpoint's own.
        revision: As for ``load``.

    Returns:
        Bytes of weights written.

    Raises:
        ValueError: an argument is out of its range, ``target`` is not empty or cannot be written, the weights are
            quantised already, no matrix divides into groups, or the source cannot be loaded. Nothing is left of what
            was written up to then.
    """
    q = quantization.chosen(OP, mode, bits, group_size)
    with PartialFolder(OP, "target", Path(target)) as folder:
        model = _open(hub.find(source, revision), dtype_of("dtype", dtype))
        size = model.write(folder.path, q, folder.free_bytes())
        folder.publish()
    return size


@dataclass
class _Model:
    """A checkpoint to write, and how its family's conversions are stored."""

    folder: Path
    weights: Weights
    layout: Layout
    config: Callable[[Any], dict[str, Any]]
    # Names and tensors that the file lacks though this layout has them.
    more: Callable[[], dict[str, mx.array]]

    def write(self, target: Path, q: Quantization | None, free: int) -> int:
        config = self.config(self.weights.config)
        packed = self.weights.quantization_config(self.layout) if q is None else self._quantizable(q).to_config()
        if packed is not None:
            config["quantization"] = packed
        needed = self._bytes(q)
        if needed > free:
            raise _check.fail(OP, "target", f"{needed / 1e9:.1f} GB of free space", f"{free / 1e9:.1f} GB")
        size = self._write_shards(target, self._tensors(q))
        (target / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        if (self.folder / "tekken.json").is_file():
            shutil.copyfile(self.folder / "tekken.json", target / "tekken.json")
        return size

    def _quantizable(self, q: Quantization) -> Quantization:
        if self.weights.quantization is not None:
            raise _check.fail(OP, "bits", "None for weights that are quantised already", f"{q.bits} ({q.mode})")
        if not any(_divides(name, shape, q) for name, shape in self.weights.shapes.items()):
            raise _check.fail(OP, "group_size", "a divisor of the rows of some matrix", q.group_size)
        return q

    def _bytes(self, q: Quantization | None) -> int:
        """Of the weights to write; of packed ones that are packed already, an upper bound."""
        total = 0
        for name, shape in self.weights.shapes.items():
            bits = 8.0 * self.weights.dtype.size
            if q is not None and _divides(name, shape, q):
                bits = q.bits + bits * (len(q.parts) - 1) / q.group_size
            elif self.weights.quantized(name):
                bits = 9
            total += math.ceil(math.prod(shape) * bits / 8)
        return total

    def _tensors(self, q: Quantization | None) -> Iterator[tuple[str, mx.array]]:
        """Every tensor by the names of the layout, in its order of rows."""
        for name, x in (*self.more().items(), *self.weights.items()):
            if head_dim := self.weights.rotated(name, self.layout):
                pairs = x.reshape(-1, head_dim // 2, 2, *x.shape[1:])
                x = pairs.swapaxes(1, 2).reshape(x.shape)
            if q is None or not _divides(name, x.shape, q):
                yield self.layout.source(name), x
                continue
            stem = self.layout.source(name).removesuffix("weight")
            yield from ((f"{stem}{part}", value) for part, value in q.quantize(x).items())

    def _write_shards(self, folder: Path, tensors: Iterable[tuple[str, mx.array]]) -> int:
        shards: list[dict[str, int]] = []
        shard: dict[str, mx.array] = {}

        def flush() -> None:
            self.weights.evaluate(shard)
            shards.append({name: x.nbytes for name, x in shard.items()})
            _save(folder / f"shard-{len(shards) - 1}.safetensors", shard)
            shard.clear()

        for name, x in tensors:
            if shard and sum(a.nbytes for a in shard.values()) + x.nbytes > SHARD_BYTES:
                flush()
            shard[name] = x
        flush()
        return _index(folder, shards)


def _save(file: Path, tensors: dict[str, mx.array]) -> None:
    """MLX does not always notice a full disk."""
    try:
        mx.save_safetensors(str(file), tensors, metadata={"format": "mlx"})
    except RuntimeError as error:
        raise OSError(errno.EIO, str(error)) from None
    if file.stat().st_size <= sum(x.nbytes for x in tensors.values()):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _index(folder: Path, shards: list[dict[str, int]]) -> int:
    """Give the shards their names, write the index; returns the bytes of all."""
    index: dict[str, str] = {}
    for i, sizes in enumerate(shards):
        single = len(shards) == 1
        file = "model.safetensors" if single else f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        (folder / f"shard-{i}.safetensors").rename(folder / file)
        index |= dict.fromkeys(sizes, file)
    written = sum(size for sizes in shards for size in sizes.values())
    content = {"metadata": {"total_size": written}, "weight_map": dict(sorted(index.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return written


def _open(folder: Path, dtype: mx.Dtype | None) -> _Model:
    if Section.of_model(folder).family == OFFLINE:
        offline = voxtral.weights.Weights(folder, dtype)
        layout = voxtral.layouts.TRANSFORMERS
        return _Model(folder, offline, layout, voxtral.config.to_config, lambda: _positions(offline))
    realtime = voxtral_realtime.weights.Weights(folder, dtype)
    layout = voxtral_realtime.layouts.CONVERTED
    return _Model(folder, realtime, layout, voxtral_realtime.config.to_params, dict)


def _positions(w: voxtral.weights.Weights) -> dict[str, mx.array]:
    """The encoder's positions, which the original layout leaves out."""
    name = voxtral.weights.POSITIONS
    return {} if name in w.shapes else {name: w.positions().astype(w.dtype)}


def _divides(name: str, shape: tuple[int, ...], q: Quantization) -> bool:
    """Whether a tensor is quantised: a matrix of whole groups that is no table of positions."""
    return len(shape) == 2 and shape[1] % q.group_size == 0 and name != voxtral.weights.POSITIONS
