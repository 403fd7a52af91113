"""Half an hour of live audio: memory and the time of a step stay what they were after three minutes."""

import os
import statistics
import subprocess
import time

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels.audio.load import load_audio

TOKEN = 1280
MINUTE = 750  # tokens
PERCENT = 1.02


def process_bytes():
    """Resident memory of this process."""
    listing = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
    return int(listing.stdout) * 1024


def run(model, samples, minutes, watched):
    """CPU seconds of each 80 ms step, and memory after the watched minutes: active, peak in the minute, process."""
    stream, seconds, memory = model.stream(), [], {}
    looped = np.concatenate([samples, samples[:TOKEN]])
    for step in range(minutes * MINUTE):
        start = step * TOKEN % len(samples)
        if step % MINUTE == 0:
            mx.reset_peak_memory()
        before = time.process_time()
        stream.feed(looped[start : start + TOKEN])
        seconds.append(time.process_time() - before)
        minute = (step + 1) / MINUTE
        if minute in watched:
            memory[minute] = (mx.get_active_memory(), mx.get_peak_memory(), process_bytes())
    stream.finish()
    assert len(stream.tokens) == minutes * MINUTE + 11
    return seconds, memory


@pytest.mark.soak
def test_half_an_hour(random_model, examples, record_property):
    samples = load_audio(examples / "one-minute.wav")
    samples = samples[: len(samples) // TOKEN * TOKEN]
    seconds, memory = run(random_model, samples, 30, (3, 30))
    third, last = (statistics.median(seconds[m * MINUTE : (m + 1) * MINUTE]) for m in (2, 29))
    record_property("cpu_ms_minute_3", 1e3 * third)
    record_property("cpu_ms_minute_30", 1e3 * last)
    names = ("MLX active", "MLX peak", "process")
    for name, then, now in zip(names, memory[3], memory[30], strict=True):
        record_property(name, (then, now))
        print(f"{name}: {then / 1e6:.2f} MB after 3 minutes, {now / 1e6:.2f} MB after 30")
    print(f"CPU a step: {1e3 * third:.3f} ms in minute 3, {1e3 * last:.3f} ms in minute 30, ratio {last / third:.3f}")
    assert all(now <= PERCENT * then for then, now in zip(memory[3], memory[30], strict=True))
    assert last <= 1.1 * third


def test_memory_is_flat_once_the_windows_are_full(tiny, examples):
    """The same in short: the tiny model's windows are full after 5 s."""
    samples = load_audio(examples / "one-minute.wav")
    stream, active = tiny.stream(), []
    for start in range(0, 30 * 16000, TOKEN):
        stream.feed(samples[start : start + TOKEN])
        active.append(mx.get_active_memory())
    assert max(active[-100:]) <= PERCENT * max(active[100:200])
