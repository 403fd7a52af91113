"""Posts the table of ``bench compare`` as the one comment of its pull request: ``perf-comment.yml`` runs it.

python tools/perf_comment.py TABLE; the environment has GITHUB_REPOSITORY, HEAD_OWNER, HEAD_BRANCH, HEAD_SHA, RUN_URL
and GH_TOKEN, all of them GitHub's. The table is of the pull request's making: it becomes text that names nobody and
links nowhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# By this the comment is found again.
MARK = "<!-- voxtral-kernels perf -->"
AUTHOR = "github-actions[bot]"
LONGEST = 60_000  # GitHub refuses a comment of more than 65,536 characters


def main(arguments: list[str]) -> int:
    """Update or write the comment; 0 also where there is no table or the pull request has moved on."""
    (name,) = arguments
    table = Path(name)
    if not table.is_file():
        print("no table: the comparison did not come to its end")
        return 0
    found = pull_request()
    if found is None:
        print("no open pull request has this commit as its head")
        return 0
    text = body(table.read_text(errors="replace"), os.environ["RUN_URL"])
    comment = our_comment(found)
    repository = os.environ["GITHUB_REPOSITORY"]
    if comment is None:
        api("POST", f"repos/{repository}/issues/{found}/comments", {"body": text})
    else:
        api("PATCH", f"repos/{repository}/issues/comments/{comment}", {"body": text})
    return 0


def pull_request() -> int | None:
    """The number of the open pull request of this head, by what GitHub says of the run; not by what the run wrote."""
    head = f"{os.environ['HEAD_OWNER']}:{os.environ['HEAD_BRANCH']}"
    path = f"repos/{os.environ['GITHUB_REPOSITORY']}/pulls"
    for pull in api("GET", path, {"state": "open", "head": head}):
        if pull["head"]["sha"] == os.environ["HEAD_SHA"]:
            return int(pull["number"])
    return None


def our_comment(number: int) -> int | None:
    """The id of the comment that an earlier run wrote."""
    path = f"repos/{os.environ['GITHUB_REPOSITORY']}/issues/{number}/comments"
    page = 1
    while comments := api("GET", path, {"per_page": "100", "page": str(page)}):
        for comment in comments:
            if comment["user"]["login"] == AUTHOR and comment["body"].startswith(MARK):
                return int(comment["id"])
        page += 1
    return None


def body(table: str, run: str) -> str:
    """The comment: the table as Markdown, without what could address people, link or embed."""
    lines = [harmless(line) for line in table.splitlines()]
    text = "\n".join(lines)
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0] + "\n\n(cut: the run has all of it)"
    return f"{MARK}\n{text}\n\nFrom [this pull request's own run]({run}); updated in place.\n"


def harmless(line: str) -> str:
    """A line of Markdown that may emphasise and stand in a table, and nothing else."""
    heading = "### " if line.startswith("### ") else ""
    rest = "".join(c for c in line[len(heading) :] if c.isprintable())
    rest = "".join(f"&#{ord(c)};" if c in "&#<@[" else c for c in rest)
    return heading + rest.replace("://", "&#58;//").replace("www.", "www&#46;")


def api(method: str, path: str, fields: dict[str, str]) -> Any:
    """GitHub's answer, through its own client."""
    pairs = [part for name, value in fields.items() for part in ("--raw-field", f"{name}={value}")]
    done = subprocess.run(["gh", "api", "--method", method, path, *pairs], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"[perf-comment] {method} {path}: {done.stderr.strip()}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
