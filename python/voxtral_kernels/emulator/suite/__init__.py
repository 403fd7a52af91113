"""Whole files: checked, or run as a TOML beside them says. For the command line, pytest and other tools."""

from .spec import Run, Spec, read_spec
from .work import Outcome, check, counters, run

__all__ = ["Outcome", "Run", "Spec", "check", "counters", "read_spec", "run"]
