"""Full-text search over recordings: which one says it, and when.

    python examples/gallery/search_speech.py clubs examples/human-card-*.wav

Words come with their times, so that a hit leads to the second. The index is SQLite's own, in memory here; a file
in place of ":memory:" keeps it.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path

import voxtral_kernels as vk


def index(model: vk.VoxtralRealtime | vk.Voxtral, recordings: list[Path]) -> sqlite3.Connection:
    """A row for each word: its recording, its start in seconds, the word."""
    table = sqlite3.connect(":memory:")
    table.execute("create virtual table words using fts5(recording unindexed, start_s unindexed, word)")
    for recording in recordings:
        rows = [(recording.name, word.start_s, word.text) for word in model.transcribe(recording).words]
        table.executemany("insert into words values (?, ?, ?)", rows)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word")
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--model", default="tiny", help="folder or hub id; tiny (80 words) by default")
    given = parser.parse_args()
    try:
        table = index(vk.load(given.model), given.recordings)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    # Quoted: what is asked for is a word, not an expression of FTS5.
    quoted = '"' + given.word.replace('"', '""') + '"'
    hits = table.execute("select recording, start_s, word from words where words match ? order by 1, 2", [quoted])
    for recording, start_s, word in hits:
        print(f"{recording}  {start_s:5.2f} s  {word}")


if __name__ == "__main__":
    main()
