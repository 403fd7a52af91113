"""Where the audio side of a stream stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...caches import KVCache
from . import conv_stem


@dataclass
class AudioState:
    """Where the audio side of a stream stands; with ``lazy`` whoever holds it evaluates it."""

    stem: conv_stem.State | None = None
    caches: list[KVCache] = field(default_factory=list)
    lazy: bool = False
