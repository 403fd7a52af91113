"""Which part of each tensor a rank holds, by the rules of `mlx.nn.layers.distributed`, and reading no more than that.

Rows of q, k, v, gate and up (whole heads, and hidden units), columns of out and down (on the boundaries of quantised
groups), rows of the vocabulary; the adapter's first matrix by rows and its second by columns; the output channels of
the convolutions with their columns of the positions, and the outputs of the delay's conditioning. All else is whole.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any, NamedTuple

import mlx.core as mx
import numpy as np

from .. import _check
from .checkpoint import Tensor
from .ranks import Ranks
from .section import OP

_GATHERED = re.compile(r"\.ada_norm\.linear_out\.")
_ROWS = re.compile(
    rf"\.(attention\.q_proj|mlp\.(gate|up)_proj)\.|^adapter\.w_in\.|^encoder\.conv[12]\.|{_GATHERED.pattern}"
)
_KV = re.compile(r"\.attention\.[kv]_proj\.")
_COLUMNS = re.compile(r"\.(attention\.o_proj|mlp\.down_proj)\.|^adapter\.w_out\.")
# Where they are stored plain: packed ones are narrower than the encoder, and whole.
_POSITIONS = "encoder.positions.weight"
_VOCABULARY = re.compile(r"^language_model\.(embed_tokens|head)\.")
_STORED: dict[str, tuple[Any, mx.Dtype]] = {
    "F32": (np.uint32, mx.float32),
    "F16": (np.uint16, mx.float16),
    "BF16": (np.uint16, mx.bfloat16),
    "U32": (np.uint32, mx.uint32),
    "U8": (np.uint8, mx.uint8),
}


class Part(NamedTuple):
    """``[first, last)`` of a tensor's rows and of its columns."""

    rows: tuple[int, int]
    columns: tuple[int, int]


def closing(stem: str) -> bool:
    """Whether a projection's inputs are split, so that its result is a sum over the ranks."""
    return bool(_COLUMNS.search(f"{stem}."))


def gathered(stem: str) -> bool:
    """Whether a projection's outputs are split, and all of them are wanted."""
    return bool(_GATHERED.search(f"{stem}."))


def vocabulary(stem: str) -> bool:
    """Whether a matrix has a row for each token."""
    return bool(_VOCABULARY.search(f"{stem}."))


def part(name: str, shape: tuple[int, ...], config: Any, ranks: Ranks) -> Part:
    """What a rank holds of a stored tensor ``shape``, by this package's name; ``config`` is the model's."""
    rows, columns = (0, shape[0]), (0, shape[-1])
    if _VOCABULARY.search(name):
        most = -(-shape[0] // ranks.size)
        rows = (min(shape[0], ranks.rank * most), min(shape[0], (ranks.rank + 1) * most))
    elif _ROWS.search(name):
        rows = _share(shape[0], ranks.rank, ranks.size)
    elif _KV.search(name):
        # More ranks than heads: several hold one, that of their queries.
        n = min(ranks.size, _kv_heads(config.encoder if name.startswith("encoder.") else config.decoder))
        rows = _share(shape[0], ranks.rank * n // ranks.size, n)
    elif (_COLUMNS.search(name) and len(shape) == 2) or (name == _POSITIONS and shape[-1] == config.encoder.dim):
        columns = _share(shape[1], ranks.rank, ranks.size)
    return Part(rows, columns)


def share(config: Any, ranks: Ranks) -> Any:
    """The sizes of one rank's part of a stack."""
    sizes = {f.name for f in dataclasses.fields(config)} & {"n_heads", "n_kv_heads", "hidden_dim"}
    return dataclasses.replace(config, **{name: max(1, getattr(config, name) // ranks.size) for name in sizes})


def check(config: Any, stored: dict[str, tuple[int, ...]], ranks: Ranks) -> None:
    """The ranks divide the heads, the hidden units and whatever is split.

    Args:
        config: Of the model.
        stored: Shapes of the stored tensors by this package's names.
        ranks: The group.

    Raises:
        ValueError: they do not.
    """
    n = ranks.size
    for half, c in (("encoder", config.encoder), ("decoder", config.decoder)):
        for what, count in (("heads", c.n_heads), ("hidden units", c.hidden_dim)):
            if count % n:
                raise _check.fail(OP, "ranks", f"a number that divides the {half}'s {count} {what}", n)
        kv = _kv_heads(c)
        if kv % n and n % kv:
            raise _check.fail(OP, "ranks", f"a divisor or a multiple of the {half}'s {kv} key/value heads", n)
    for name, shape in stored.items():
        axis = 0 if _ROWS.search(name) else len(shape) - 1 if _COLUMNS.search(name) and len(shape) == 2 else None
        if axis is not None and shape[axis] % n:
            got = f"{n} for {name} {list(shape)}"
            raise _check.fail(OP, "ranks", "a number that splits every matrix on its groups' boundaries", got)


def read(tensor: Tensor, name: str, config: Any, ranks: Ranks) -> mx.array:
    """A rank's part of a tensor, by this package's name; no more of the file is read, and the bytes are counted."""
    stored, dtype = _STORED[tensor.dtype]
    (first, last), (left, right) = part(name, tensor.shape, config, ranks)
    width = math.prod(tensor.shape[1:])
    whole = len(tensor.shape) < 2 or right - left == tensor.shape[-1]
    out = np.empty((last - first, *(tensor.shape[1:] if whole else (right - left,))), stored)
    view, size = memoryview(out.data).cast("B"), out.itemsize
    with tensor.file.open("rb", buffering=0) as stream:
        if whole:
            _fill(stream, tensor, tensor.at + first * width * size, view)
        else:
            step = (right - left) * size
            for i in range(last - first):
                at = tensor.at + ((first + i) * width + left) * size
                _fill(stream, tensor, at, view[i * step : (i + 1) * step])
    ranks.read += out.nbytes
    array = mx.array(out)
    return array if array.dtype == dtype else array.view(dtype)


def _fill(stream: Any, tensor: Tensor, at: int, view: memoryview) -> None:
    stream.seek(at)
    while view:
        n = stream.readinto(view)
        if not n:
            raise _check.fail(OP, tensor.file.name, f"data up to byte {at + len(view)}", "the end of the file")
        at, view = at + n, view[n:]


def _share(count: int, index: int, n: int) -> tuple[int, int]:
    each = count // n
    return index * each, (index + 1) * each


def _kv_heads(config: Any) -> int:
    return int(getattr(config, "n_kv_heads", config.n_heads))
