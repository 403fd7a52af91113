"""Findings: one for each cause, at a file, line and column, in words and for programs."""

import json
import os
import urllib.request
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from voxtral_kernels import emulator
from voxtral_kernels.emulator.report import Finding, Place, Report, merged
from voxtral_kernels.emulator.report.refusals import refusals

TEXT = """#include <metal_stdlib>
using namespace metal;
#define LAST(a) a[63 - t]
kernel void both(const device float* x, device float* y, uint t [[thread_position_in_threadgroup]]) {
  threadgroup float tile[64], halo[64];
  tile[t] = x[t];
  if (t < 32) halo[t] = 0;
  y[t] = LAST(tile) + (x[t] + halo[t]);
}
kernel void two_lines(const device float* x, device float* y, uint t [[thread_position_in_threadgroup]]) {
  threadgroup float tile[64];
  tile[t] = x[t];
  y[t] = tile[63 - t];
  y[t] += tile[62 - t % 62];
}
kernel void never(const device float* x, device float* y, uint t [[thread_position_in_threadgroup]]) { }
"""


@pytest.fixture(scope="module")
def library():
    return emulator.library(TEXT, path="dir/my kernel.metal", raise_findings=False)


def report(library, entry, **options):
    x = np.ones(64, np.float32)
    library.run(entry, {0: x, 1: x}, (64, 1, 1), (64, 1, 1), outputs=[1], uninitialised=[1], **options)
    return library.report


def test_a_missing_barrier_is_a_race_first_and_what_nobody_writes_a_read_of_its_own(library):
    race, unset = report(library, "both").findings
    assert (race.kind, race.buffer) == ("race", "tile")
    assert {race.place.line, race.other.line} == {6, 8}
    assert (unset.kind, unset.buffer, unset.offset, unset.count) == ("uninitialised-read", "halo", 128, 32)


def test_what_is_read_early_by_some_lanes_only_stays_a_race():
    text = TEXT.replace("tile[t] = x[t];\n  if", "if (t < 48) tile[t] = x[t];\n  if")
    found = report(emulator.library(text, raise_findings=False), "both").findings
    assert [(f.kind, f.buffer) for f in found] == [
        ("race", "tile"),
        ("uninitialised-read", "tile"),
        ("uninitialised-read", "halo"),
    ]
    assert found[1].offset // 4 >= 48


def test_several_places_of_one_cause(library):
    (race,) = report(library, "two_lines").findings
    assert race.kind == "race"
    assert {p.line for p in (race.place, race.other, *race.more)} == {12, 13, 14}
    assert race.count > 64
    assert f"also at dir/my kernel.metal:{race.more[0].line}:" in str(race)


def test_columns_are_those_of_the_text(library):
    race, unset = report(library, "both").findings
    columns = {p.line: p.column for p in (race.place, race.other, unset.place)}
    lines = TEXT.splitlines()
    assert columns[6] == lines[5].index("tile") + 1
    assert unset.place.column == lines[7].index("halo") + 1
    mentions = {6: "tile", 8: "tile"}  # the second through a macro
    assert all(lines[p.line - 1][p.column - 1 :].startswith(mentions[p.line]) for p in (race.place, race.other))


def test_text_begins_with_the_place_the_kind_and_a_sentence(library):
    first, *rest = str(report(library, "both").findings[1]).splitlines()
    assert first == "dir/my kernel.metal:8:31: uninitialised-read: reads what nobody has written (halo at byte 128)"
    assert rest == [
        "    y[t] = LAST(tile) + (x[t] + halo[t]);",
        "    lane 32 of threadgroup (0, 0, 0)",
        "    32 times in all",
    ]


def test_a_finding_without_a_line_names_the_kernel(library):
    (unwritten,) = report(library, "never").findings
    assert (unwritten.kind, unwritten.place) == ("unwritten-output", None)
    assert str(unwritten).startswith("dir/my kernel.metal:16:13: unwritten-output: 256 of 256 bytes")


def test_a_path_and_a_line_directive_give_the_name(tmp_path):
    file = tmp_path / 'my "own".metal'
    file.write_text(TEXT + '#line 1 "generated.metal"\n\nkernel void g(device float* y) { y[9] = 1; }\n')
    kernels = emulator.library(file, raise_findings=False)
    assert report(kernels, "both").findings[0].path == str(file)
    kernels.run("g", {0: np.zeros(8, np.float32)}, (1, 1, 1), (1, 1, 1), outputs=[0])
    (found,) = kernels.report.findings
    assert (found.path, found.line, found.place.column) == ("generated.metal", 2, 34)
    assert found.place.text == "kernel void g(device float* y) { y[9] = 1; }"


def test_isolated_findings_are_the_same(library):
    text = TEXT
    apart = emulator.library(text, path="dir/my kernel.metal", raise_findings=False, isolate=True)
    assert report(apart, "both").findings == report(library, "both").findings


def at(line, path="k.metal"):
    return Place(path, line, "", 1)


def test_causes():
    race = Finding("race", "writes", at(5), 1, buffer="a", other=at(7), other_lane=2, count=3)
    turned = Finding("race", "reads", at(7), 2, buffer="a", other=at(5), other_lane=1, count=4)
    further = Finding("race", "reads", at(5), 2, buffer="a", other=at(9), other_lane=1)
    other_buffer = Finding("race", "writes", at(5), 1, buffer="b", other=at(7), other_lane=2)
    other_kind = Finding("missing-mem-flags", "writes", at(5), 1, buffer="a", other=at(7), other_lane=2)
    first, second, third = merged([race, other_buffer, turned, other_kind, further])
    assert (first.message, first.count, first.more) == ("writes", 8, (at(9),))
    assert (second, third) == (other_buffer, other_kind)


