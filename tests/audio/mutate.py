"""Mutates recordings and reads them, in a process of its own: what a decoder's crash takes along is only this.

    python tests/audio/mutate.py KIND FIRST COUNT FOLDER
    python tests/audio/mutate.py FILE...

Prints the case before it is read, so that the last line names the one that ended the process.
"""

from __future__ import annotations

import io
import re
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile

from voxtral_kernels.audio.load import blocks

ROOT = Path(__file__).resolve().parents[2]
ENCODED = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
ORIGINALS = (*ENCODED, "m4a")
REPEATED = 30
LIMIT_S = 2.0
# No sample rate turns a second of sound into more.
MOST_S = 120
# One line of ours: no control character, nothing of another program.
OURS = re.compile(r"^\[load_audio\] audio: expected [^\x00-\x1f\x7f-\x9f]+, got [^\x00-\x1f\x7f-\x9f]+\.$")


def original(kind: str) -> bytes:
    """A second of speech, encoded."""
    if kind == "m4a":
        return (ROOT / "tests" / "audio" / "files" / "voice.m4a").read_bytes()
    samples, rate = soundfile.read(ROOT / "examples" / "human-card-1.wav", dtype="float32")
    file = io.BytesIO()
    form, subtype = ENCODED[kind]
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def mutated(data: bytes, seed: int) -> bytes:
    """One to four changes, half of them where headers are."""
    random = np.random.default_rng(seed)
    out = bytearray(data)
    for _ in range(random.integers(1, 5)):
        if not out:
            break
        end = min(len(out), 256) if random.random() < 0.5 else len(out)
        at, n = int(random.integers(end)), int(random.integers(1, 64))
        change = random.integers(9)
        if change == 0:
            out[at] = random.integers(256)
        elif change == 1:
            out[at] ^= 1 << random.integers(8)
        elif change == 2:  # a size, a count, a rate
            value = random.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, int(random.integers(1 << 32))])
            out[at : at + 4] = int(value).to_bytes(4, "big" if random.random() < 0.5 else "little")
        elif change == 3:
            del out[at:]
        elif change == 4:
            del out[at : at + n]
        elif change == 5:
            out[at:at] = random.bytes(n)
        elif change == 6:
            out[at : at + n] = bytes(n)
        elif change == 7:
            out[at:at] = out[at : at + 16 * n]
        else:  # what a terminal would obey
            out[at : at + 12] = b"\x1b]0;x\x07\x1b[2J\x00"
    return with_checksums(out) if out[:4] == b"OggS" and seed % 2 else bytes(out)


def with_checksums(ogg: bytearray) -> bytes:
    """Right checksums in the pages again: without them the decoder sees nothing of the changes."""
    starts = [found.start() for found in re.finditer(b"OggS", ogg)]
    for start, end in zip(starts, [*starts[1:], len(ogg)], strict=True):
        ogg[start + 22 : start + 26] = bytes(4)
        total = 0
        for byte in ogg[start:end]:
            total = (total << 8 & 0xFFFFFFFF) ^ CRC[total >> 24 ^ byte]
        ogg[start + 22 : start + 26] = total.to_bytes(4, "little")
    return bytes(ogg)


def _crc(value: int) -> int:
    for _ in range(8):
        value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


# Ogg's checksum of each first byte.
CRC = [_crc(byte << 24) for byte in range(256)]


def outcome(data: bytes) -> str:
    """What reading it comes to; raises AssertionError for what must not be."""
    refusal, count = "", 0
    try:
        with blocks(data) as audio:
            for block in audio:
                assert block.dtype == np.float32
                assert np.isfinite(block).all()
                count += len(block)
                assert count < MOST_S * 16_000, "endless"
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert OURS.match(refusal), repr(refusal)
        return "refused"
    assert count
    assert all(text.isprintable() for text in audio.warnings)
    assert audio.complete or len(audio.warnings) >= 1
    return "warned" if audio.warnings else "read"


def memory(what: str = "VmRSS") -> int:
    """Bytes of this process now, or at its most (``VmHWM``); 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def read(name: object, data: bytes) -> str:
    """What a case comes to, ``"wrong"`` among it; told."""
    print("case", name, flush=True)
    start = time.process_time()  # not the clock's: other processes run beside this one
    try:
        result = outcome(data)
        took = time.process_time() - start
        assert took < LIMIT_S, f"{took:.1f} s"
    except BaseException as error:
        print("wrong", name, type(error).__name__, error, flush=True)
        return "wrong"
    return result


def mutations(kind: str, first: int, count: int, folder: str) -> None:
    """Cases ``first`` to ``first + count - 1``; a wrong one is written to ``folder``.

    Some of them are read three times more: what leaks, leaks each time.
    """
    data, counts = original(kind), dict.fromkeys(("read", "warned", "refused", "wrong"), 0)
    for seed in range(first, first + count):
        case = mutated(data, seed)
        result = read(seed, case)
        counts[result] += 1
        if result == "wrong":
            Path(folder, f"{kind}-{seed}").write_bytes(case)
    levels = []
    for _ in range(3):
        for seed in range(first, first + REPEATED):
            read(seed, mutated(data, seed))
        levels.append(memory())
    print("growth", min(levels[2] - levels[1], levels[1] - levels[0]))
    print("peak", memory("VmHWM"))
    print("done", *counts.values(), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("error")
    if sys.argv[1] in ORIGINALS:
        mutations(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        print("done", *(read(path, Path(path).read_bytes()) for path in sys.argv[1:]))
