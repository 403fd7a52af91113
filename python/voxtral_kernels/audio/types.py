"""What audio may be given as, for type checkers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any, TypeAlias

import mlx.core as mx
import numpy as np

from .blocks import Blocks

Samples: TypeAlias = "np.ndarray[Any, np.dtype[Any]] | mx.array | Sequence[float]"
Source: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Blocks | Samples"
Float32: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"
