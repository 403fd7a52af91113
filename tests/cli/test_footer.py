"""A progress bar below text that grows on the same terminal: what the screen shows, meanwhile and at the end."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios

import pytest
import soundfile

from voxtral_kernels.cli.footer import column

COLUMNS, LINES = 60, 4


class Screen:
    """A terminal of a few lines, as far as the commands go that the bar needs."""

    def __init__(self):
        self.lines, self.scrolled = [""] * LINES, []
        self.row = self.at = 0

    def write(self, text):
        for part in re.findall(r"\x1b\[\d*[A-Z]|.", text, re.DOTALL):
            if part.startswith("\x1b"):
                self.command(part[-1], part[2:-1])
            elif part == "\r":
                self.at = 0
            elif part == "\n":
                self.down()
            else:
                if self.at == COLUMNS:
                    self.at = 0
                    self.down()
                line = self.lines[self.row].ljust(self.at)
                self.lines[self.row] = line[: self.at] + part + line[self.at + 1 :]
                self.at += 1

    def command(self, letter, number):
        here = min(self.at, COLUMNS - 1)
        if letter == "A":
            self.row = max(0, self.row - int(number or 1))
        elif letter == "G":
            self.at = int(number or 1) - 1
        elif letter in "KJ":  # behind a full line the cursor is on its last character
            self.lines[self.row] = self.lines[self.row][:here]
            if letter == "J":
                self.lines[self.row + 1 :] = [""] * (LINES - self.row - 1)
        else:
            raise AssertionError(f"the screen knows no {letter}")

    def down(self):
        self.row += 1
        if self.row == LINES:
            self.scrolled.append(self.lines.pop(0))
            self.lines.append("")
            self.row -= 1

    @property
    def text(self):
        return "\n".join([*self.scrolled, *self.lines])


@pytest.mark.fault("live pipes: no progress where the text appears on the same terminal")
def test_a_bar_below_the_text(examples, tmp_path):
    samples, rate = soundfile.read(examples / "one-minute.wav", dtype="int16", stop=40 * 16_000)
    soundfile.write(tmp_path / "long.wav", samples, rate)
    master, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "voxtral_kernels", "transcribe", tmp_path / "long.wav", "-m", "tiny"]
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment)
    os.close(end)
    screen, seen, rest = Screen(), [], b""
    while select.select([master], [], [], 60)[0]:
        try:
            rest += os.read(master, 64)  # no bar comes and goes within one reading
        except OSError:  # the process has ended
            break
        text = rest.decode(errors="ignore")
        whole = text[: text.rfind("\x1b")] if re.search(r"\x1b[^A-Z]*$", text) else text
        screen.write(whole)
        rest = rest[len(whole.encode()) :]
        seen.append(screen.text)
    os.close(master)
    assert process.wait() == 0
    shown = subprocess.run(command, capture_output=True, check=True).stdout.decode().strip()
    assert len(shown) > 2 * COLUMNS
    wrapped = [shown[i : i + COLUMNS].rstrip() for i in range(0, len(shown), COLUMNS)]
    assert [line.rstrip() for line in screen.text.rstrip().split("\n")] == wrapped, "the text, and nothing else stays"
    bars = [re.findall(r"━*─* \d:\d\d / 0:40", text) for text in seen]
    assert max(map(len, bars)) == 1
    assert len({bar[0] for bar in bars if bar}) > 5
    at = [text.rstrip().split("\n") for text, bar in zip(seen, bars, strict=True) if bar]
    assert all("/ 0:40" in lines[-1] for lines in at), "it is the last line"


WHERE = {"": 0, "abc": 3, "a" * 10: 0, "a" * 12: 2, "a" * 9 + "好": 2, "好" * 5: 0, "ab\nc": 1}


@pytest.mark.parametrize(("text", "at"), WHERE.items())
def test_where_the_cursor_is(text, at):
    assert column(text, 10) == at
