"""Every shell and every Python block of the documents runs, on stand-ins for the recordings and models that they name.

A block that needs a Mac, a download or minutes says so in a comment before it, ``<!-- not run: REASON -->``, and is
skipped with that reason; one whose error the document shows is marked ``<!-- raises -->``. Blocks of one document run
in order and share their names, as a reader types them. Where ``<!-- output -->`` and a block follow a shell block, that
is what it prints.
"""

import ast
import asyncio
import inspect
import re
import runpy
import shlex
import shutil
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.cli import app
from voxtral_kernels.models import hub

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *(ROOT / "docs").glob("*.md"),
]
BLOCK = re.compile(
    r"(?:<!-- *([^>]*?) *-->\n)?^```(sh|bash|shell|python)\n(.*?)^```(?:\n+<!-- output -->\n```\n(.*?)^```)?",
    re.MULTILINE | re.DOTALL,
)
# Indented blocks are synopses and drawings: a command that is meant to be run stands in a fence.
INDENTED_COMMAND = re.compile(r"\n\n {4}(?:make|python|pip|uv|pytest|git) ")
RECORDINGS = ("speech.wav", "speech.m4a", "meeting.mp3", "talk.mp3", "day.mp3", "video.mp4")
# Compiles Metal, or lets a model of random weights talk to its limit: seconds each, so in the soak.
SLOW = re.compile("metal_kernel|Voxtral-Mini-3B|voxtral-kernels ask|transcribe_pieces")


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    mark: str
    line: int
    output: str | None

    @property
    def reason(self):
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run: ") else ""


def blocks(document):
    text = document.read_text()
    return [Block(m[2], m[3], m[1] or "", text.count("\n", 0, m.start(3)) + 1, m[4]) for m in BLOCK.finditer(text)]


def with_blocks():
    for document in sorted(DOCUMENTS):
        if any(not block.reason for block in blocks(document)):
            name = str(document.relative_to(ROOT))
            if not all(block.reason or SLOW.search(block.text) for block in blocks(document)):
                yield pytest.param(document, False, id=name)
            if any(SLOW.search(block.text) for block in blocks(document) if not block.reason):
                yield pytest.param(document, True, id=f"{name}, whole", marks=pytest.mark.soak)


@pytest.fixture
def desk(tmp_path, monkeypatch, request):
    """A reader's folder: recordings by every name that documents use; small models in place of the published ones."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for name in RECORDINGS:
        shutil.copy(ROOT / "examples" / "human-card-1.wav", tmp_path / name)
    find = hub.find

    def here(source, revision=None):
        if "/Voxtral-Mini-4B-Realtime" in str(source):
            return find("tiny")
        return request.getfixturevalue("offline") if "/Voxtral-Mini-3B" in str(source) else find(source, revision)

    monkeypatch.setattr(hub, "find", here)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Microphone:
    """Half a second of a recording, in pieces, for ``for`` and for ``async for``."""

    def __init__(self):
        self.pieces = iter(np.array_split(vk.load_audio(ROOT / "examples" / "human-card-1.wav")[:8000], 3))

    def __iter__(self):
        return self.pieces

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece


@pytest.fixture(scope="module")
def tiny():
    return vk.load("tiny")


def names(document, tiny):
    """What a document takes for granted."""
    found = {"vk": vk, "mx": mx, "np": np, "asyncio": asyncio, "microphone": Microphone, "spoken_s": None}
    found |= {"model": tiny, "samples": np.zeros(1280, np.float32)}
    if document.name == "README.md":
        found |= {n: mx.zeros((1, 2, 4, 16)) for n in "qkv"} | {n: mx.zeros((1, 4, 32)) for n in "xr"}
        found |= {"weight": mx.zeros((32, 3, 32)), "bias": mx.zeros(32), "state": None}
        found |= {"gain": mx.ones(32), "scale": mx.zeros((1, 32))}
    return found


def run_python(block, document, space):
    code = compile("\n" * (block.line - 1) + block.text, str(document), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = types.FunctionType(code, space)()
    if inspect.iscoroutine(result):
        asyncio.run(result)


def run_shell(block, document, monkeypatch):
    for line in block.text.splitlines():
        command = shlex.split(line, comments=True)
        if command[:1] == ["python"]:
            monkeypatch.setattr(sys, "argv", command[1:])
            runpy.run_path(command[1], run_name="__main__")
        elif command:
            assert command[0] == "voxtral-kernels", (
                f"{document.name}:{block.line}: `{line}` is not run by this test; mark it"
            )
            assert app.run(command[1:]) == 0, line


@pytest.mark.parametrize(("document", "whole"), list(with_blocks()))
def test_its_blocks_run(document, whole, desk, tiny, monkeypatch, capsys):
    space = names(document, tiny)
    for block in blocks(document):
        space["stream"] = tiny.stream()
        if block.reason:
            print(f"{document.name}:{block.line}: not run: {block.reason}")
        elif SLOW.search(block.text) and not whole:
            print(f"{document.name}:{block.line}: left to the soak")
        elif block.mark == "raises":
            with pytest.raises(Exception, match=r"\S") as raised:
                run_python(block, document, space)
            assert str(raised.value).splitlines()[0] in document.read_text()
        elif block.language == "python":
            run_python(block, document, space)
        else:
            capsys.readouterr()
            run_shell(block, document, monkeypatch)
            assert block.output is None or capsys.readouterr().out == block.output


@pytest.mark.parametrize(
    ("document", "block"),
    [pytest.param(d, b, id=f"{d.name}-{b.line}") for d in sorted(DOCUMENTS) for b in blocks(d) if b.reason],
)
def test_a_block_that_is_not_run_says_why(document, block):
    assert len(block.reason.split()) > 2
    pytest.skip(f"{document.name}:{block.line}: {block.reason}")


def test_the_gallery_shows_every_program_and_what_it_prints():
    shown = blocks(ROOT / "docs" / "gallery.md")
    assert all(block.output for block in shown)
    programs = {shlex.split(block.text)[1] for block in shown}
    assert {str(p.relative_to(ROOT)) for p in (ROOT / "examples" / "gallery").glob("*.py")} <= programs


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_commands_stand_in_fences(document):
    assert not INDENTED_COMMAND.findall(document.read_text())
