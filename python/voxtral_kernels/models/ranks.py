"""One model over several processes: the group of `mx.distributed` as the layers use it, and what keeps it from hanging.

Every rank holds some heads, hidden units and rows of the vocabulary, and runs the same program on the same audio. What
goes between them is a sum behind each closing product, the embeddings of new tokens, and the likeliest token's logit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import mlx.core as mx
import numpy as np

from .. import _check
from .section import OP

# Seconds without anything from the other ranks after which a rank ends: while they load; until they are connected, and
# from there to the first tokens; then.
LOADING_S, FIRST_S, LATER_S = 600.0, 60.0, 8.0
TIMEOUT = "VOXTRAL_KERNELS_RANK_TIMEOUT"
# On a slow machine: this many times the longest wait of the newest steps, if that is more.
_SLOW, _NEWEST = 3.0, 32
# Tokens behind which the first step is done on every rank.
_WARM = 3
_TEXT = 2048
# MLX's words.
_LOST = "connection to a peer was lost"
# What launchers set.
_LAUNCHED = ("MLX_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
# Exit status of a rank that gave up; the command line's for any error.
ERROR = 2

T = TypeVar("T")


class Watch:
    """Ends the process, with one sentence, where a collective takes too long: nothing else can, MLX waits for ever.

    Inside ``with`` only; each `beat` says that this rank has come to its next collective.

    Args:
        who: This rank, in words.
        limit: Seconds that a collective may take, until told otherwise.
    """

    def __init__(self, who: str, limit: float) -> None:
        self._who, self._inside, self._tokens = who, 0, 0
        self._later = _seconds(os.environ.get(TIMEOUT))
        self._at, self._longest = 0.0, 0.0
        self._waits: deque[float] = deque(maxlen=_NEWEST)  # the longest of each step
        self._thread: threading.Thread | None = None
        self.allow(limit)
        self.farewell: Callable[[], None] | None = None  # called before the end

    def __enter__(self) -> Watch:
        self._at = time.monotonic()
        self._inside += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="voxtral-kernels ranks", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._inside -= 1
        # MLX's ring notices a peer's end sometimes, by an error of its own.
        if isinstance(error, RuntimeError) and _LOST in str(error):
            raise _check.fail(
                "ranks", self._who, "the other ranks", "a lost connection: one of them has ended"
            ) from error

    def allow(self, seconds: float) -> None:
        """A collective may take so long from now on, or as long as the environment says, if that is more."""
        self._limit = max(self._later, seconds)

    def beat(self, token: bool = False) -> None:
        """A collective is being asked for; ``token``: one that ends a step."""
        now = time.monotonic()
        self._longest, self._at = max(self._longest, now - self._at) if self._inside else self._longest, now
        if token:
            self._tokens += 1
            self._waits.append(self._longest)
            self._longest = 0.0
            if self._tokens > _WARM:
                self.allow(_SLOW * max(self._waits))

    def _run(self) -> None:
        while True:
            time.sleep(0.2)
            if self._inside and time.monotonic() - self._at > self._limit:
                self._end()

    def _end(self) -> None:
        expected = f"the other ranks within {self._limit:.0f} s"
        sentence = str(_check.fail("ranks", self._who, expected, "none: one of them has ended, or is too slow"))
        with contextlib.suppress(Exception):
            if self.farewell is not None:
                self.farewell()
        with contextlib.suppress(OSError):
            os.write(2, f"voxtral-kernels: error: {sentence}\n".encode())
        os._exit(ERROR)


class Share(NamedTuple):
    """Bytes of the checkpoint's weights that a rank has read, which are those it holds, and all of them."""

    read: int
    whole: int

    def __str__(self) -> str:
        return f"{self.read / 1e6:.1f} of {self.whole / 1e6:.1f} MB of weights read ({self.read / self.whole:.3f})"


