"""Half an hour of live audio: memory and the time of a step stay what they were after three minutes."""

import os
import statistics
import subprocess
import time

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio

TOKEN = 1280
MINUTE = 750  # tokens
PERCENT = 1.02


def process_bytes():
    """Resident memory of this process."""
    listing = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
    return int(listing.stdout) * 1024


class Live:
    """A stream fed looped audio, 80 ms a step."""

    def __init__(self, model, samples):
        self.stream, self.samples, self.steps = model.stream(), samples, 0

    def step(self):
        """CPU seconds of one step."""
        start = self.steps * TOKEN % len(self.samples)
        self.steps += 1
        before = time.process_time()
        self.stream.feed(self.samples[start : start + TOKEN])
        return time.process_time() - before

    def minute(self):
        """Lives a minute; memory then: the most that was active after a step of it, its peak, the process."""
        mx.reset_peak_memory()
        active = []
        for _ in range(MINUTE):
            self.step()
            active.append(mx.get_active_memory())
        return max(active), mx.get_peak_memory(), process_bytes()


def half_an_hour(make, examples):
    """Half an hour of what ``make(samples)`` feeds; the last minute takes the memory and the time of the third."""
    samples = load_audio(examples / "one-minute.wav")
    samples = samples[: len(samples) // TOKEN * TOKEN]
    live = make(samples)
    memory = [live.minute() for _ in range(30)]
    for name, then, now in zip(("MLX active", "MLX peak", "process"), memory[2], memory[29], strict=True):
        print(f"{name}: {then / 1e6:.2f} MB after 3 minutes, {now / 1e6:.2f} MB after 30")
        assert now <= PERCENT * then
    # A machine's speed changes in half an hour: a fresh stream's third minute is taken step by step beside the 31st.
    fresh = make(samples)
    for _ in range(2):
        fresh.minute()
    late, early = zip(*((live.step(), fresh.step()) for _ in range(MINUTE)), strict=True)
    late, early = statistics.median(late), statistics.median(early)
    print(f"CPU a step: {1e3 * early:.3f} ms in minute 3, {1e3 * late:.3f} ms in minute 31, ratio {late / early:.3f}")
    assert late <= 1.1 * early
    return live


@pytest.mark.soak
def test_half_an_hour(random_model, examples):
    live = half_an_hour(lambda samples: Live(random_model, samples), examples)
    live.stream.finish()
    assert len(live.stream.tokens) == 31 * MINUTE + 11


class Together:
    """Four streams of a batch, each fed looped audio, 80 ms a step."""

    def __init__(self, model, samples):
        self.batch, self.samples, self.steps = vk.Batch(model, slots=4), samples, 0
        self.streams = [self.batch.stream(delay_ms) for delay_ms in (480, 240, 480, 960)]
        while self.batch.step():
            pass

    def step(self):
        """CPU seconds of one step."""
        before = time.process_time()
        for i, stream in enumerate(self.streams):
            start = (self.steps + 100 * i) * TOKEN % len(self.samples)
            stream.feed(self.samples[start : start + TOKEN])
        self.steps += 1
        assert self.batch.step() in (0, 4)
        return time.process_time() - before

    minute = Live.minute


@pytest.mark.soak
def test_half_an_hour_of_four_streams(tiny, examples):
    for stream in half_an_hour(lambda samples: Together(tiny, samples), examples).streams:
        stream.finish()
        assert stream.error is None
        assert len(stream.tokens) == 31 * MINUTE + 11


@pytest.mark.soak
def test_two_hundred_streams_come_and_go(tiny, examples):
    clip = load_audio(examples / "human-card-1.wav")
    active = []
    with vk.Batch(tiny, slots=8) as batch:
        for i in range(200):
            stream = batch.stream(80 * (1 + i % 12), block=False)
            stream.feed(clip[: 2000 + 1000 * (i % 7)])
            for _ in range(5):
                batch.step()
            if i % 3:
                stream.end()
            else:
                stream.close()
            while len(batch.streams) == 8:
                batch.step()
            active.append(mx.get_active_memory())
    print(f"MLX active: {max(active[20:60]) / 1e6:.2f} MB, then {max(active[160:]) / 1e6:.2f} MB")
    assert max(active[160:]) <= PERCENT * max(active[20:60])


def test_memory_is_flat_once_the_windows_are_full(tiny, examples):
    """The same in short: the tiny model's windows are full after 5 s."""
    samples = load_audio(examples / "one-minute.wav")
    stream, active = tiny.stream(), []
    for start in range(0, 20 * 16000, TOKEN):
        stream.feed(samples[start : start + TOKEN])
        active.append(mx.get_active_memory())
    assert max(active[-80:]) <= PERCENT * max(active[90:170])
