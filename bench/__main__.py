"""``python -m bench [SUITE] [OPTIONS]``: each suite is a module of this package with ``main(argv) -> int``."""

from __future__ import annotations

import importlib
import sys

# Name on the command line -> module, and the line that the help prints.
SUITES = {
    "all": ("suites.all", "op and end-to-end tables, JSON and HTML"),
    "append": ("suites.append", "bytes and time of one appended token, in place and by a stock slice update"),
    "audio": ("suites.audio", "hours of audio decoded in a second, and the memory that it takes"),
    "bulk": (
        "suites.bulk",
        "recordings a second of bulk work by several workers and by one; exit 1 when less than asked",
    ),
    "exact": ("suites.exact", "what `exact` and `chunk_ms` cost: time and tokens of a recording"),
    "cache-bits": ("suites.cache_bits", "what 8 bits of keys and values change: tokens, words, logits"),
    "compare": ("gate.compare", "two commits against each other: counters hard, times by interval"),
    "counters": ("suites.counters", "traffic of the shaders, counted on the emulator; exit 1 when worse"),
    "cpu": ("suites.cpu", "native extension against stock MLX and PyTorch"),
    "drafts": ("suites.drafts", "passes and time that drafts save; exit 1 when less than asked"),
    "drop-in": ("suites.drop_in", "other packages' models before and after acceleration"),
    "emulator": ("suites.emulator", "speed of the emulator itself"),
    "host": ("suites.host", "milliseconds to build a step, ours and other packages'; exit 1 when more than the limits"),
    "launches": ("suites.launches", "launches of a layer in a streaming step; exit 1 when more than the gate"),
    "many": ("suites.many", "tokens a second of 1 to 16 streams that share the weights; exit 1 when less than asked"),
    "metal-files": (
        "suites.metal_files",
        "Metal files of any folder that compile on the emulator; exit 1 when one does not",
    ),
    "metal-sources": ("suites.metal_sources", "every Metal text that the case lists make MLX compile; --compile does"),
    "realtime": ("suites.realtime", "the tiny model end to end: native, composed, transformers"),
    "report": (
        "suites.report",
        "this machine for an issue: self-test, step, ops, a stream; one JSON, one HTML",
    ),
    "record": ("suites.record", "add this machine's row to the README's results table"),
    "scale": ("suites.scale", "an archive over N machines with slow and failing ones, simulated from measured files"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the suite named first; without a name, the op and end-to-end tables."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] in (["-h"], ["--help"]):
        print("usage: python -m bench [SUITE] [OPTIONS]; SUITE --help lists the options of one\n")
        print("\n".join(f"  {suite:14}{line}" for suite, (_, line) in SUITES.items()))
        return 0
    name = "all" if not arguments or arguments[0].startswith("-") else arguments.pop(0)
    if name not in SUITES:
        print(f"bench: expected one of {', '.join(SUITES)}, got {name!r}.", file=sys.stderr)
        return 2
    return importlib.import_module(f".{SUITES[name][0]}", __package__).main(arguments)


if __name__ == "__main__":
    sys.exit(main())
