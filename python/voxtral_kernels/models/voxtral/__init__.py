"""Voxtral offline: transcription of whole recordings, and questions about them."""

from __future__ import annotations

from .conv_stem import ConvStem
from .encoder import Encoder
from .model import Voxtral
from .projector import Projector

__all__ = ["ConvStem", "Encoder", "Projector", "Voxtral"]
