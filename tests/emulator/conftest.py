"""The runtime is built on Linux, on a Mac when asked for; the tokenizer and the dialect check are tested everywhere."""

import importlib.util
import sys

EVERYWHERE = {"test_tokens.py", "test_dialect.py"}
HAS_RUNTIME = sys.platform.startswith("linux") or importlib.util.find_spec("voxtral_kernels._emulator") is not None


def pytest_ignore_collect(collection_path):
    if HAS_RUNTIME or not collection_path.name.startswith("test_"):
        return None
    return collection_path.name not in EVERYWHERE
