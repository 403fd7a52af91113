"""Finds a model's folder: the checkpoint in the package, a local folder, or a repository of the Hugging Face hub."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from .. import _check
from .machines import PUBLISHED
from .section import CONFIG_FILES, OP

TINY = "tiny"
_EXPECTED = '"tiny", a folder that exists, or a hub id owner/name'
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_URL = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<id>[\w.-]+/[\w.-]+)")
# Mistral's hub repositories hold the weights twice; the original layout is taken where it is there.
_CONFIGS = ("params.json", "config.json", "tekken.json", "*.index.json")
_ORIGINAL = "consolidated.safetensors"
_LOG_IN = "log in with `hf auth login`"


def find(source: str | Path, revision: str | None = None) -> Path:
    """The folder of a model; a hub id is downloaded first, with huggingface_hub's progress bar.

    Args:
        source: ``"tiny"``, a folder, or a hub id ``owner/name`` or ``owner/name@revision``.
        revision: Of a hub id: a branch, tag or commit; None for the one in ``source``, or the newest.

    Raises:
        ValueError: there is no such folder, or the download failed; the text says what to do about it.
    """
    if not isinstance(source, (str, Path)):
        raise _check.fail(OP, "model", _EXPECTED, type(source).__name__)
    if source == "":
        raise _check.fail(OP, "model", _EXPECTED, "an empty text (is a variable of the shell not set?)")
    if source == TINY or _exists(source):
        if revision is not None:
            raise _check.fail(OP, "revision", "none for what is not on the hub", repr(revision))
        return Path(__file__).parent.parent / "data" / "tiny" if source == TINY else _folder(source)
    name, _, tag = str(source).partition("@")
    if isinstance(source, str) and _HUB_ID.fullmatch(name) and (tag or "@" not in source):
        if tag and revision not in (None, tag):
            raise _check.fail(OP, "revision", f"{tag!r} as in {source}, or none", repr(revision))
        return _download(name, tag or revision)
    raise _check.fail(OP, "model", _EXPECTED, f"{str(source)!r}{_meant(str(source))}")


def _exists(source: str | Path) -> bool:
    """Whether there is something of that name, be it a link to nothing."""
    try:
        folder = Path(source).expanduser()
        return folder.exists() or folder.is_symlink()
    except (OSError, RuntimeError, ValueError):  # too long, a home that nobody has, a zero byte
        return False


def _folder(source: str | Path) -> Path:
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    got = f"the file {source}" if folder.exists() else f"{source}, a link to {folder.readlink()}, which is not there"
    raise _check.fail(OP, "model", "a model's folder", got)


def _meant(source: str) -> str:
    """What a name that nothing has may have been meant to be, as the end of a sentence; often nothing."""
    if url := _URL.match(source):
        return f" (did you mean {url['id']}?)"
    if any(source.lower() == p.id.lower() for p in PUBLISHED):
        return ""
    ids = {p.id.rpartition("/")[2].lower(): p.id for p in PUBLISHED} | {p.id.lower(): p.id for p in PUBLISHED}
    near = difflib.get_close_matches(source.lower(), [TINY, *ids], n=1, cutoff=0.75)
    found = _near_folder(source) or (ids.get(near[0], near[0]) if near else None)
    return f" (did you mean {found}?)" if found else ""


def _near_folder(source: str) -> str | None:
    """The folder whose name is nearest where a path first leaves what exists."""
    try:
        path = Path(source).expanduser()
        missing = next(p for p in (*reversed(path.parents), path) if not p.exists())
        beside = [p.name for p in missing.parent.iterdir() if p.is_dir()]
    except (OSError, RuntimeError, ValueError, StopIteration):
        return None
    near = difflib.get_close_matches(missing.name, beside, n=1, cutoff=0.6)
    return str(missing.with_name(near[0]) / path.relative_to(missing)) if near else None


def _download(repository: str, revision: str | None) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        try:
            original = HfApi().file_exists(repository, _ORIGINAL, revision=revision)
        except Exception:  # each HTTP client of huggingface_hub has its own errors for a missing network
            original = _cached_original(repository, revision)
        weights = [_ORIGINAL] if original else ["model*.safetensors"]
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=[*_CONFIGS, *weights]))
    except Exception as error:
        raise _refused(repository, revision, error) from None
    if not any((folder / name).is_file() for name in CONFIG_FILES):
        expected = f"a repository with {' or '.join(CONFIG_FILES)} and safetensors files"
        raise _check.fail(OP, "model", expected, f"{repository}, which has neither (GGUF files are not read)")
    return folder


def _refused(repository: str, revision: str | None, error: Exception) -> ValueError:
    """The error that says what to do about one of huggingface_hub's."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repository}"
    argument, expected = "model", "a hub repository that can be downloaded"
    # The special ones first: a gated repository counts as one that was not found.
    if isinstance(error, errors.GatedRepoError):
        got = f"{repository}, which is gated: accept its terms at {page} and {_LOG_IN}"
    elif isinstance(error, errors.RepositoryNotFoundError):
        got = f"{repository}, which does not exist or is private: {_LOG_IN} if it is{_meant(repository)}"
    elif isinstance(error, errors.RevisionNotFoundError):
        argument, expected, got = "revision", f"a branch, tag or commit of {page}", repr(revision)
    elif isinstance(error, errors.LocalEntryNotFoundError):
        offline = "the hub cannot be reached (no network, or HF_HUB_OFFLINE is set)"
        got = f"{repository}: {offline} and no earlier download of it is here{_meant(repository)}"
    else:
        first_line = str(error).strip().partition("\n")[0]
        got = f"{repository}: {type(error).__name__}: {first_line[:200]}"
    return _check.fail(OP, argument, expected, got)


def _cached_original(repository: str, revision: str | None) -> bool:
    """Whether an earlier download of the original layout is there: without a network it serves."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, _ORIGINAL, revision=revision), str)
