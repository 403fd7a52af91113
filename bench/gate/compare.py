"""``python -m bench compare BASE HEAD``: two commits, built both, timed in turns on the same machine.

Deterministic counters fail on any increase that ``bench/gate/accepted.toml`` does not allow. A time fails only when the
interval of head / base lies above the limit in each of three passes, each in worker processes of its own: hosted
machines differ by 20-30 % between identical runs, and two processes of the same program by 10 % for as long as they
live, by where their memory happens to lie.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..measure.environment import chip
from ..measure.stats import Ratio, ratio
from ..options import Parser
from ..paths import ROOT
from ..report import files
from .deterministic import LOOSE

# An editable installation's import hook comes before PYTHONPATH: it would run the checkout's package on both sides.
# A tree whose package has not the modules that these benchmarks import runs those that it carries itself.
START = """
import importlib.util, runpy, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
try:
    if sys.argv[1:] == ["carried"]:
        raise ImportError
    from bench.gate.worker import main
except ImportError:
    carried = "voxtral_kernels._bench." + ("gate." if importlib.util.find_spec("voxtral_kernels._bench.gate") else "")
    runpy.run_module(carried + "worker", run_name="__main__")
else:
    main()
"""
CACHE = ROOT / "build" / "compare"
# Longer than in the tables: a sample of a short op should outlast what interrupts it.
SAMPLE_SECONDS = 0.03
# A pass takes further rounds while its interval holds the limit, up to this many.
ROUNDS = 6


class Tree:
    """A commit or folder, built into a folder of its own, and the worker process that runs it."""

    def __init__(self, revision: str, *, carried: bool = False) -> None:
        self.revision, self._carried = revision, carried
        self.site = build(revision)
        self._process = self._start()
        runs = Path(self.ask("package"))
        if runs.parent != self.site.resolve():
            raise RuntimeError(f"[compare] {revision}: expected the package in {self.site}, got {runs}.")

    def _start(self) -> subprocess.Popen[str]:
        # This file's own bench package serves both sides: a case means the same on both. `carried`: each side's own.
        path = os.pathsep.join([str(self.site), str(ROOT)])
        return subprocess.Popen(
            [sys.executable, "-c", START, *(["carried"] if self._carried else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.site,
            env={**os.environ, "PYTHONPATH": path},
        )

    def restart(self) -> None:
        """Another worker process in place of this one."""
        self.close()
        self._process = self._start()

    def ask(self, do: str, **arguments: Any) -> Any:
        """One request to the worker."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"[compare] {self.revision}: the worker ended with status {self._process.wait()}.")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"[compare] {self.revision}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the worker."""
        self._process.communicate(timeout=30)


def build(revision: str) -> Path:
    """Install a commit (cached by its hash) or a folder's present state into a folder of its own; returns that.

    A folder that holds an installed ``voxtral_kernels`` is taken as it is.
    """
    folder = Path(revision)
    if (folder / "voxtral_kernels" / "__init__.py").is_file():
        return folder
    if folder.is_dir():
        site = CACHE / f"folder-{folder.resolve().name}"
        shutil.rmtree(site, ignore_errors=True)
        _install(folder, site)
        return site
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    site = CACHE / commit
    if not (site / ".complete").is_file():
        shutil.rmtree(site, ignore_errors=True)
        source = CACHE / f"{commit}-source"
        shutil.rmtree(source, ignore_errors=True)
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", "--force", str(source), commit)
        try:
            _install(source, site)
        finally:
            _git("worktree", "remove", "--force", str(source))
        (site / ".complete").touch()
    return site


def _install(source: Path, site: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [*command, "--target", str(site), str(source)], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"[compare] {source}: the build failed.\n{done.stderr[-2000:]}")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"[compare] git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass(frozen=True)
class Timed:
    """One case's ratios head / base, one a pass, and the verdict."""

    case: str
    passes: list[Ratio]
    slower: bool


def time_case(base: Tree, head: Tree, case: str, *, limit: float, blocks: int, passes: int) -> Timed:
    """A pass, and further ones in new worker processes only while every one so far lies above the limit."""
    ratios: list[Ratio] = []
    while len(ratios) < passes:
        if ratios:
            base.restart()
            head.restart()
        ratios.append(_pass(base, head, case, limit, blocks))
        if ratios[-1].low <= 1 + limit:
            break
    return Timed(case, ratios, slower=all(r.low > 1 + limit for r in ratios))