def test_json(library):
    record = json.loads(report(library, "both", mode="counted").to_json())
    race = record["findings"][0]
    assert (race["kind"], race["buffer"], race["place"]["file"]) == ("race", "tile", "dir/my kernel.metal")
    assert race["place"]["line"] in (6, 8)
    assert race["kernel"]["line"] == 4
    assert race["other"]["lane"] is not None
    assert record["counters"]["threads"] == 64


def test_github_annotations(library):
    lines = report(library, "both").to_github().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("::error file=dir/my kernel.metal,line=8,col=31,title=uninitialised-read::reads what")
    odd = Finding("crash", "100%\nof it", Place("a,b:c.metal", 3))
    assert Report([odd]).to_github() == "::error file=a%2Cb%3Ac.metal,line=3,title=crash::100%25%0Aof it\n"


# What of SARIF 2.1.0 is used here, from the names and types of the standard; soak runs ask its own schema.
def _object(required, **properties):
    return {"type": "object", "properties": properties, "required": required.split(), "additionalProperties": False}


_STRING, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 1}
_MESSAGE = _object("text", text=_STRING)
_URI = {"type": "string", "pattern": r"^([a-z]+:///)?[\w./%~-]+$"}
_REGION = _object("startLine", startLine=_COUNT, startColumn=_COUNT, snippet=_object("text", text=_STRING))
_PHYSICAL = _object("artifactLocation region", artifactLocation=_object("uri", uri=_URI), region=_REGION)
_RESULT = _object(
    "ruleId level message",
    ruleId=_STRING,
    ruleIndex={"type": "integer", "minimum": 0},
    level={"enum": ["none", "note", "warning", "error"]},
    message=_MESSAGE,
    occurrenceCount=_COUNT,
    locations={"type": "array", "items": _object("physicalLocation", physicalLocation=_PHYSICAL)},
    partialFingerprints={"type": "object", "additionalProperties": _STRING},
    relatedLocations={
        "type": "array",
        "items": _object(
            "id message physicalLocation", id={"type": "integer"}, message=_MESSAGE, physicalLocation=_PHYSICAL
        ),
    },
)
_RULE = _object("id", id=_STRING, shortDescription=_MESSAGE)
_DRIVER = _object("name", name=_STRING, version=_STRING, rules={"type": "array", "items": _RULE, "uniqueItems": True})
_RUN = _object(
    "tool results",
    tool=_object("driver", driver=_DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": _RESULT},
)
SARIF = _object(
    "version runs", **{"$schema": _STRING}, version={"const": "2.1.0"}, runs={"type": "array", "items": _RUN}
)


def logs(library):
    yield report(library, "both").to_sarif()
    yield report(library, "two_lines").to_sarif()
    yield report(library, "never").to_sarif()
    yield Report().to_sarif()
    yield Report([Finding("order-dependence", "output 0 differs", buffer="output 0")]).to_sarif()
    yield Report([Finding("refused", "no", Place(str(Path.cwd() / "a b.metal"), 1))]).to_sarif()
    yield Report(refusals("k.metal:3: 'asm': inline assembly [contained]\nld: no such thing")).to_sarif()


def test_sarif(library):
    for log in logs(library):
        jsonschema.validate(json.loads(log), SARIF)
    (run,) = json.loads(report(library, "both").to_sarif())["runs"]
    race = run["results"][0]
    assert run["tool"]["driver"]["rules"][race["ruleIndex"]]["id"] == race["ruleId"] == "race"
    assert race["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "dir/my%20kernel.metal"
    assert race["relatedLocations"]
    below = json.loads(Report([Finding("crash", "x", Place(str(Path.cwd() / "a.metal"), 1))]).to_sarif())
    assert '"uri": "a.metal"' in json.dumps(below)


@pytest.mark.soak
def test_sarif_is_valid_under_the_standards_own_schema(library):
    """``VOXTRAL_KERNELS_SARIF_SCHEMA`` names a copy of it; without one it is asked for where OASIS publishes it."""
    url = json.loads(Report().to_sarif())["$schema"]
    if given := os.environ.get("VOXTRAL_KERNELS_SARIF_SCHEMA"):
        schema = json.loads(Path(given).read_text())
    else:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                schema = json.load(answer)
        except OSError as error:
            pytest.skip(f"{url} cannot be read: {error}")
    for log in logs(library):
        jsonschema.Draft4Validator(schema).validate(json.loads(log))
    spoilt = json.loads(Report().to_sarif())
    del spoilt["runs"][0]["tool"]["driver"]["name"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schema).validate(spoilt)


def test_refusals_are_findings():
    message = (
        "a.metal:3: 'goto': there is no goto [goto, MSL 1.5.3]\nb.metal:4:7: error: no member\nb.metal:1:2: note: here"
    )
    refused, error = refusals(message)
    assert (refused.kind, refused.line, refused.message) == ("refused", 3, "'goto': there is no goto [goto, MSL 1.5.3]")
    assert (error.kind, error.place.column, error.message.split("\n")[0]) == ("compile-error", 7, "no member")
    (linked,) = refusals("the kernel uses what the emulator lacks: f")
    assert (linked.kind, linked.place) == ("compile-error", None)
