"""Which implementation serves a call: ``native``, ``metal``, ``emulator`` or ``composed``.

The order on a GPU is native, metal, composed; on a CPU native, composed; the emulator serves only by name. A backend
asked for by name that cannot run raises: nothing falls back in silence.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import mlx.core as mx

from .. import _check, _forked
from ..reference import sliding_window_attention as reference
from ..reference import streams as apart

BACKENDS = ("native", "metal", "emulator", "composed")
ORDER = {mx.gpu: ("native", "metal", "composed"), mx.cpu: ("native", "composed")}
ENVIRONMENT = "VOXTRAL_KERNELS_BACKEND"
_KEY = os.fsencode(ENVIRONMENT)
_STREAMS = (mx.Stream, mx.ThreadLocalStream, mx.Device, mx.DeviceType)

_forced: contextvars.ContextVar[str | None] = contextvars.ContextVar("voxtral_kernels_backend", default=None)


class Backend:
    """One implementation of one op: the seam between the ops, the caches and what serves them."""

    # Whether `commit` writes the ring itself: then a cache gains nothing by waiting.
    in_place = False

    @property
    def any_tail(self) -> bool:
        """Whether what `prepare` gives serves tails of every length but 0, not of the request's alone."""
        return True

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        """Sentences that say why it cannot serve this request there; empty when it can."""
        raise NotImplementedError

    def variant(self, request: Any) -> tuple[str, str]:
        """The algorithm it would take, and a sentence that says why."""
        raise NotImplementedError

    def run(self, request: Any, stream: mx.Stream | mx.Device | None) -> Any:
        """The op's result."""
        raise NotImplementedError

    def prepare(self, request: Any) -> Callable[..., Any]:
        """What `run` does for every request of this form on the default stream, without asking anything again.

        Returns:
            A function of the request's fields, in their order. Where they stand in a stream may move: ``ring_end`` of
            an attention, values of arrays. Ring and tails are a cache's own. There is no vector-Jacobian product.
        """
        kind = type(request)
        return lambda *fields: self.run(kind(*fields), None)

    def prepare_commit(self, request: Any) -> Callable[..., mx.array]:
        """What `commit` does behind every attention of this form on the default stream.

        Returns:
            A function of ``ring, start, k, v, after`` and for several streams ``streams``; ``after`` is never None.
        """
        return lambda ring, start, k, v, after, streams=None: self.commit(ring, start, k, v, after, None, streams)

    def commit(
        self,
        ring: mx.array,
        start: int,
        k: mx.array,
        v: mx.array,
        after: mx.array | None,
        stream: mx.Stream | mx.Device | None,
        streams: mx.array | None = None,
    ) -> mx.array:
        """The ring of a cache with ``k`` and ``v`` written at positions ``start ..``.

        Args:
            ring, start, k, v: As for `reference.sliding_window_attention.commit`.
            after: The last attention that reads ``ring``; None where others may still read it: the ring returned is
                then a new one, whatever `in_place` says.
            stream: Stream or device to run on.
            streams: Of several streams, see `reference.streams`: who is where, in place of ``start``.
        """
        return reference.commit(ring, start, k, v) if streams is None else apart.commit(ring, streams, k, v)


class UnavailableError(RuntimeError):
    """A backend that cannot serve any request here; the text is a sentence that says why."""


# Where a backend's implementation lives: a module with `backend(op) -> Backend`, imported at first use.
_MODULES = {
    "native": "voxtral_kernels.backends.native",
    "metal": "voxtral_kernels.backends.metal",
    "emulator": "voxtral_kernels.backends.emulated",
    "composed": "voxtral_kernels.backends.composed",
}


