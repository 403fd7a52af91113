"""A short run end to end: gates, tables, JSON, and the HTML as a phone shows it."""

import html.parser
import json
import shutil
import subprocess
import types

import mlx.core as mx
import numpy as np
import pytest

from bench import cases
from bench.measure import end_to_end, ops
from bench.report import page, tables
from bench.suites.all import main
from voxtral_kernels import testing


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The record and the report of a short run."""
    folder = tmp_path_factory.mktemp("bench")
    arguments = ["--ops", "ada_rms_norm", "--blocks", "5", "--stream", "2", "--no-full-shapes", "--no-host"]
    assert main([*arguments, "--json", str(folder / "b.json"), "--html", str(folder / "b.html")]) == 0
    return json.loads((folder / "b.json").read_text()), folder / "b.html"


def test_record_holds_what_the_figures_were_taken_on(run):
    record, _ = run
    environment = record["environment"]
    assert all(environment[key] for key in ("chip", "cores", "os", "mlx", "device"))
    assert record["roofline"]["copy_gb_per_s"] > 0
    rows = record["ops"]
    assert len(rows) == sum(len(c.dtypes) for s in cases.suites(("ada_rms_norm",)) for c in s.cases)
    assert all(
        r["gate"] == "ok" and r["speedup"]["low"] <= r["speedup"]["median"] <= r["speedup"]["high"] for r in rows
    )


def test_stream_keeps_the_cadence_of_live_audio(run):
    stream = run[0]["stream"]
    assert len(stream["step_seconds"]) == len(stream["latency_seconds"]) == len(stream["active_bytes"]) == 25
    # No feed is served before its audio is complete; one that waits behind another is later than its own work.
    assert all(0 < step <= late for step, late in zip(stream["step_seconds"], stream["latency_seconds"], strict=True))


class Clock:
    """Stands in for ``time``: it moves when somebody sleeps."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_a_model_that_falls_behind_shows_it(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(end_to_end, "time", clock)

    class Slow:
        config = types.SimpleNamespace(samples_per_token=160, sample_rate=16000)

        def stream(self, delay_ms):
            return types.SimpleNamespace(feed=lambda _: clock.sleep(0.02), finish=lambda: None)

    late = end_to_end.stream(Slow(), "slow", 0.1)["latency_seconds"]
    assert late == pytest.approx([0.02 + 0.01 * i for i in range(10)])


def test_feeds_served_late_are_counted():
    found = {"model": "x", "step_seconds": [0.05, 0.08, 0.07], "latency_seconds": [0.05, 0.081, 0.2]}
    assert "2 of 3 feeds served later than 80 ms" in end_to_end.stream_row(found)["note"]


def test_html_is_one_file_without_outside_references(run):
    text = run[1].read_text()
    references = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            references.extend(value for name, value in attrs if name in ("src", "href") or name == "xlink:href")

    Parser().feed(text)
    assert all(reference.startswith("#") for reference in references)
    assert text.count("<svg") == 4
    assert "name='viewport'" in text


def test_html_on_a_phone(run, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on this machine: the report's screenshot is not checked")
    picture = tmp_path / "phone.png"
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=390,3000",
         "--disable-background-networking", "--disable-component-update", "--no-first-run",
         f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", run[1].as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    import matplotlib.image

    pixels = np.asarray(matplotlib.image.imread(picture))[..., :3]
    inked = (np.abs(pixels - 1.0).max(-1) > 0.2).any(1)
    # Text and plots follow each other down the page: no long blank stretch in its upper part.
    rows = np.flatnonzero(inked)
    assert rows[0] < 120
    assert np.diff(rows[rows < 1800]).max() < 200
    right = (np.abs(pixels[:1800] - 1.0).max(-1) > 0.2).any(0)
    assert np.flatnonzero(right)[-1] < 390


def test_no_speed_is_printed_for_a_wrong_result(monkeypatch):
    monkeypatch.setattr(testing, "check_case", lambda *a, **k: (_ for _ in ()).throw(AssertionError("off by 3")))
    suite = next(cases.suites(("ada_rms_norm",)))
    row = ops.measure(suite, suite.cases[0], mx.float32, blocks=5, sample_seconds=0.001)
    assert (row.gate, row.seconds, row.speedup) == ("off by 3", None, None)
    assert "wrong result: off by 3" in page.ops_table([row.as_dict()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--blocks", "4"], "--blocks: expected at least 5, got 4"),
        (["--ops", "softmax"], "invalid choice: 'softmax'"),
        (["--json", "/no/such/folder/x.json"], "--json: expected a path in an existing folder"),
    ],
)
def test_bad_options(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (1.5, "1.5 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 us"), (7e-8, "70 ns")]
)
def test_times_in_the_unit_that_suits(seconds, text):
    assert tables.time_text(seconds) == text


def test_least_bytes_of_a_known_shape():
    suite = next(cases.suites(("sliding_window_attention",)))
    decode = suite.cases[0].case
    assert suite.least_bytes(decode, 2) == 2 * (2 * 8 * 8192 * 128 + 2 * 32 * 128)
    conv = next(cases.suites(("causal_conv1d_gelu",)))
    live = conv.cases[0].case
    assert conv.least_bytes(live, 4) == 4 * (10 * 128 + 1280 * (3 * 128 + 1) + 8 * 1280)
