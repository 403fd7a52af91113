"""Shuffles from lanes that are not there: beyond the last of a simdgroup, returned, or in no simdgroup at all.

What they give is undefined, and kernels that work take it and drop it. So a launch that has such shuffles, and no
finding, is run again, once for each of them, with other values from these lanes: an output that stays hangs on none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .arrays import differing_bytes
from .isolated import RawFinding


def findings(result: Any, options: Any, run_again: Callable[[], Any], names: Mapping[int, str]) -> list[RawFinding]:
    """One finding for each shuffle in ``result.absent`` on which an output hangs, at the first such output."""
    found = []
    try:
        for shuffle in result.absent:
            options.absent_at = shuffle.pc
            again = run_again()
            if again.completed and not again.findings:
                found += _differences(shuffle, result.outputs, again.outputs, names)
            else:  # it led astray what it then did
                found.append(_finding(shuffle, "another value from there ends in a finding", "", 0))
    finally:
        options.absent_at = -1
    return found


def _differences(
    shuffle: Any, outputs: Mapping[int, bytes], again: Mapping[int, bytes], names: Mapping[int, str]
) -> list[RawFinding]:
    for index, want in outputs.items():
        count, first = differing_bytes(want, again.get(index, b""))
        if count:
            return [_finding(shuffle, f"{count} bytes hang on it", names[index], first)]
    return []


def _finding(shuffle: Any, consequence: str, buffer: str, offset: int) -> RawFinding:
    detail, threadgroup = f"{shuffle.detail}; {consequence}", tuple(shuffle.threadgroup)
    return RawFinding(shuffle.kind, detail, shuffle.pc, buffer, offset, shuffle.lane, threadgroup, count=shuffle.count)
