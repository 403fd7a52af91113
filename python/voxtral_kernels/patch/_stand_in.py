"""Stand-ins: objects of the host's own class that share everything with the original and behave otherwise."""

from __future__ import annotations

import functools
from typing import Any

import mlx.nn as nn

# The attribute of a stand-in that holds what it stands for.
_ORIGINAL = "_stands_for"


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
    vars(new)[_ORIGINAL] = host
    return new


def give_back(new: Any, host: Any) -> None:
    """Put into ``host`` what was put into its stand-in since: an adapter, what `nn.quantize` made."""
    if not isinstance(host, nn.Module):
        return
    for name in [name for name in dict.keys(host) if name not in new]:
        dict.__delitem__(host, name)
    for name, child in dict.items(new):
        original = dict.get(host, name)
        if original is not None and original is getattr(child, "__dict__", {}).get(_ORIGINAL):
            give_back(child, original)
        elif child is not original:
            dict.__setitem__(host, name, child)


@functools.cache
def _class(behaviour: Any, host: Any) -> Any:
    return type(
        behaviour.__name__, (behaviour, host), {"__module__": behaviour.__module__, "__doc__": behaviour.__doc__}
    )
