"""Half an hour of live audio: memory and the time of a step stay what they were after three minutes."""

import os
import statistics
import subprocess
import time

import mlx.core as mx
import pytest

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


@pytest.mark.soak
def test_half_an_hour(random_model, examples):
    samples = load_audio(examples / "one-minute.wav")
    samples = samples[: len(samples) // TOKEN * TOKEN]
    live = Live(random_model, samples)
    memory = [live.minute() for _ in range(30)]
    for name, then, now in zip(("MLX active", "MLX peak", "process"), memory[2], memory[29], strict=True):
        print(f"{name}: {then / 1e6:.2f} MB after 3 minutes, {now / 1e6:.2f} MB after 30")
        assert now <= PERCENT * then
    # A machine's speed changes in half an hour: a fresh stream's third minute is taken step by step beside the 31st.
    fresh = Live(random_model, samples)
    for _ in range(2):
        fresh.minute()
    late, early = zip(*((live.step(), fresh.step()) for _ in range(MINUTE)), strict=True)
    late, early = statistics.median(late), statistics.median(early)
    print(f"CPU a step: {1e3 * early:.3f} ms in minute 3, {1e3 * late:.3f} ms in minute 31, ratio {late / early:.3f}")
    assert late <= 1.1 * early
    live.stream.finish()
    assert len(live.stream.tokens) == 31 * MINUTE + 11


def test_memory_is_flat_once_the_windows_are_full(tiny, examples):
    """The same in short: the tiny model's windows are full after 5 s."""
    samples = load_audio(examples / "one-minute.wav")
    stream, active = tiny.stream(), []
    for start in range(0, 20 * 16000, TOKEN):
        stream.feed(samples[start : start + TOKEN])
        active.append(mx.get_active_memory())
    assert max(active[-80:]) <= PERCENT * max(active[90:170])
