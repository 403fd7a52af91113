"""``python -m bench cache-bits``: what 8 bits of keys and values change, and for the record 4.

The tiny model over the 19 recordings: tokens, word errors, largest difference of a logit while the tokens before it
agree. Random models of the 4B model's heads and windows, narrow otherwise, past their windows: largest difference of a
hidden state behind the same inputs. 4 bits are rows of 15 steps in the form of 8, in stock ops. The keys of one
recording in 8 bits as they are held, and as they would be before their rotation.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.reference import ring, rope_append

from ..measure import random_model
from ..options import Parser
from ..paths import EXAMPLES

BITS = (16, 8, 4)
# Positions behind a full window that are compared.
PAST = 64


@contextlib.contextmanager
def cache_of(bits: int) -> Iterator[int]:
    """What to ask of a cache so that it holds rows in so many bits."""
    if bits != 4:
        yield bits
        return
    steps = ring.STEPS
    ring.STEPS = 7
    try:
        with vk.use_backend("composed"):
            yield 8
    finally:
        ring.STEPS = steps


def heard(model: Any, samples: np.ndarray, bits: int, offset: int = 0) -> tuple[str, list[int], list[np.ndarray]]:
    """Text, tokens and the logits of each step."""
    logits: list[np.ndarray] = []
    plain = type(model.decoder).logits

    def noted(hidden: mx.array) -> mx.array:
        out = plain(model.decoder, hidden)
        logits.append(np.array(out[0].astype(mx.float32)))
        return out

    model.decoder.logits = noted
    try:
        with cache_of(bits) as asked:
            stream = model.stream(cache_bits=asked, offset=offset, drafts=False)  # one row of logits a token
            stream.feed(samples)
            stream.finish()
    finally:
        del model.decoder.logits
    return stream.text, stream.tokens, logits


def recordings(dtype: str) -> Iterator[dict[str, Any]]:
    """One row for each number of bits."""
    references = json.loads((EXAMPLES / "references.json").read_text())
    model = vk.load("tiny", dtype=dtype)
    audio = {name: load_audio(EXAMPLES / name) for name in references}
    truth = {name: heard(model, samples, 16) for name, samples in audio.items()}
    for bits in BITS:
        row: dict[str, Any] = {"dtype": dtype, "bits": bits, "tokens": 0, "differ": 0, "errors": 0, "words": 0}
        row |= {"difference": 0.0, "largest": 0.0}
        for name, samples in audio.items():
            text, tokens, logits = truth[name] if bits == 16 else heard(model, samples, bits)
            expected, same = truth[name], agreed(tokens, truth[name][1])
            row["tokens"] += len(tokens)
            row["differ"] += sum(a != b for a, b in zip(tokens, expected[1], strict=True))
            for ours, theirs in list(zip(logits, expected[2], strict=True))[: same + 1]:
                row["difference"] = max(row["difference"], float(np.abs(ours[-1] - theirs[-1]).max()))
                row["largest"] = max(row["largest"], float(np.abs(theirs[-1]).max()))
            wrong, words = word_errors(text, references[name]["text"])
            row["errors"], row["words"] = row["errors"] + wrong, row["words"] + words
        yield row


def agreed(tokens: list[int], others: list[int]) -> int:
    """How many tokens are the same before the first that is not."""
    return next((i for i, (a, b) in enumerate(zip(tokens, others, strict=True)) if a != b), len(tokens))


def word_errors(text: str, reference: str) -> tuple[int, int]:
    """Errors, and words of the reference."""
    import jiwer

    found = jiwer.process_words(reference, text or " ")
    return found.substitutions + found.deletions + found.insertions, len(reference.split())


def narrow() -> Any:
    """Two layers each of the 4B model's heads and windows in bf16; the rest is small."""
    full = random_model.FULL
    encoder = dataclasses.replace(full.encoder, dim=512, n_layers=2, hidden_dim=512)
    decoder = dataclasses.replace(full.decoder, dim=512, n_layers=2, hidden_dim=512, vocab_size=1024)
    return random_model.random(dataclasses.replace(full, encoder=encoder, decoder=decoder))


