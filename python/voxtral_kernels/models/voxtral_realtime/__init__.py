"""Voxtral Realtime: streaming transcription."""

from __future__ import annotations

from .model import VoxtralRealtime
from .stream import Stream, StreamEvent

__all__ = ["Stream", "StreamEvent", "VoxtralRealtime"]
