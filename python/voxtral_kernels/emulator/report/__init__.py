"""What a run found and counted, told by the lines of the user's text."""

from .findings import KINDS, Finding, Place, Report
from .lines import LineTable
from .places import make_finding

__all__ = ["KINDS", "Finding", "LineTable", "Place", "Report", "make_finding"]
