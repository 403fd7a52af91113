"""Finds a model's folder: the checkpoint in the package, a local folder, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from .. import _check
from .section import OP

TINY = "tiny"
DEFAULT_MODEL = "mistralai/Voxtral-Mini-4B-Realtime-2602"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Mistral's hub repositories hold the weights twice; the original layout is taken where it is there.
_CONFIGS = ("params.json", "config.json", "tekken.json", "*.index.json")
_ORIGINAL = "consolidated.safetensors"


def find(source: str | Path) -> Path:
    """The folder of a model; a hub id is downloaded first, with huggingface_hub's progress bar.

    Args:
        source: ``"tiny"``, a folder, or a hub id ``owner/name``.

    Raises:
        ValueError: there is no such folder, or the download failed.
    """
    expected = '"tiny", a folder that exists, or a hub id owner/name'
    if not isinstance(source, (str, Path)):
        raise _check.fail(OP, "model", expected, type(source).__name__)
    if source == TINY:
        return Path(__file__).parent.parent / "data" / "tiny"
    folder = Path(source).expanduser()
    if source and folder.is_dir():
        return folder
    if source and folder.exists():
        raise _check.fail(OP, "model", "a model's folder", f"the file {source}")
    if isinstance(source, str) and _HUB_ID.fullmatch(source):
        return _download(source)
    raise _check.fail(OP, "model", expected, f"{str(source)!r}")


def _download(repository: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        try:
            original = HfApi().file_exists(repository, _ORIGINAL)
        except Exception:  # each HTTP client of huggingface_hub has its own errors for a missing network
            original = _cached_original(repository)
        weights = [_ORIGINAL] if original else ["model*.safetensors"]
        return Path(snapshot_download(repository, allow_patterns=[*_CONFIGS, *weights]))
    except (OSError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        first_line = str(error).strip().partition("\n")[0]
        expected = "a hub repository that can be downloaded"
        raise _check.fail(OP, "model", expected, f"{repository}: {type(error).__name__}: {first_line}") from None


def _cached_original(repository: str) -> bool:
    """Whether an earlier download of the original layout is there: without a network it serves."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, _ORIGINAL), str)