class Ranks:
    """A group of more than one process.

    Args:
        group: From `mx.distributed.init`.
    """

    def __init__(self, group: mx.distributed.Group) -> None:
        self.group, self.rank, self.size = group, group.rank(), group.size()
        self.watch = Watch(f"rank {self.rank} of {self.size}", LOADING_S)
        self._last: mx.array | None = None
        self.read = 0  # bytes of the checkpoint that this rank has read
        self.shares: list[Share] = []  # what each has read, once a model is loaded

    def sum(self, x: mx.array) -> mx.array:
        """The sum over the ranks, the same on all of them."""
        self.watch.beat()
        self._last = mx.distributed.all_sum(self._behind(x), group=self.group)
        return self._last

    def gather(self, x: mx.array, *, token: bool = True) -> mx.array:
        """``[ranks, ...]``: every rank's; ``token``: of a step's last product."""
        self.watch.beat(token=token)
        self._last = mx.distributed.all_gather(self._behind(x[None]), group=self.group)
        return self._last

    def beside(self, x: mx.array) -> mx.array:
        """Every rank's channels ``[..., n]`` side by side, in the ranks' order: ``[..., ranks * n]``."""
        parts = list(self.gather(x, token=False)) if x.size else [x] * self.size
        return mx.concatenate(parts, axis=-1)

    def _behind(self, x: mx.array) -> mx.array:
        """``x``, computed behind the collective before: all ranks come to them in one order, whatever their graphs."""
        last = self._last
        return x if last is None else mx.depends(x, last)  # type: ignore[return-value]

    def words(self, text: str) -> list[str]:
        """Every rank's text."""
        data = np.zeros(_TEXT, np.uint8)
        said = np.frombuffer(text.encode()[:_TEXT], np.uint8)
        data[: len(said)] = said
        with self.watch:
            self._last = None
            found = np.array(mx.distributed.all_gather(mx.array(data)[None], group=self.group))
        return [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in found]

    def agree(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, where it succeeds on every rank.

        Raises:
            Exception: its own, or ValueError with that of another rank.
        """
        result: Any = None
        error: Exception | None = None
        try:
            result = work()
        except Exception as raised:
            error = raised
        said = self.words("" if error is None else str(error) or type(error).__name__)
        if error is not None:
            raise error
        for rank, text in enumerate(said):
            if text:
                raise ValueError(f"rank {rank}: {text}")
        return result

    def require_same(self, what: str, *parts: object) -> None:
        """All ranks have the same of something.

        Args:
            what: Its name in the error.
            parts: Bytes, or what ``repr`` tells apart.

        Raises:
            ValueError: on every rank, if one differs.
        """
        digest = hashlib.sha256()
        for part in parts:
            data = part if isinstance(part, bytes) else repr(part).encode()
            digest.update(len(data).to_bytes(8, "little") + data)
        found = self.words(digest.hexdigest())
        others = [str(rank) for rank, other in enumerate(found) if other != found[0]]
        if others:
            raise _check.fail(
                "ranks", what, "the same on every rank", f"another than rank 0's on rank {', '.join(others)}"
            )

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        with self.watch:
            return bool(self.sum(mx.array([int(flag)])).item())

    def settle(self, whole: int) -> None:
        """All that is read is read; ``whole``: bytes of the checkpoint."""
        self.shares = [Share(int(text), whole) for text in self.words(str(self.read))]
        self.watch.allow(FIRST_S)


def of(group: mx.distributed.Group | None) -> Ranks | None:
    """The ranks of a group; None for none or a single process.

    Raises:
        ValueError: it is no group.
    """
    if group is None:
        return None
    if not isinstance(group, mx.distributed.Group):
        raise _check.fail(OP, "group", "a group of mx.distributed or None", _check.shown(group))
    return Ranks(group) if group.size() > 1 else None


def launched() -> mx.distributed.Group | None:
    """The group of ``mlx.launch``, or of ``mpirun``; None for a process that stands alone."""
    if not any(name in os.environ for name in _LAUNCHED):
        return None  # looking for a group would start MPI wherever that is installed
    with Watch(f"rank {os.environ.get('MLX_RANK', '?')}", FIRST_S):
        group = mx.distributed.init()
    return group if group.size() > 1 else None


def agreed(ranks: Ranks | None, work: Callable[[], T]) -> T:
    """`Ranks.agree`; without ranks what ``work`` gives."""
    return work() if ranks is None else ranks.agree(work)


def watched(ranks: Ranks | None) -> contextlib.AbstractContextManager[Any]:
    """Inside ``with``, ranks that do not come end this one."""
    return contextlib.nullcontext() if ranks is None else ranks.watch


def all_channels(ranks: Ranks | None, x: mx.array) -> mx.array:
    """`Ranks.beside`; without ranks ``x``."""
    return x if ranks is None else ranks.beside(x)


def checked_drafts(ranks: Ranks | None, asked: bool | None) -> bool | None:
    """Whether tokens are drafted: never over ranks, where what a pass takes differs, and with it the next one.

    Raises:
        ValueError: ``True`` over ranks.
    """
    if ranks is not None and asked:
        raise _check.fail("ranks", "drafts", "None or False for a model over several ranks", asked)
    return asked if ranks is None else False


def common_seed(ranks: Ranks | None, seed: int | None) -> int | None:
    """A seed for draws that are the same on every rank: the one asked for, or rank 0's."""
    if ranks is None or seed is not None:
        return seed
    return int(ranks.words(str(int.from_bytes(os.urandom(4), "little")))[0])


def _seconds(text: str | None) -> float:
    try:
        seconds = LATER_S if text is None else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise _check.fail("ranks", TIMEOUT, "seconds above 0", text)
    return seconds
