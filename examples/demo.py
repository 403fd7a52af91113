"""Streams the recordings beside this file through the tiny checkpoint and prints how well it went: ``make demo``.

python examples/demo.py [RECORDING...]
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from itertools import chain
from pathlib import Path

import jiwer
import mlx.core as mx

import voxtral_kernels as vk

HERE = Path(__file__).parent
# A live microphone gives 80 ms at a time; so does this demo, without waiting for them to be spoken.
FEED = 1280


def main() -> int:
    references = json.loads((HERE / "references.json").read_text())
    chosen = sys.argv[1:] or list(references)
    model = vk.load("tiny")
    spoken: dict[str, list[str]] = {}
    heard: dict[str, list[str]] = {}
    audio_s = busy_s = slowest_s = 0.0
    for name in chosen:
        reference = references[name]
        print(f"{name}\n  heard      ", end="", flush=True)
        samples = vk.load_audio(HERE / name)
        stream = model.stream(delay_ms=480)
        start = time.perf_counter()
        for i in range(0, len(samples), FEED):
            fed = time.perf_counter()
            show(stream.feed(samples[i : i + FEED]))
            slowest_s = max(slowest_s, time.perf_counter() - fed)
        show(stream.finish())
        busy_s += time.perf_counter() - start
        audio_s += stream.duration_s
        errors = word_errors([reference["text"]], [stream.text])
        print(f"\n  reference  {reference['text']}\n  {errors} word error{'' if errors == 1 else 's'}\n")
        spoken.setdefault(reference["kind"], []).append(reference["text"])
        heard.setdefault(reference["kind"], []).append(stream.text)
    report_errors(spoken, heard)
    print(
        f"\nreal-time factor {busy_s / audio_s:.3f}: {busy_s:.1f} s for {audio_s:.1f} s of audio, fed 80 ms at a time;"
    )
    print(f"the slowest 80 ms took {1000 * slowest_s:.1f} ms")
    report_backends(model)
    return 0


def show(events: list[vk.StreamEvent]) -> None:
    sys.stdout.write("".join(event.text for event in events))
    sys.stdout.flush()


def word_errors(spoken: list[str], heard: list[str]) -> int:
    words = jiwer.process_words(spoken, heard)
    return words.substitutions + words.deletions + words.insertions


def report_errors(spoken: dict[str, list[str]], heard: dict[str, list[str]]) -> None:
    groups = [(kind, spoken[kind], heard[kind]) for kind in spoken]
    groups.append(("all", [*chain(*spoken.values())], [*chain(*heard.values())]))
    print("word error rate")
    for kind, said, got in groups:
        n = sum(len(text.split()) for text in said)
        errors = word_errors(said, got)
        print(f"  {kind:<10}{100 * errors / n:5.1f} %   {errors} of {n} words in {len(said)} recordings")


def calls(model: vk.VoxtralRealtime) -> list[tuple[str, str, list[mx.array], dict[str, object]]]:
    """Each op as this model calls it for one token: name, case, arguments; nothing of it is evaluated."""
    e, d = model.config.encoder, model.config.decoder

    def zeros(*shape: int) -> mx.array:
        return mx.zeros(shape, model.dtype)

    x, mel, weight = zeros(1, 1, d.dim), zeros(1, model.config.mel_per_token, e.n_mels), zeros(e.dim, 3, e.n_mels)
    found: list[tuple[str, str, list[mx.array], dict[str, object]]] = [
        ("ada_rms_norm", "one token", [x, zeros(d.dim), zeros(d.dim)], {"residual": x}),
        ("causal_conv1d_gelu", "80 ms", [mel, weight, zeros(e.dim)], {}),
    ]
    for case, length, part in (("encoder, 80 ms", model.config.downsample, e), ("decoder, one token", 1, d)):
        q, kv = zeros(1, part.n_heads, length, part.head_dim), zeros(1, part.n_kv_heads, length, part.head_dim)
        found.append(("sliding_window_attention", case, [q, kv, kv], {"cache": vk.RingKVCache(window=part.window)}))
    return found


def report_backends(model: vk.VoxtralRealtime) -> None:
    print("\nbackend of each op, at this model's sizes")
    because: Counter[str] = Counter()
    for op, case, args, options in calls(model):
        backend, variant, reasons = vk.explain(op, *args, **options)
        print(f"  {f'{op} ({case})':<48}{backend} / {variant}")
        because.update(reasons)
    print("because")
    for reason in because:
        print(f"  {reason}")


if __name__ == "__main__":
    sys.exit(main())
