"""Writes docs/recording.svg, a terminal that plays what these commands print: ``python tools/recording.py``.

The text is what the commands print now, at the moments when they print it; pauses are cut to a second.
"""

from __future__ import annotations

import html
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "voxtral-kernels transcribe examples/human-card-5.wav --model tiny",
    "voxtral-kernels emulate examples/emulate/softmax.metal",
)
COLUMNS, WIDTH, LINE, LEFT = 96, 840, 20, 18
TYPED_S, PAUSE_S = 0.03, 1.0
STYLE = """
svg{background:#0d1117;border-radius:8px}
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#e6edf3;white-space:pre}
.p{fill:#7ee787}.e{fill:#9198a1}@keyframes shown{to{opacity:1}}.t{opacity:0;animation:shown 1ms forwards}
@media(prefers-reduced-motion:reduce){.t{opacity:1;animation:none}}
"""


def printed(command: str) -> list[tuple[float, str, bool]]:
    """What a command prints, line by line: seconds since the line before, text, whether on standard error."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": str(COLUMNS)}
    started = time.perf_counter()
    done = subprocess.Popen(
        command.split(),
        cwd=ROOT,
        env=environment,
        text=True,
        bufsize=1,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    found = []
    assert done.stdout is not None
    for line in done.stdout:
        now = time.perf_counter()
        found.append((min(PAUSE_S, now - started), line.rstrip("\n"), line.startswith("voxtral-kernels:")))
        started = now
    if done.wait() not in (0, 1):  # 1: findings
        raise SystemExit(f"{command}: status {done.returncode}")
    return found


def svg(commands: tuple[str, ...] = COMMANDS) -> str:
    """The recording of the commands, one after the other."""
    lines: list[str] = []
    clock = 0.5

    def put(text: str, kind: str) -> None:
        y = 30 + LINE * len(lines)
        words = html.escape(text)
        lines.append(f'<text class="t {kind}" style="animation-delay:{clock:.2f}s" x="{LEFT}" y="{y}">{words}</text>')

    for command in commands:
        put(f"$ {command}", "p")
        clock += TYPED_S * len(command)
        for pause, text, aside in printed(command):
            clock += pause
            for part in textwrap.wrap(text, COLUMNS, subsequent_indent="    ", drop_whitespace=False) or [""]:
                put(part, "e" if aside else "")
        clock += PAUSE_S
    height = 36 + LINE * len(lines)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    title = "<title>A recording is transcribed; the emulator finds a race in a Metal kernel</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "recording.svg").write_text(svg())
