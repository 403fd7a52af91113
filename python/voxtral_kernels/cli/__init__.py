"""The command ``voxtral-kernels``: ``app`` gathers the commands, each has a file of its own."""

from .app import main

__all__ = ["main"]
