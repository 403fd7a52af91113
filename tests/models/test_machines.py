"""The default model is one that the machine can run in real time."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from voxtral_kernels.models import hub, machines
from voxtral_kernels.models.machines import CHIPS, PUBLISHED, Machine
from voxtral_kernels.models.section import OFFLINE, REALTIME

DOCS = Path(__file__).resolve().parents[2] / "docs" / "models.md"
GIB = 1 << 30
ORIGINAL, SIX, FOUR = (
    "mistralai/Voxtral-Mini-4B-Realtime-2602",
    "mlx-community/Voxtral-Mini-4B-Realtime-6bit",
    "mlx-community/Voxtral-Mini-4B-Realtime-2602-4bit",
)


@pytest.mark.parametrize(
    ("weights", "bandwidth", "floor"),
    [(8.83e9, 68, 146), (8.83e9, 102, 97), (8.83e9, 120, 83), (2.48e9, 68, 52), (2.48e9, 102, 35), (2.48e9, 120, 30)],
)
def test_floors_of_the_design(weights, bandwidth, floor):
    """Bytes that must move over bandwidth, as computed apart from the code: 9.9 GB in 16 bits, 3.55 GB in 4."""
    assert machines.floor_ms(weights, bandwidth) == pytest.approx(floor, abs=1)


@pytest.mark.fault("models: the default was a model that no base Mac runs in real time")
@pytest.mark.parametrize(
    ("device", "gib", "expected"),
    [
        ("Apple M1", 8, FOUR),
        ("Apple M1", 16, FOUR),
        ("Apple M2", 8, FOUR),
        ("Apple M3", 24, FOUR),
        ("Apple M4", 16, SIX),
        ("Apple M5", 16, SIX),
        ("Apple M1 Pro", 16, SIX),
        ("Apple M3 Pro", 36, SIX),
        ("Apple M4 Pro", 24, ORIGINAL),
        ("Apple M1 Max", 32, ORIGINAL),
        ("Apple M2 Ultra", 64, ORIGINAL),
        ("Apple M6", 16, SIX),  # newer than the table: as the newest of its class
        ("Apple M9 Max", 64, ORIGINAL),
        ("Apple M4 Pro", 8, SIX),  # there is no such Mac, but there are virtual ones
    ],
)
def test_defaults(device, gib, expected):
    choice = machines.default(Machine.of(device, gib * GIB))
    assert choice.model.id == expected
    assert str(choice.model.bits) in choice.reason
    assert device.removeprefix("Apple ") in choice.reason


def test_no_default_is_slower_than_real_time_where_one_is_not():
    for chip, gib in itertools.product(CHIPS, (8, 16, 36, 64)):
        machine = Machine.of(f"Apple {chip}", gib * GIB)
        model = machines.default(machine).model
        assert machine.floor_ms(model) < 0.8 * 80
        assert machine.holds(model)
        assert machine.holds(machines.default(machine, OFFLINE).model)


def test_machines_without_an_apple_gpu():
    for name in ("", "AMD EPYC", "Apple Paravirtual device"):
        machine = Machine.of(name, 64 * GIB)
        assert (machine.chip, machine.bandwidth) == (None, None)
        choice = machines.default(machine)
        assert (choice.model.id, "not known" in choice.reason) == (ORIGINAL, True)
        assert machines.default(Machine.of(name, 8 * GIB)).model.id == SIX
    assert machines.default(Machine.of("", 0)).model.id == FOUR
    assert machines.default().model in PUBLISHED


def test_offline_defaults_fit():
    bits = [machines.default(Machine.of("Apple M2", gib * GIB), OFFLINE).model.bits for gib in (8, 16, 24)]
    assert bits == [4, 16, 16]


def test_the_line_says_how_to_choose_another(monkeypatch, capsys):
    from voxtral_kernels.cli import options

    monkeypatch.setattr(machines.Machine, "this", classmethod(lambda cls: cls.of("Apple M2", 8 * GIB)))
    asked = []

    def load(name, revision, group):
        asked.append((name, revision))
        return SimpleNamespace(ranks=None)

    monkeypatch.setattr("voxtral_kernels.models.load", load)
    assert options.load_model(None, "v1").name == FOUR
    assert options.load_model("tiny").name == "tiny"
    assert asked == [(FOUR, "v1"), ("tiny", None)]
    assert capsys.readouterr().err == (
        f"voxtral-kernels: {FOUR} (4 bits for M2, 8 GB: at least 41 of the 80 ms of a token); --model chooses another\n"
    )
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"an empty text"):
        options.load_model("")


def tables():
    """The two tables of the documentation, by their marks."""
    published = ["| hub id | model | bits | layout | weights |", "|---|---|---|---|---|"]
    published += [f"| `{p.id}` | {p.family} | {p.bits} | {p.layout} | {p.nbytes / 1e9:.1f} GB |" for p in PUBLISHED]
    chips = [
        "| chip | GB/s | floor in 16 bits | 6 | 4 | default at 24 GB | 16 | 8 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    three = [next(p for p in PUBLISHED if p.id == name) for name in (ORIGINAL, SIX, FOUR)]
    for chip, speed in CHIPS.items():
        floors = " | ".join(f"{machines.floor_ms(p.nbytes, speed):.0f} ms" for p in three)
        bits = [machines.default(Machine.of(f"Apple {chip}", gib * GIB)).model.bits for gib in (24, 16, 8)]
        chips.append(f"| {chip} | {speed} | {floors} | {bits[0]} bits | {bits[1]} | {bits[2]} |")
    return {"published": published, "machines": chips}


def test_the_tables_of_the_documentation():
    text = DOCS.read_text()
    for mark, lines in tables().items():
        assert f"<!-- {mark} -->\n\n" + "\n".join(lines) + "\n\n" in text, f"of {mark}:\n" + "\n".join(lines)


def test_names_that_are_not_quite_published():
    assert {p.family for p in PUBLISHED} == {REALTIME, OFFLINE}
    for p in PUBLISHED:
        assert hub._meant(p.id) == ""
        assert p.id in hub._meant(p.id.rpartition("/")[2])
