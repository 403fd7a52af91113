"""Where the benchmarks lie, and the checkout around them."""

from __future__ import annotations

from pathlib import Path

import voxtral_kernels

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
EXAMPLES = ROOT / "examples"
HOSTS = ROOT / "build" / "hosts"
TINY = Path(voxtral_kernels.__file__).parent / "data" / "tiny"
