"""The page in a headless Chromium, a recording as its microphone: the caption is what the command line prints."""

import base64
import json
import re
from pathlib import Path

import axe_core_python
import numpy as np
import pytest

from tests.serve import browser
from tests.serve.clients import pcm
from tests.serve.conftest import EXAMPLES, command
from tests.serve.starting import Started

pytestmark = pytest.mark.skipif(browser.FOUND is None, reason="no chromium on this machine: the page is not opened")

SPEECH = EXAMPLES / "human-card-5.wav"
LENGTH_S = 4.5  # of it, and what may be missing before
AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
KEY = "correct-horse-battery-staple"
STATUS = "document.getElementById('status').textContent"
TEXT = "document.getElementById('text').innerText.trim()"


@pytest.fixture(scope="module")
def guarded():
    started = Started("--slots", "2", key=KEY)
    yield started
    assert started.stop()[0] == 143


@pytest.fixture
def chromium(tmp_path):
    opened = browser.Browser(tmp_path / "profile", SPEECH)
    yield opened
    opened.close()


def test_the_caption_is_the_command_lines_text(chromium, guarded, tmp_path):
    """By keyboard alone: the key, Start, Stop; then a look at it, wide and narrow, light and dark."""
    tab = chromium.tab(f"{guarded.url}/")
    tab.wait(f"{STATUS} == 'This server asks for a key.'")
    assert faults(tab) == []
    tab.call("Input.insertText", text=KEY)
    tab.press("Enter")
    tab.wait(f"{STATUS} == 'Ready: tiny.'")
    focus(tab, "start")
    tab.press("Space")
    tab.wait(f"{STATUS} == 'Listening.'")
    tab.wait("document.getElementById('memory').value.includes('MB')")
    while seconds(chromium) < LENGTH_S:
        tab.wait("new Promise(done => setTimeout(done, 250, true))")
    focus(tab, "start")
    tab.press("Enter")
    tab.wait(f"{STATUS} == 'Ready: tiny.'")
    text, sent = tab.run(TEXT), np.concatenate(list(audio_sent(chromium)))
    assert text == command("transcribe", "-", "--raw", stdin=sent.tobytes()).strip()
    focus(tab, "times")
    tab.press("Space")
    rows = tab.run("[...document.querySelectorAll('#words tr')].map(row => row.innerText.split('\\t'))")
    assert [word for word, _, _ in rows] == text.split()
    assert all(re.fullmatch(r"\d+:\d\d\.\d\d", time) for _, *times in rows for time in times)
    assert tab.run("document.getElementById('latency').value").endswith(" ms")
    assert tab.run("fetch('/v1/subtitles', {method: 'POST'}).then(r => r.status)") == 401  # without the key
    looks_well(tab, tmp_path)
    assert faults(tab) == []
    problems = chromium.events("Runtime.exceptionThrown") + chromium.events("Log.entryAdded")
    assert [p for p in problems if "401" not in json.dumps(p)] == []
    assert {url for url in requests(chromium) if not url.startswith(guarded.url)} == set()
    if not heard_whole(sent):
        pytest.skip("the machine was too busy: Chromium dropped audio of its fake microphone")
    assert text == command("transcribe", SPEECH).strip()


@pytest.mark.soak
def test_two_tabs_listen_at_once(chromium, guarded):
    """Each with a slot, a text and a key of its own; a third one is told that there is no slot."""
    tabs = []
    for _ in range(3):
        tab = chromium.tab(f"{guarded.url}/")
        tab.wait(f"{STATUS} == 'This server asks for a key.'")
        tab.call("Input.insertText", text=KEY)
        tab.press("Enter")
        tab.wait(f"{STATUS} == 'Ready: tiny.'")
        tabs.append(tab)
    *listening, third = tabs
    for tab in listening:
        tab.run("document.getElementById('start').click()")
        tab.wait(f"{STATUS} == 'Listening.'")
    third.run("document.getElementById('start').click()")
    third.wait(f"/slot|busy|taken/i.test({STATUS})")
    for tab in listening:
        while sum(map(len, audio_sent(chromium, tab))) < LENGTH_S * 16_000:
            tab.wait("new Promise(done => setTimeout(done, 250, true))")
    for tab in listening:
        tab.run("document.getElementById('start').click()")
        tab.wait(f"{STATUS} == 'Ready: tiny.'")
        sent = np.concatenate(list(audio_sent(chromium, tab)))
        assert tab.run(TEXT) == command("transcribe", "-", "--raw", stdin=sent.tobytes()).strip()
    third.run("document.getElementById('start').click()")
    third.wait(f"{STATUS} == 'Listening.'")


def focus(tab, name):
    """Go there by the Tab key."""
    for _ in range(20):
        if tab.run(f"document.activeElement.id == '{name}'"):
            return
        tab.press("Tab")
    raise AssertionError(f"Tab does not lead to {name}")


def seconds(chromium):
    """Audio that the page has sent."""
    return sum(map(len, audio_sent(chromium))) / 16_000


def audio_sent(chromium, tab=None):
    for frame in chromium.events("Network.webSocketFrameSent", tab):
        message = json.loads(frame["response"]["payloadData"])
        if message["type"] == "input_audio_buffer.append":
            yield np.frombuffer(base64.b64decode(message["audio"]), "<i2")


def requests(chromium):
    return {event["request"]["url"] for event in chromium.events("Network.requestWillBeSent")}


def faults(tab):
    """What axe-core finds that is serious or critical."""
    tab.run(f"{AXE.read_text()};0")
    found = "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.html)]))"
    return [fault for fault in tab.run(found) if fault[0] in ("serious", "critical")]


def looks_well(tab, folder):
    """Nothing is cut off at the right, and dark is dark."""
    import matplotlib.image

    for width in (1280, 390):
        assert tab.look(folder / f"{width}.png", width) <= width
    pixels = matplotlib.image.imread(folder / "390.png")[..., :3]
    assert (pixels[:, -8:] > 0.9).all(), "content at the very edge"
    tab.look(folder / "dark.png", 1280, dark=True)
    assert matplotlib.image.imread(folder / "dark.png")[..., :3].mean() < 0.3
    assert faults(tab) == []


def heard_whole(sent):
    """Whether the recording is in what was sent, but for its first moments, without a gap."""
    speech = pcm(SPEECH).astype(float)
    size = 2 << (len(sent) + len(speech)).bit_length()
    match = np.fft.irfft(np.fft.rfft(sent, size) * np.fft.rfft(speech, size).conj())
    lag = int(match.argmax())
    lag -= size if lag > size // 2 else 0
    start, heard = max(0, -lag), sent[max(0, lag) :].astype(float)
    part = speech[start : start + len(heard)]
    return len(part) > 0.95 * len(speech) and np.corrcoef(part, heard[: len(part)])[0, 1] > 0.9
