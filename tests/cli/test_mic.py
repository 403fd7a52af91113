"""``voxtral-kernels mic`` with a sound card made of a recording."""

import builtins
import os
import signal
import sys
import threading
import types

import numpy as np
import pytest
import soundfile

from voxtral_kernels.cli import mic


class PortAudioError(Exception):
    pass


class Card:
    """The part of sounddevice that the command uses; plays a recording into the callback, block by block."""

    def __init__(self, samples, at_end=None, overflow_at=None, at_once=False):
        self.samples, self.at_end, self.overflow_at, self.at_once = samples, at_end, overflow_at, at_once
        self.asked = None

    def module(self):
        module = types.ModuleType("sounddevice")
        module.InputStream = self.open
        module.PortAudioError = PortAudioError
        module.query_devices = lambda: "0 A card, 1 in"
        return module

    def open(self, **settings):
        if settings["device"] == "deaf":
            raise PortAudioError("Invalid sample rate")
        self.asked = settings
        return self

    def __enter__(self):
        if self.at_once:
            self.play()
        else:
            threading.Thread(target=self.play, daemon=True).start()
        return self

    def __exit__(self, *error):
        pass

    def play(self):
        size = self.asked["blocksize"]
        for i in range(0, len(self.samples) - size + 1, size):
            status = types.SimpleNamespace(input_overflow=i == self.overflow_at)
            self.asked["callback"](self.samples[i : i + size, None], size, None, status)
        if self.at_end:
            self.at_end()


@pytest.fixture
def card(monkeypatch, examples):
    samples = soundfile.read(examples / "human-card-5.wav", dtype="float32")[0]

    def plug(**options):
        card = Card(np.concatenate([samples, np.zeros(1280, np.float32)]), **options)
        monkeypatch.setitem(sys.modules, "sounddevice", card.module())
        return card

    return plug


def test_so_many_seconds(run, card):
    sound = card()
    status, out, err = run("mic", "--model", "tiny", "--seconds", "3.44", "--device", "3")
    assert (status, out) == (0, "eight of spades four of clubs seven of hearts\n")
    assert err == "Listening; Ctrl-C ends.\n"
    assert (sound.asked["samplerate"], sound.asked["channels"], sound.asked["device"]) == (16_000, 1, 3)


def test_seconds_cut_inside_a_block(run, card):
    card()
    assert run("mic", "--model", "tiny", "--seconds", "1.3")[:2] == (0, "eight of spades\n")


def test_ctrl_c_keeps_the_last_word(run, card):
    """The interrupt comes while blocks still wait; they are heard, and the words in the delay come out."""
    card(at_end=lambda: os.kill(os.getpid(), signal.SIGINT))
    handler = signal.getsignal(signal.SIGINT)
    status, out, _ = run("mic", "--model", "tiny")
    assert (status, out) == (130, "eight of spades four of clubs seven of hearts\n")
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.fault("live pipes: mic --seconds inf ended in a traceback")
def test_seconds_without_end(run, card):
    card(at_end=lambda: os.kill(os.getpid(), signal.SIGINT))
    status, out, err = run("mic", "--model", "tiny", "--seconds", "inf")
    assert (status, out) == (130, "eight of spades four of clubs seven of hearts\n")
    assert err == "Listening; Ctrl-C ends.\n"


@pytest.mark.fault("live pipes: a microphone that stopped delivering was waited for in silence")
def test_a_microphone_that_stops_delivering(run, card, monkeypatch):
    """It is said within 3 s, here in a quicker time; when it is given up the words until then are there."""
    assert mic.SILENT_S + mic.WAIT_S < 3
    for name, value in (("SILENT_S", 0.2), ("DEAD_S", 0.6), ("WAIT_S", 0.02)):
        monkeypatch.setattr(mic, name, value)
    card(at_once=True)
    status, out, err = run("mic", "--model", "tiny")
    assert (status, out) == (2, "eight of spades four of clubs seven of hearts\n")
    said, error = err.splitlines()[1:]
    assert said == "[the microphone has delivered nothing for 0.2 s; waiting for it]"
    assert "a microphone that goes on delivering audio, got none for 0.6 s after 3.5 s." in error


def test_lost_audio_is_said(run, card):
    card(overflow_at=1280)
    assert "[some audio was lost]\n" in run("mic", "--model", "tiny", "--seconds", "1")[2]


def test_list(run, card):
    card()
    assert run("mic", "--list") == (0, "0 A card, 1 in\n", "")


def test_bad_options(fails, card):
    card()
    assert "[mic] --seconds: expected a number > 0, got 0.0." in fails("mic", "--seconds", "0")
    assert "delay_ms" in fails("mic", "--delay-ms", "100")


def test_a_device_that_does_not_record(run, card):
    card()
    status, out, err = run("mic", "--model", "tiny", "--device", "deaf")
    assert (status, out) == (2, "")
    assert "[mic] --device: expected a device that records 16 kHz mono, got deaf (Invalid sample rate)." in err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImportError("No module named 'sounddevice'"), "pip install 'voxtral-kernels[mic]'"),
        (OSError("PortAudio library not found"), "the PortAudio library"),
    ],
)
def test_without_the_optional_package(fails, monkeypatch, error, message):
    real = builtins.__import__

    def importing(name, *arguments, **keywords):
        if name == "sounddevice":
            raise error
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", importing)
    assert message in fails("mic", "--model", "tiny")
