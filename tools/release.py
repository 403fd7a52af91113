"""A release's facts: ``python tools/release.py check|notes REF``.

``check``: a tag ``refs/tags/v1.2.3`` is the version of pyproject.toml, of the package and of CITATION.cff, and
CHANGELOG.md has its section; another ref (a run by hand) asks that the first three agree. ``notes`` prints that
section.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def versions(root: Path = ROOT) -> dict[str, str]:
    """The version in each file that states it."""
    return {
        "pyproject.toml": tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"],
        "_version.py": _search(r'__version__ = "(.+)"', root / "python" / "voxtral_kernels" / "_version.py"),
        "CITATION.cff": _search(r"(?m)^version: (.+)$", root / "CITATION.cff"),
    }


def section(version: str, root: Path = ROOT) -> str | None:
    """What CHANGELOG.md says of a version, without its heading; None if it has none."""
    text = (root / "CHANGELOG.md").read_text()
    found = re.search(rf"(?ms)^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## \[|^\[|\Z)", text)
    return found[1].strip() if found else None


def wrong(ref: str, root: Path = ROOT) -> list[str]:
    """What keeps this ref from being released, a sentence each."""
    stated = versions(root)
    sentences = []
    if len(set(stated.values())) > 1:
        sentences.append("the versions differ: " + ", ".join(f"{file} {version}" for file, version in stated.items()))
    version = stated["pyproject.toml"]
    if ref.startswith("refs/tags/"):
        tag = ref.removeprefix("refs/tags/")
        if tag != f"v{version}":
            sentences.append(f"expected the tag v{version}, got {tag}")
        if not section(version, root):
            sentences.append(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD' with text")
    return sentences


def _search(pattern: str, path: Path) -> str:
    found = re.search(pattern, path.read_text())
    return found[1].strip("\"'") if found else "none"


def main(arguments: list[str]) -> int:
    """Exit 1 with the sentences of ``wrong``."""
    if len(arguments) != 2 or arguments[0] not in ("check", "notes"):
        print("[release] expected check or notes and a ref", file=sys.stderr)
        return 2
    what, ref = arguments
    sentences = wrong(ref)
    for sentence in sentences:
        print(f"[release] {sentence}.", file=sys.stderr)
    if what == "notes" and not sentences:
        print(section(versions()["pyproject.toml"]))
    return int(bool(sentences))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