def _pass(base: Tree, head: Tree, case: str, limit: float, blocks: int) -> Ratio:
    """Rounds of base, head, head, base, each on arrays of its own, until the interval lies on one side of the limit."""
    base_s: list[float] = []
    head_s: list[float] = []
    found = Ratio(1.0, 0.0, math.inf)
    while len(base_s) < ROUNDS * blocks and found.low <= 1 + limit <= found.high:
        for tree in (base, head):
            tree.ask("prepare", case=case, sample_seconds=SAMPLE_SECONDS)
        for _ in range(blocks):
            b1, h1 = base.ask("time", case=case), head.ask("time", case=case)
            h2, b2 = head.ask("time", case=case), base.ask("time", case=case)
            base_s.append((b1 + b2) / 2)
            head_s.append((h1 + h2) / 2)
        for tree in (base, head):
            tree.ask("forget", case=case)
        found = ratio(head_s, base_s)
    return found


@dataclass(frozen=True)
class Counted:
    """One deterministic counter on both sides, and the verdict."""

    counter: str
    base: float | None
    head: float | None
    worse: bool


def compare_counters(base: dict[str, float], head: dict[str, float], accepted: dict[str, float]) -> list[Counted]:
    """Any increase is worse unless accepted up to that figure; a counter new in head has nothing to be held against.

    Counters named in `deterministic.LOOSE` may grow by that share.
    """
    rows = []
    for name in dict.fromkeys([*base, *head]):
        old, new = base.get(name), head.get(name)
        worse = False
        if old is not None and new is not None:
            worse = new > max(old * (1 + LOOSE.get(name, 0)), accepted.get(name, old))
        rows.append(Counted(name, old, new, worse))
    return rows


def accepted(path: Path = Path(__file__).parent / "accepted.toml") -> dict[str, float]:
    """The increases that reviews have allowed."""
    return tomllib.loads(path.read_text())


def main(argv: list[str]) -> int:
    """Exit 1 where head is worse than base."""
    options = _options(argv)
    base, head = (Tree(revision, carried=options.carried) for revision in (options.base, options.head))
    try:
        counted = [] if options.no_counters else _counted(base, head)
        cases = [c for c in base.ask("cases") if c in head.ask("cases") and options.cases in c]
        settings = {"limit": options.limit / 100, "blocks": options.blocks, "passes": options.passes}
        timed = [time_case(base, head, case, **settings) for case in cases]
    finally:
        base.close()
        head.close()
    text = markdown(options, counted, timed)
    print(text)
    if options.markdown:
        files.write_text(options.markdown, text + "\n")
    if options.json:
        rows = {"counters": [asdict(c) for c in counted], "times": [asdict(t) for t in timed]}
        files.write_json(options.json, {"base": options.base, "head": options.head, **rows})
    return int(any(c.worse for c in counted) or any(t.slower for t in timed))


def _counted(base: Tree, head: Tree) -> list[Counted]:
    return compare_counters(base.ask("counters"), head.ask("counters"), accepted())


def markdown(options: argparse.Namespace, counted: Sequence[Counted], timed: Sequence[Timed]) -> str:
    """The summary for a pull request."""
    failed = [c.counter for c in counted if c.worse] + [t.case for t in timed if t.slower]
    verdict = "worse: " + "; ".join(failed) if failed else "no regression"
    lines = [
        f"### bench compare: {verdict}",
        "",
        f"base `{options.base}`, head `{options.head}`, {chip()}; time limit {options.limit:g} %",
        "",
    ]
    if counted:
        lines += ["| counter | base | head | |", "| --- | ---: | ---: | --- |"]
        lines += [
            f"| {c.counter} | {_figure(c.base)} | {_figure(c.head)} | {'**worse**' if c.worse else ''} |"
            for c in counted
        ]
        lines.append("")
    lines += ["| case | head / base [95 %] | passes | |", "| --- | ---: | ---: | --- |"]
    lines += [f"| {t.case} | {t.passes[-1]} | {len(t.passes)} | {'**slower**' if t.slower else ''} |" for t in timed]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.6g}"


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog="bench compare", description=__doc__)
    parser.add_argument("base", help="commit, branch, tag, or a folder with a tree")
    parser.add_argument("head", help="the same; compared with base")
    parser.add_argument("--limit", type=float, default=10.0, help="percent: 25 on hosted runners, 10 on a quiet one")
    parser.add_argument("--passes", type=int, default=3, help="passes that must agree on a slowdown (default 3)")
    parser.add_argument("--blocks", type=int, default=15, help="ABBA blocks a round, at least 5 (default 15)")
    parser.add_argument("--cases", default="", metavar="TEXT", help="only cases whose name contains this")
    parser.add_argument("--carried", action="store_true", help="each side runs its own benchmarks: for older commits")
    parser.add_argument("--no-counters", action="store_true", help="times only")
    parser.add_argument("--markdown", type=Path, metavar="OUT")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(argv)
    if options.blocks < 5 or options.passes < 1 or options.limit < 0:
        parser.error(
            "--blocks, --passes, --limit: expected at least 5, 1 and 0, "
            f"got {options.blocks}, {options.passes} and {options.limit:g}"
        )
    return options