class _Loaded(dict[tuple[str, str], "Backend | str"]):
    """What is loaded, and a number that is the same whenever the same is loaded."""

    _numbers: ClassVar[dict[Any, int]] = {}
    _number: int | None = None

    @property
    def number(self) -> int:
        if self._number is None:
            self._number = self._numbers.setdefault(frozenset(self.items()), len(self._numbers))
        return self._number

    def __setitem__(self, key: tuple[str, str], value: Backend | str) -> None:
        self._number = None
        super().__setitem__(key, value)

    def __delitem__(self, key: tuple[str, str]) -> None:
        self._number = None
        super().__delitem__(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        self._number = None
        super().update(*args, **kwargs)

    def clear(self) -> None:
        self._number = None
        super().clear()


_loaded = _Loaded()
_forgotten = 0


@dataclass(frozen=True)
class Choice:
    """The backend chosen for a call and the reasons, as sentences."""

    backend: str
    variant: str
    reasons: list[str]
    implementation: Backend


def forced() -> str | None:
    """The backend asked for by name, by `use_backend` or the environment; None for the default order."""
    name = _forced.get()
    return _of_environment() if name is None else name


def _of_environment() -> str | None:
    # What os.environ.get encodes and decodes costs more than the whole choice of a plan: its table is looked at.
    table = getattr(os.environ, "_data", None)
    value = os.environ.get(ENVIRONMENT) if table is None else table.get(_KEY)
    return None if value is None else _named(value)


@functools.lru_cache(maxsize=16)
def _named(value: str | bytes) -> str | None:
    name = os.fsdecode(value)
    if name:
        _check_name(name, ENVIRONMENT)
    return name or None


def changes() -> int:
    """How often what was chosen had to be chosen again."""
    return _forgotten


def context() -> tuple[bool, str | None, int, int]:
    """What a choice depends on beside the call itself; while it is the same, the same call is served the same way."""
    return device_type(None) == mx.gpu, forced(), _loaded.number, _forgotten


@contextlib.contextmanager
def use_backend(name: str | None) -> Iterator[None]:
    """Serve every op of the block by one backend: ``native``, ``metal``, ``emulator``, ``composed``; None: by default.

    Raises:
        ValueError: the name is none of the four. A call that the backend cannot serve raises when it is made.
    """
    if name is not None:
        _check_name(name, "name")
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def _check_name(name: str, argument: str) -> None:
    if name not in BACKENDS:
        raise _check.fail("use_backend", argument, f"one of {', '.join(BACKENDS)}", repr(name))


def device_type(stream: mx.Stream | mx.Device | None) -> mx.DeviceType:
    """``mx.cpu`` or ``mx.gpu``: where a call with this ``stream`` argument runs."""
    if stream is None:
        return mx.default_device().type
    if isinstance(stream, mx.DeviceType):
        return stream
    return stream.type if isinstance(stream, mx.Device) else stream.device.type


def load(backend: str, op: str) -> Backend:
    """The backend's implementation of the op.

    Raises:
        UnavailableError: with the sentence that says why there is none here.
    """
    key = (backend, op)
    if key not in _loaded:
        try:
            _loaded[key] = importlib.import_module(_MODULES[backend]).backend(op)
        except UnavailableError as reason:
            _loaded[key] = str(reason)
        except ModuleNotFoundError as error:
            if error.name != _MODULES[backend]:
                raise
            _loaded[key] = f"{backend} is not part of this version."
    found = _loaded[key]
    if isinstance(found, str):
        raise UnavailableError(found)
    return found


def forget() -> None:
    """Look for every backend again at the next call (tests, and after an extension was installed)."""
    _loaded.clear()
    changed()


def changed() -> None:
    """Choose again what was chosen before: the next `context` is none that was."""
    global _forgotten
    _forgotten += 1


def select(op: str, request: Any, stream: mx.Stream | mx.Device | None = None) -> Choice:
    """The backend that serves this request.

    Raises:
        ValueError: ``stream`` is none.
        RuntimeError: a backend asked for by name cannot serve it; the text holds its reasons.
    """
    _forked.refuse(op)
    if stream is not None and not isinstance(stream, _STREAMS):
        raise _check.fail(op, "stream", "an mx.Stream, an mx.Device or None", repr(stream))
    device = device_type(stream)
    name = forced()
    reasons: list[str] = []
    for candidate in (name,) if name else ORDER[device]:
        try:
            implementation = load(candidate, op)
            refusals = implementation.unsupported(request, device)
        except UnavailableError as reason:
            refusals = [str(reason)]
        if not refusals:
            variant, why = implementation.variant(request)
            asked = f"{candidate} was asked for by name." if name else f"{candidate} serves {op} here."
            return Choice(candidate, variant, [*reasons, asked, why], implementation)
        reasons += [f"{candidate}: {reason}" for reason in refusals]
    raise RuntimeError(f"[{op}] backend: {name or 'no backend'} cannot serve this call. {' '.join(reasons)}")


def run(op: str, request: Any, stream: mx.Stream | mx.Device | None = None) -> Any:
    """Serve the request by the backend that `select` chooses."""
    return select(op, request, stream).implementation.run(request, stream)
