"""What a figure was measured on: without it a time says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import mlx.core as mx

import voxtral_kernels as vk
from voxtral_kernels.backends import extension, select

from ..paths import ROOT


def describe() -> dict[str, Any]:
    """Chip, instruction set, cores, memory, OS, versions, commit, power, thermal state; None: unreadable."""
    return {
        "chip": chip(),
        "chip_model": chip_model(),
        "instruction_set": instruction_set(),
        "cores": os.cpu_count(),
        "memory_gib": memory_gib(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "mlx": metadata.version("mlx"),
        "voxtral_kernels": vk.__version__,
        "commit": commit(),
        "device": str(mx.default_device().type).rpartition(".")[2],
        "power": power(),
        "thermal": thermal(),
    }


def chip() -> str:
    """The processor's marketing name."""
    if platform.system() == "Darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    for line in _text("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def chip_model() -> str | None:
    """What tells chips of one marketing name apart: the machine's model on a Mac, else the processor's numbers."""
    if platform.system() == "Darwin":
        return _output("sysctl", "-n", "hw.model")
    lines = _text("/proc/cpuinfo").partition("\n\n")[0].splitlines()  # the first processor's
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    names = [n for n in ("cpu family", "model", "stepping", "CPU part", "CPU variant") if n in facts]
    return ", ".join(f"{name.removeprefix('cpu ').removeprefix('CPU ')} {facts[name]}" for name in names) or None


def instruction_set() -> str | None:
    """The one that the native CPU kernels use; None without the extension."""
    try:
        return str(extension.extension().isa())
    except select.UnavailableError:
        return None


def memory_gib() -> float | None:
    """Physical memory, GiB."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    return round(size / 2**30, 1)


def commit() -> str | None:
    """The checkout's commit, with ``+`` where the tree differs from it; None for an installed package."""
    if not (ROOT / ".git").exists():
        return None
    head = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    changed = _output("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return f"{head}+" if changed else head


def power() -> str | None:
    """Mains or battery (macOS: ``pmset``; Linux: the frequency governor)."""
    if platform.system() == "Darwin":
        first = (_output("pmset", "-g", "batt") or "").partition("\n")[0]
        return first.partition("'")[2].rstrip("'") or None
    return _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None


def thermal() -> str | None:
    """Thermal pressure (macOS: ``pmset -g therm``; Linux: the hottest zone in degrees Celsius)."""
    if platform.system() == "Darwin":
        return " ".join((_output("pmset", "-g", "therm") or "").split()) or None
    zones = [_text(str(p)) for p in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    degrees = [int(z) / 1000 for z in zones if z.strip().lstrip("-").isdigit()]
    return f"{max(degrees):.0f} C" if degrees else None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
