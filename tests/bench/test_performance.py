"""The table of docs/performance.md that decides is what `models/machines.py` computes."""

from pathlib import Path

import pytest

from bench.report.files import renewed
from voxtral_kernels.models import machines

DOCS = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
START, END = "<!-- real time -->", "<!-- end of real time -->"
# Chips of one bandwidth stand together.
CHIPS = ["M1", "M2", "M4", "M5", "M3 Pro", "M1 Pro", "M4 Pro", "M3 Max", "M1 Max"]
HEADINGS = {"M2": "M2, M3", "M1 Pro": "M1, M2 Pro", "M3 Max": "M3 Max, M5 Pro", "M1 Max": "M1, M2, M4 Max"}
BITS = {16: 0, 8: 2, 6: 3, 4: 4}


def verdict(floor):
    return f"{floor:.0f} {'no' if floor > machines.TOKEN_MS else 'tight' if floor > 0.5 * machines.TOKEN_MS else 'yes'}"


def table():
    lines = [
        f"| weights | memory | {' | '.join(HEADINGS.get(c, c) for c in CHIPS)} |",
        f"|---|---|{'---|' * len(CHIPS)}",
    ]
    models = [(f"{bits} bits", machines.PUBLISHED[at].nbytes) for bits, at in BITS.items()]
    assert [machines.PUBLISHED[at].bits for at in BITS.values()] == list(BITS)
    # Every matrix in 4 bits with groups of 64, as `convert --bits 4` writes it: 4.5 bits a weight.
    models.append(("4 bits throughout", round(4.395e9 * 4.5 / 8)))
    for name, nbytes in models:
        memory = (nbytes + machines.CACHE_BYTES + machines.WORKING_BYTES) / 1e9
        cells = [verdict(machines.floor_ms(nbytes, machines.CHIPS[chip])) for chip in CHIPS]
        lines.append(f"| {name} | {memory:.1f} GB | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_chips_that_stand_together_have_one_bandwidth():
    for together in (["M2", "M3"], ["M1 Pro", "M2 Pro"], ["M3 Max", "M5 Pro"], ["M1 Max", "M2 Max", "M4 Max"]):
        assert len({machines.CHIPS[chip] for chip in together}) == 1


def test_the_table_is_the_computed_one():
    text = DOCS.read_text()
    assert text == renewed(text, START, END, table())


def test_marks_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="expected the marks '<!-- real time -->'"):
        renewed("text", START, END, "table")
