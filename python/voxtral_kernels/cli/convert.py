"""``voxtral-kernels convert``: a checkpoint into the converted layout, quantised if asked for."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from . import ending
from .console import print_text
from .options import Revision


class Mode(StrEnum):
    """How matrices are quantised: MLX's modes."""

    AFFINE = "affine"
    MXFP4 = "mxfp4"
    MXFP8 = "mxfp8"
    NVFP4 = "nvfp4"


class Dtype(StrEnum):
    """Dtypes of the weights that are not quantised."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


def convert(
    source: Annotated[str, typer.Argument(metavar="tiny|PATH|ID", help="The model to convert.")],
    target: Annotated[str, typer.Argument(metavar="FOLDER", help="Where to write it; must not exist, or be empty.")],
    bits: Annotated[int | None, typer.Option(metavar="4|6|8", help="Quantise the matrices.")] = None,
    group_size: Annotated[
        int | None, typer.Option(metavar="32|64|128", help="Values that share a scale; 64 if not given.")
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option(help="Quantise in this mode of MLX; all but affine fix bits and group size.")
    ] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Dtype of what is not quantised; as it is if not given.")] = None,
    revision: Revision = None,
) -> None:
    """Write a checkpoint of either family as MLX conversions have it (config.json, model.safetensors, tekken.json)."""
    import mlx.core as mx

    from ..models.convert import convert as write

    with ending.mode(ending.Mode.RAISE):  # it takes its temporary folder away
        size = write(
            source,
            target,
            bits=bits,
            group_size=group_size,
            mode=mode.value if mode else None,
            dtype=getattr(mx, dtype) if dtype else None,
            revision=revision,
        )
    print_text(f"{target}: {size / 1e6:.1f} MB of weights\n")
