"""Which published checkpoint a machine can run in real time: chips, checkpoints, and the default of the commands.

An 80 ms token of Voxtral Realtime reads all weights once, and the keys and values of both windows: those bytes over the
memory's bandwidth are the least time that it can take. The figures here are computed, not measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import mlx.core as mx

from .memory import total_memory
from .section import OFFLINE, REALTIME

TOKEN_MS = 80.0
# At full windows, 16 bits: encoder 32 x 2 x 32 x 750 x 64, decoder 26 x 2 x 8 x 8192 x 128 values.
CACHE_BYTES = 2 * (32 * 2 * 32 * 750 * 64 + 26 * 2 * 8 * 8192 * 128)
# Activations, the mel front-end, MLX's own buffers.
WORKING_BYTES = 500_000_000
# The rest of a token's time is for launches, the host's work and clocks that fall with heat.
SHARE_OF_TOKEN = 0.5
# macOS lets a GPU hold about this much of the memory.
SHARE_OF_MEMORY = 2 / 3

# GB/s, vendor figures; where a chip was sold with two, the lower one.
CHIPS = {
    "M1": 68, "M1 Pro": 205, "M1 Max": 410, "M1 Ultra": 819,
    "M2": 102, "M2 Pro": 205, "M2 Max": 410, "M2 Ultra": 819,
    "M3": 102, "M3 Pro": 154, "M3 Max": 307, "M3 Ultra": 819,
    "M4": 120, "M4 Pro": 273, "M4 Max": 410,
    "M5": 154, "M5 Pro": 307, "M5 Max": 460,
}  # fmt: skip


class Published(NamedTuple):
    """A checkpoint of the Hugging Face hub that this package reads.

    Attributes:
        id: Its hub id.
        family: `REALTIME` or `OFFLINE`.
        bits: Of most weights.
        layout: Whose names its file has.
        nbytes: Size of its weight file.
    """

    id: str
    family: str
    bits: int
    layout: str
    nbytes: int


# Sizes as the hub listed them in September 2026.
PUBLISHED = (
    Published("mistralai/Voxtral-Mini-4B-Realtime-2602", REALTIME, 16, "original Mistral", 8_859_462_744),
    Published("mlx-community/Voxtral-Mini-4B-Realtime-2602-fp16", REALTIME, 16, "mlx-audio", 8_870_608_794),
    Published("ellamind/Voxtral-Mini-4B-Realtime-8bit-mlx", REALTIME, 8, "voxmlx", 4_714_618_595),
    Published("mlx-community/Voxtral-Mini-4B-Realtime-6bit", REALTIME, 6, "voxmlx", 3_609_304_614),
    Published("mlx-community/Voxtral-Mini-4B-Realtime-2602-4bit", REALTIME, 4, "mlx-audio", 3_133_798_126),
    Published("mistralai/Voxtral-Mini-3B-2507", OFFLINE, 16, "original Mistral", 9_348_806_528),
    Published("mistralai/Voxtral-Small-24B-2507", OFFLINE, 16, "original Mistral", 48_519_877_672),
    Published("mzbac/voxtral-mini-3b-8bit", OFFLINE, 8, "mlx-voxtral", 5_404_054_476),
    Published("mzbac/voxtral-mini-3b-4bit-mixed", OFFLINE, 4, "mlx-voxtral", 3_195_753_212),
)
_ID = {p.id: p for p in PUBLISHED}
# What the default is chosen from, the most precise first.
_CHOICES = {
    REALTIME: (
        "mistralai/Voxtral-Mini-4B-Realtime-2602",
        "mlx-community/Voxtral-Mini-4B-Realtime-6bit",
        "mlx-community/Voxtral-Mini-4B-Realtime-2602-4bit",
    ),
    OFFLINE: ("mistralai/Voxtral-Mini-3B-2507", "mzbac/voxtral-mini-3b-8bit", "mzbac/voxtral-mini-3b-4bit-mixed"),
}


@dataclass(frozen=True)
class Machine:
    """What decides: the chip, by its name in `CHIPS`, its memory's bandwidth, and the memory.

    ``chip`` and ``bandwidth`` (GB/s) are None for a machine without one of these chips.
    """

    chip: str | None
    bandwidth: int | None
    memory: int

    @classmethod
    def this(cls) -> Machine:
        """The one that runs this."""
        info = mx.device_info(mx.gpu) if mx.metal.is_available() else {}
        name, size = str(info.get("device_name", "")), info.get("memory_size", 0)
        return cls.of(name, int(size) or total_memory())

    @classmethod
    def of(cls, device: str, memory: int) -> Machine:
        """By the name of its GPU: ``"Apple M2 Pro"``. A chip newer than the table counts as the newest of its class."""
        found = re.search(r"\bM(\d+)(?: (Pro|Max|Ultra))?\b", device)
        if not found or not device.startswith("Apple"):
            return cls(None, None, memory)
        kind = found[0].partition(" ")[2]
        known = [name for name in CHIPS if name.partition(" ")[2] == kind]
        same = found[0] if found[0] in CHIPS else max(known, key=lambda name: int(name.partition(" ")[0][1:]))
        return cls(found[0], CHIPS[same], memory)

    def floor_ms(self, model: Published) -> float | None:
        """The least time of a token, windows full, in ms; None where the bandwidth is not known."""
        return None if self.bandwidth is None else floor_ms(model.nbytes, self.bandwidth)

    def holds(self, model: Published) -> bool:
        """Whether model, caches and the rest fit into what a GPU may hold."""
        return model.nbytes + CACHE_BYTES + WORKING_BYTES <= SHARE_OF_MEMORY * self.memory


def floor_ms(weight_bytes: int, bandwidth: float) -> float:
    """The least time of an 80 ms token of Voxtral Realtime, in ms: bytes that must move over GB/s."""
    return (weight_bytes + CACHE_BYTES) / (bandwidth * 1e6)


class Choice(NamedTuple):
    """The default model of a machine, and why it is that one, in words."""

    model: Published
    reason: str


def default(machine: Machine | None = None, family: str = REALTIME) -> Choice:
    """The most precise published model that fits; of Voxtral Realtime, whose token's floor is half of its time at most.

    Args:
        machine: None for this one.
        family: `REALTIME` or `OFFLINE`.
    """
    machine = machine or Machine.this()
    choices = [_ID[name] for name in _CHOICES[family]]
    fitting = [model for model in choices if machine.holds(model)] or [choices[-1]]
    memory = f"{machine.memory / 2**30:.0f} GB"
    if machine.bandwidth is None:
        # A CPU has fast kernels for 16 bits, not for packed weights.
        speed = "; whether in real time is not known here" if family == REALTIME else ""
        return Choice(fitting[0], f"{fitting[0].bits} bits for {memory} of memory{speed}")
    if family == OFFLINE:
        return Choice(fitting[0], f"{fitting[0].bits} bits for {machine.chip}, {memory}")
    limit = SHARE_OF_TOKEN * TOKEN_MS
    model = next((m for m in fitting if floor_ms(m.nbytes, machine.bandwidth) <= limit), fitting[-1])
    floor = f"at least {floor_ms(model.nbytes, machine.bandwidth):.0f} of the {TOKEN_MS:.0f} ms of a token"
    return Choice(model, f"{model.bits} bits for {machine.chip}, {memory}: {floor}")
