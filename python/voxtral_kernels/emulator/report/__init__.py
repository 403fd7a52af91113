"""What a run found and counted, told by the lines of the user's text."""

from .causes import merged
from .findings import KINDS, Finding, Place
from .lines import LineTable
from .places import Columns, make_finding, make_place
from .run import Report
from .sources import Sources

__all__ = [
    "KINDS",
    "Columns",
    "Finding",
    "LineTable",
    "Place",
    "Report",
    "Sources",
    "make_finding",
    "make_place",
    "merged",
]
