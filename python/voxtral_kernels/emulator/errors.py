"""The one exception of the emulator."""

from __future__ import annotations

from collections.abc import Sequence

from .report import Finding


class KernelError(RuntimeError):
    """A kernel that Metal would refuse, or that the checks found at fault. ``findings`` holds what they found."""

    def __init__(self, message: str, findings: Sequence[Finding] = ()):
        super().__init__(message)
        self.findings = list(findings)


class UnavailableError(KernelError):
    """The emulator cannot work here: its runtime or its compiler is not installed."""
