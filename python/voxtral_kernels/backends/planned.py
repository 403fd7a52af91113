"""Single calls that are chosen once, as `plan` does for steps; and what is planned altogether."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

from .._check import dtype_name
from ..reference.definitions import INTERNAL, OPS
from . import plan, select
from .select import Backend, Choice

# Forms that are kept; more than this many are begun anew.
_KEPT = 64
_single: dict[tuple[Any, ...], tuple[str, Choice, Callable[..., Any]]] = {}


def single(op: str, form: tuple[Any, ...], request: Callable[[], Any]) -> Callable[..., Any]:
    """What serves a call of one op that stands in no layer, on the default stream; it can be differentiated through.

    Args:
        op: Its name.
        form: All that its checks and the choice depend on, hashable.
        request: Makes the checked call; asked where the form is new, so that a wrong one is refused each time.

    Returns:
        A function of the request's fields.

    Raises:
        ValueError, RuntimeError: as ``request`` and `select.select`, when it is made.
    """
    key = op, form, select.context()
    found = _single.get(key)
    if found is None:
        checked = request()
        if len(_single) >= _KEPT:
            _single.clear()
        choice = select.select(op, checked)
        found = _single[key] = dtype_name(checked.x.dtype), choice, Backend.prepare(choice.implementation, checked)
    return found[2]


class Planned(NamedTuple):
    """One choice that stands: of a step of some rows, or of a single call (0 rows)."""

    op: str
    rows: int
    dtype: str
    choice: Choice


def planned() -> list[Planned]:
    """What is planned as things stand."""
    now = select.context()
    found = [
        Planned(op, p.batch * p.length, dtype_name(p.dtype), choice)
        for p in plan.standing()
        for (op, _), choice in p.choices.items()
    ]
    calls = [(key[0], made) for key, made in _single.items() if key[-1] == now]
    return found + [Planned(op, 0, dtype, choice) for op, (dtype, choice, _) in calls]


def load_all() -> None:
    """Load every backend that a choice here may ask: what is planned behind it stays, as nothing is loaded later."""
    forced = select.forced()
    for op in (*OPS, *INTERNAL):
        for name in (forced,) if forced else select.ORDER[select.device_type(None)]:
            with contextlib.suppress(select.UnavailableError):
                select.load(name, op)
