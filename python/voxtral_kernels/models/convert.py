"""Writes a checkpoint in the converted layout: config.json, model.safetensors (in shards if large), tekken.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import mlx.core as mx

from .. import _check
from . import dtype_of, hub
from .layers import Quantization
from .voxtral_realtime import config as configs
from .voxtral_realtime.weights import Weights

OP = "convert"
SHARD_BYTES = 4 << 30
BITS, GROUP_SIZES = (4, 6, 8), (32, 64, 128)


def convert(
    source: str | Path,
    target: str | Path,
    *,
    bits: int | None = None,
    group_size: int = 64,
    dtype: mx.Dtype | str | None = None,
) -> int:
    """Write a checkpoint of any layout in the converted layout, which voxmlx reads too.

    Args:
        source: As for ``load``.
        target: Folder to write; must not exist, or be empty.
        bits: 4, 6 or 8: quantise every matrix whose rows divide into groups; None leaves them as they are.
        group_size: 32, 64 or 128 values that share a scale.
        dtype: Of what is not quantised; None for the checkpoint's own.

    Returns:
        Bytes of weights written.

    Raises:
        ValueError: an argument is out of its range, ``target`` is not empty, the weights are quantised already, no
            matrix divides into groups, or the source cannot be loaded.
    """
    target = _checked(target, bits, group_size)
    folder = hub.find(source)
    weights = Weights(folder, dtype_of("dtype", dtype))
    tensors: Iterable[tuple[str, mx.array]] = weights.items()
    quantization = weights.quantization_config()
    if bits is not None:
        if quantization is not None:
            raise _check.fail(OP, "bits", "None for weights that are quantised already", bits)
        if not any(_divides(shape, group_size) for shape in weights.shapes.values()):
            raise _check.fail(OP, "group_size", "a divisor of the rows of some matrix", group_size)
        tensors = _quantized(tensors, Quantization(group_size, bits))
        quantization = {"group_size": group_size, "bits": bits}
    params = configs.to_params(weights.config)
    if quantization is not None:
        params["quantization"] = quantization
    return _write(folder, target, tensors, params)


def _checked(target: str | Path, bits: int | None, group_size: int) -> Path:
    if bits is not None and bits not in BITS:
        raise _check.fail(OP, "bits", "4, 6, 8 or None", bits)
    if group_size not in GROUP_SIZES:
        raise _check.fail(OP, "group_size", "32, 64 or 128", group_size)
    target = Path(target).expanduser()
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise _check.fail(OP, "target", "a folder that does not exist or is empty", f"{str(target)!r}")
    return target


def _divides(shape: tuple[int, ...], group_size: int) -> bool:
    return len(shape) == 2 and shape[1] % group_size == 0


def _quantized(tensors: Iterable[tuple[str, mx.array]], q: Quantization) -> Iterator[tuple[str, mx.array]]:
    for name, x in tensors:
        if not _divides(x.shape, q.group_size):
            yield name, x
            continue
        parts = mx.quantize(x, group_size=q.group_size, bits=q.bits)
        stem = name.removesuffix("weight")
        yield from zip((f"{stem}weight", f"{stem}scales", f"{stem}biases"), parts, strict=True)


def _write(folder: Path, target: Path, tensors: Iterable[tuple[str, mx.array]], params: dict) -> int:
    """Write beside the target first, so that a target that is there is whole."""
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        size = _write_shards(partial, tensors)
        (partial / "config.json").write_text(json.dumps(params, indent=1, sort_keys=True) + "\n")
        if (folder / "tekken.json").is_file():
            shutil.copyfile(folder / "tekken.json", partial / "tekken.json")
        if target.is_dir():
            target.rmdir()
        partial.rename(target)
    except OSError as error:
        raise _check.fail(OP, "target", "a folder that can be written", f"{target}: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return size


def _write_shards(folder: Path, tensors: Iterable[tuple[str, mx.array]]) -> int:
    shards: list[dict[str, int]] = []
    shard: dict[str, mx.array] = {}
    written = 0

    def flush() -> None:
        mx.save_safetensors(str(folder / f"shard-{len(shards)}.safetensors"), shard, metadata={"format": "mlx"})
        shards.append({name: x.nbytes for name, x in shard.items()})
        shard.clear()

    for name, x in tensors:
        if shard and sum(a.nbytes for a in shard.values()) + x.nbytes > SHARD_BYTES:
            flush()
        shard[name] = x
    flush()
    index: dict[str, str] = {}
    for i, sizes in enumerate(shards):
        single = len(shards) == 1
        file = "model.safetensors" if single else f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        (folder / f"shard-{i}.safetensors").rename(folder / file)
        index |= dict.fromkeys(sizes, file)
        written += sum(sizes.values())
    content = {"metadata": {"total_size": written}, "weight_map": dict(sorted(index.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=1) + "\n")
    return written
