"""The hosts' own transcription loops over a recording: their code as it is, with a file for a microphone."""

from __future__ import annotations

import contextlib
import io
import logging
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxtral_kernels.audio.load import load_audio

from ..paths import TINY
from .importing import host
from .realtime import REALTIME, SAMPLE_RATE, SAMPLES_PER_TOKEN

Loop = Callable[[Any, Path], str]
# Samples that a microphone hands over at a time.
BLOCK = 4 * SAMPLES_PER_TOKEN


def voxmlx_file(model: Any, recording: Path) -> str:
    """voxmlx's ``transcribe``, from the loaded model on."""
    package, policy = host("voxmlx"), host("mistral_common.tokens.tokenizers.base").SpecialTokenPolicy.IGNORE
    tokenizer = package._load_tokenizer(TINY)
    prompt, delay = package._build_prompt_tokens(tokenizer)
    generate = host("voxmlx.generate").generate
    tokens = generate(model, str(recording), prompt, n_delay_tokens=delay, eos_token_id=tokenizer.eos_id)
    return tokenizer.decode(tokens, special_token_policy=policy).strip()


def voxmlx_microphone(model: Any, recording: Path) -> str:
    """voxmlx's ``stream_transcribe``: sound card, clock and loader are stood in for, the loop is its own."""
    module = host("voxmlx.stream")
    microphone = _Microphone(load_audio(recording))
    tokenizer = host("voxmlx")._load_tokenizer(TINY)
    clock = types.SimpleNamespace(monotonic=lambda: 0.0, sleep=microphone.sleep)
    card = types.SimpleNamespace(InputStream=microphone.open)
    out = io.StringIO()
    with (
        _names(module, sd=card, time=clock, load_model=lambda _: (model, tokenizer, {})),
        contextlib.redirect_stdout(out),
    ):
        module.stream_transcribe(str(TINY))
    return out.getvalue().partition("\n")[2].strip()


class _Microphone:
    """Hands over a block whenever the loop sleeps, and presses Ctrl+C at the end."""

    def __init__(self, samples: np.ndarray) -> None:
        self._blocks = iter(_blocks(samples))

    def open(self, *, callback: Callable[..., None], **_: Any) -> Any:
        self._callback = callback
        return types.SimpleNamespace(start=lambda: None, stop=lambda: None, close=lambda: None)

    def sleep(self, _: float) -> None:
        block = next(self._blocks, None)
        if block is None:
            raise KeyboardInterrupt
        self._callback(block[:, None], len(block), None, None)


def whisperlivekit_processor(asr: Any, recording: Path, processor: Any = None) -> str:
    """WhisperLiveKit's online processor, fed as its server feeds it.

    Args:
        asr: The holder of the model.
        recording: Audio file.
        processor: Already made on ``asr``; None makes one.
    """
    processor = processor or host("whisperlivekit.voxtral_mlx_asr").VoxtralMLXOnlineProcessor(asr)
    words, end = [], 0.0
    with _no_warnings("whisperlivekit.voxtral_mlx_asr"):
        for block in _blocks(load_audio(recording)):
            end += len(block) / SAMPLE_RATE
            processor.insert_audio_chunk(block, end)
            words += processor.process_iter()[0]
        words += processor.finish()[0]
    return " ".join("".join(word.text for word in words).split())


def mlx_audio_session(model: Any, recording: Path) -> str:
    """mlx-audio's streaming session, fed and stepped in turn."""
    session = model.create_streaming_session()
    parts: list[str] = []
    for block in _blocks(load_audio(recording)):
        session.feed(block)
        parts += session.step(max_decode_tokens=16)
    session.close()
    while not session.done:
        parts += session.step(max_decode_tokens=16)
    return "".join(parts).strip()


def mlx_audio_file(model: Any, recording: Path) -> str:
    """mlx-audio's ``generate`` over a whole recording."""
    return model.generate(load_audio(recording)).text


LOOPS: dict[str, dict[str, Loop]] = {
    "voxmlx": {"file": voxmlx_file, "microphone": voxmlx_microphone},
    "whisperlivekit": {"online processor": whisperlivekit_processor},
    "mlx-audio": {"file": mlx_audio_file, "session": mlx_audio_session},
}


def tiny(name: str) -> Any:
    """What a host's loops take, with the tiny checkpoint in it."""
    return next(h for h in REALTIME if h.name == name).loaded()


def _blocks(samples: np.ndarray) -> list[np.ndarray]:
    return [samples[i : i + BLOCK] for i in range(0, len(samples), BLOCK)]


@contextlib.contextmanager
def _names(module: Any, **stand_ins: Any) -> Iterator[None]:
    """Names of a module rebound for a block."""
    before = {name: getattr(module, name) for name in stand_ins}
    try:
        vars(module).update(stand_ins)
        yield
    finally:
        vars(module).update(before)


@contextlib.contextmanager
def _no_warnings(logger: str) -> Iterator[None]:
    """Raise what a host only logs: its loop swallows every exception."""

    def fail(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            raise RuntimeError(record.getMessage())
        return True

    log = logging.getLogger(logger)
    log.addFilter(fail)
    try:
        yield
    finally:
        log.removeFilter(fail)