def behind_full_windows() -> Iterator[dict[str, Any]]:
    """Encoder and decoder of a random model: 8 bits against 16."""
    model = narrow()
    for name, stack, chunk in (("encoder", model.encoder, 250), ("decoder", model.decoder, 512)):
        window, dim = stack.config.window, stack.config.dim
        x = mx.array(np.random.default_rng(0).normal(size=(1, window + PAST, dim)), mx.bfloat16)
        scales = [] if name == "encoder" else [model.decoder.scales(6, mx.bfloat16)]
        outs = {}
        for bits in (16, 8):
            caches = stack.new_caches(bits=bits)
            for start in range(0, window, chunk):
                mx.eval(run(stack, x[:, start : min(start + chunk, window)], scales, caches))
            steps = [run(stack, x[:, i : i + 1], scales, caches) for i in range(window, window + PAST)]
            outs[bits] = np.array(mx.concatenate(steps, axis=1).astype(mx.float32))
        off, root = np.abs(outs[8] - outs[16]), float(np.sqrt(np.mean(outs[16] ** 2)))
        yield {
            "stack": name,
            "largest_difference": float(off.max()) / root,
            "root_mean_square": float(np.sqrt(np.mean(off**2))) / root,
        }


def run(stack: Any, x: mx.array, scales: list[Any], caches: list[Any]) -> mx.array:
    """Hidden states of the positions."""
    y: mx.array = stack(x, *scales, caches) if scales else stack(x, caches)
    return y


def squares(x: mx.array) -> float:
    """The sum of the squares."""
    return float(np.array(mx.sum(x**2)))


def keys() -> Iterator[dict[str, Any]]:
    """What rounding to 8 bits costs the keys of a recording, held rotated and before rotation; the root mean square."""
    model = vk.load("tiny", dtype="float32")
    stream = model.stream()
    stream.feed(load_audio(EXAMPLES / "human-card-1.wav"))
    for name, caches, config in (
        ("encoder", stream._audio.caches, model.config.encoder),
        ("decoder", stream._decoding.caches, model.config.decoder),
    ):
        row: dict[str, Any] = {"keys": name}
        held = [(entries[0], c.offset) for c in caches if (entries := c.keys_values())]
        back = [turned_back(k, offset - k.shape[2], config.rope_theta) for k, offset in held]
        for form, rows in (("rotated", [k for k, _ in held]), ("before", back)):
            rounded = [ring.dequantised(*ring.quantised(k)) for k in rows]
            off = sum(squares(a - b) for a, b in zip(rounded, rows, strict=True))
            row[form] = float(np.sqrt(off / sum(map(squares, rows))))
        yield row


def turned_back(k: mx.array, first: int, theta: float) -> mx.array:
    """Rotated keys ``[B, Hkv, N, D]`` from position ``first`` on as they were before."""
    table = mx.array(rope_append.rotation(first, k.shape[2], k.shape[3], theta))
    cos, sin = table[..., 0], table[..., 1]
    a, b = k[..., 0::2], k[..., 1::2]
    return mx.stack([a * cos + b * sin, b * cos - a * sin], axis=-1).reshape(k.shape)


def main(argv: list[str]) -> int:
    """Print the tables."""
    parser = Parser(prog="bench cache-bits", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args(argv)
    rows: list[dict[str, Any]] = []
    print("19 recordings, tiny model")
    for dtype in ("float32", "bfloat16"):
        for row in recordings(dtype):
            rows.append(row)
            print(
                f"  {dtype:9} {row['bits']:2} bits: {row['differ']} of {row['tokens']} tokens differ, "
                f"{row['errors']} of {row['words']} words wrong, logits within {row['difference']:.3g} of at most "
                f"{row['largest']:.3g}",
                flush=True,
            )
    print(f"random bf16 models of the 4B model's heads and windows, {PAST} positions behind a full window, 8 bits")
    for row in behind_full_windows():
        rows.append(row)
        print(
            f"  {row['stack']}: largest difference {row['largest_difference']:.3g}, root mean square "
            f"{row['root_mean_square']:.3g} of the hidden states' root mean square",
            flush=True,
        )
    print("keys of a recording in 8 bits: root mean square of what rounding changes, as a share of the keys'")
    for row in keys():
        rows.append(row)
        print(f"  {row['keys']}: {row['rotated']:.5f} rotated, {row['before']:.5f} before rotation", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0
