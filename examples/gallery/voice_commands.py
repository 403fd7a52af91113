"""Spoken commands, acted upon while the speaker goes on: forward, backward, stop, with a number.

    python examples/gallery/voice_commands.py examples/human-go-forward.wav

A live stream only ever appends, so a command is carried out when its words are complete: nothing is taken back later.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import voxtral_kernels as vk

NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
BLOCK = 1280  # 80 ms at 16 kHz, as a microphone gives it


def commands(heard: Iterator[vk.Word]) -> Iterator[str]:
    """``move N``, ``back N`` or ``stop`` as soon as each is said in full."""
    direction = None
    for word in heard:
        if word.text in ("forward", "backward"):
            direction = "move" if word.text == "forward" else "back"
        elif word.text == "stop":
            yield f"{word.end_s:5.2f} s  stop"
        elif direction and word.text in NUMBERS:
            yield f"{word.end_s:5.2f} s  {direction} {NUMBERS[word.text]}"
            direction = None


def listen(stream: vk.Stream, path: str) -> Iterator[vk.Word]:
    """Each word of a recording that is fed in blocks, once it is complete: the newest may still grow."""
    samples, said = vk.load_audio(path), 0
    for i in range(0, len(samples), BLOCK):
        stream.feed(samples[i : i + BLOCK])
        complete = stream.words[said:-1]
        said += len(complete)
        yield from complete
    stream.finish()
    yield from stream.words[said:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio")
    parser.add_argument("--model", default="tiny", help="folder or hub id; tiny (80 words) by default")
    given = parser.parse_args()
    try:
        stream = vk.load(given.model).stream(delay_ms=480)
        for command in commands(listen(stream, given.audio)):
            print(command)
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
