"""``python -m bench metal-files FOLDER...``: which Metal files there compile on the emulator, entry by entry.

Prints for each folder the files and entry points that compile, and the first error of each of the rest. Headers are
looked for in the folders of ``-I``, beside the file and in its parents. Exits 1 where a file does not compile whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from voxtral_kernels import emulator
from voxtral_kernels.emulator import toolchain

from ..measure.metal_file import included
from ..options import Parser


def files(folders: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Folder and file, each file once; a file may be named in place of a folder."""
    found: dict[Path, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.metal")) if folder.is_dir() else [folder]:
            found.setdefault(path.resolve(), folder)
    return [(folder, path) for path, folder in found.items()]


def judge(path: Path, include: Sequence[Path], version: str, types: bool, seconds: int) -> dict[str, Any]:
    """What `bench.measure.metal_file` finds in a process of its own; from the cache where nothing has changed."""
    spec = {"file": str(path), "include": [str(f.resolve()) for f in include], "version": version, "types": types}
    kept = toolchain.cache_dir() / "metal-files" / f"{_key(spec, included(path, include)[0])}.json"
    try:
        return dict(json.loads(kept.read_text()))
    except (OSError, ValueError):
        pass
    limit = {"VOXTRAL_KERNELS_COMPILE_SECONDS": str(seconds)}
    command = [sys.executable, "-m", f"{__package__.rsplit('.', 1)[0]}.measure.metal_file", json.dumps(spec)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=os.environ | limit,
            cwd=Path(__file__).parents[2],
        )
    except subprocess.TimeoutExpired:
        return {"entries": 0, "compiled": 0, "seconds": seconds, "error": f"{path}: stopped after {seconds} seconds"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"entries": 0, "compiled": 0, "seconds": 0, "error": f"{path}: the emulator failed: {last}"}
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(done.stdout)
    return dict(json.loads(done.stdout))


def _key(spec: dict[str, Any], texts: Iterable[Path]) -> str:
    """Of the question, the texts and the emulator's own files."""
    digest = hashlib.sha256(json.dumps(spec).encode())
    own = Path(emulator.__file__).parent
    for path in [*sorted(p for p in own.rglob("*") if p.is_file() and p.suffix != ".pyc"), *texts]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Counts by folder, then the first error of each file that does not compile whole."""
    lines = []
    for folder in dict.fromkeys(row["folder"] for row in rows):
        of = [row for row in rows if row["folder"] == folder]
        whole = sum(not row["error"] for row in of)
        entries, compiled = (sum(row[key] for row in of) for key in ("entries", "compiled"))
        lines.append(f"{folder}: {whole} of {len(of)} files whole, {compiled} of {entries} entry points")
    lines += [f"  {row['error']}" for row in rows if row["error"]]
    whole = sum(not row["error"] for row in rows)
    return "\n".join([*lines, f"{whole} of {len(rows)} files compile whole"])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; status 1 if a file does not compile whole."""
    parser = Parser(prog="bench metal-files", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="folders to look through, or files")
    parser.add_argument("-I", "--include", type=Path, action="append", default=[], metavar="FOLDER", help="for headers")
    parser.add_argument("--version", default="3.2", help="of the Metal language (3.2)")
    parser.add_argument("--types", action="store_true", help="also what Apple's compiler refuses by type (slow)")
    parser.add_argument("--seconds", type=int, default=900, help="that one file may take (900)")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="files at once (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    options = parser.parse_args(argv)
    if missing := next((f for f in (*options.folders, *options.include) if not f.exists()), None):
        parser.error(f"expected a folder or a file, got {missing}, which is not there")
    found = files(options.folders)
    if not found:
        parser.error(f"expected folders with .metal files, got none in {', '.join(map(str, options.folders))}")

    def row(item: tuple[Path, Path]) -> dict[str, Any]:
        folder, path = item
        made = judge(path, options.include, options.version, options.types, options.seconds)
        return {"folder": str(folder), "file": str(path), **made}

    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        rows = list(pool.map(row, found))
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(r["error"] for r in rows))
