"""For mkdocs.yml: links from a page into the checkout (``../CONTRIBUTING.md``) lead to the repository, checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """The page with such links made absolute; a file that is not there stops the build."""

    def absolute(found: re.Match[str]) -> str:
        path, _, anchor = found[1].partition("#")
        target = (ROOT / "docs" / page.file.src_uri).parent / path
        if not target.exists():
            raise FileNotFoundError(f"docs/{page.file.src_uri} links to {found[1]}, which is not there.")
        inside = target.resolve().relative_to(ROOT)
        kind = "tree" if target.is_dir() else "blob"
        return f"]({config['repo_url']}/{kind}/main/{inside}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\((\.\./[^)\s]+)\)", absolute, markdown)
