"""Stand-ins: objects of the host's own class that share everything with the original and behave otherwise."""

from __future__ import annotations

import functools
from typing import Any

import mlx.nn as nn


def stand_in(host: Any, behaviour: Any, **attributes: Any) -> Any:
    """An object to put in ``host``'s place.

    Its children, arrays and attributes are the host's own objects and its class derives from the host's, so that
    parameters keep their paths and other code finds every attribute and method; ``behaviour``'s methods come first.

    Args:
        host: The module or other object to stand in for; it is not changed.
        behaviour: Class with the methods that differ.
        **attributes: Set on the stand-in alone.
    """
    kind: Any = type(host)
    cls: Any = _class(behaviour, kind)
    new = cls.__new__(cls)
    if isinstance(host, nn.Module):
        dict.update(new, host)
    vars(new).update(vars(host))
    vars(new).update(attributes)
    return new


@functools.cache
def _class(behaviour: Any, host: Any) -> Any:
    return type(
        behaviour.__name__, (behaviour, host), {"__module__": behaviour.__module__, "__doc__": behaviour.__doc__}
    )
