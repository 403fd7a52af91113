"""How much memory this process may have: that of the machine, or of the container that it runs in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Linux tells which groups a process is in, and shows the groups as folders.
_MEMBERSHIP, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def total_memory() -> int:
    """Bytes of the machine, or of the container where that may have less; 0 where the system does not tell."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        physical = 0
    return min((amount for amount in (physical, container_memory()) if amount), default=0)


def container_memory(membership: Path = _MEMBERSHIP, groups: Path = _GROUPS) -> int:
    """The least memory limit of this process's control groups (version 2 or 1), 0 without one.

    A group has no more than the groups that it is in. One without a limit says ``max``, or a number near 2**63.

    Args:
        membership: The file that lists the process's groups.
        groups: The folder where they are mounted.
    """
    try:
        lines = membership.read_text().splitlines()
    except (OSError, ValueError):  # no Linux
        return 0
    limits: list[int] = []
    for line in lines:
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "none", "")
        if not controllers:
            limits += _limits(groups, path, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits(groups / "memory", path, "memory.limit_in_bytes")
    return min(limits, default=0)


def _limits(mount: Path, path: str, name: str) -> Iterator[int]:
    """Of a group and those around it. Inside a container the mount is its own group, and the path may lead nowhere."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:  # a group outside of the container's
        parts = []
    for n in range(len(parts), -1, -1):
        try:
            limit = int(mount.joinpath(*parts[:n], name).read_text())
        except (OSError, ValueError):
            continue
        if limit > 0:
            yield limit
