"""What a step's graph is made of: its nodes, and the shader texts that its launches bring."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

from voxtral_kernels.emulator.launch.custom_kernel import capture

from .routes import route
from .steps import Step

_NODE = re.compile(r'\[label ="(\w+)", shape=rectangle\]')


def count(*arrays: mx.array) -> Counter[str]:
    """The primitives behind unevaluated arrays, by name."""
    text = io.StringIO()
    mx.export_to_dot(text, *arrays)
    return Counter(_NODE.findall(text.getvalue()))


def of(step: Step) -> Counter[str]:
    """The nodes of the next step, what its caches keep included."""
    with step.context():
        found = count(step(), *step.arrays())
        step.settle()
    return found


def of_a_layer(make: Callable[[int], Step]) -> Counter[str]:
    """The nodes that one more layer adds: the fewest of some steps, as now and then one commits a cache's tail.

    Args:
        make: A step of this many layers.
    """
    fewest = [min((of(step) for _ in range(4)), key=Counter.total) for step in (make(2), make(3))]
    return fewest[1] - fewest[0]


@dataclass
class Texts:
    """Shader texts of one step's launches.

    Attributes:
        launches: Of ``metal``.
        served: What they did as ops of one purpose: two where a product takes in what stands before or behind it.
        handed: Bytes of the texts that went to MLX, each as a whole as MLX would compile it, or to the extension.
    """

    launches: int = 0
    served: int = 0
    handed: int = 0
    _known: dict[Any, int] = field(default_factory=dict, repr=False)

    def launched(self, declaration: dict[str, Any], inputs: list[mx.array], arguments: dict[str, Any]) -> None:
        """A launch of ``metal``; its text is taken from MLX."""
        key = (declaration["name"], tuple(arguments["template"]), *((a.ndim, a.size < 8, a.dtype) for a in inputs))
        if key not in self._known:
            text = capture(mx.fast.metal_kernel(**declaration), inputs, **arguments).text
            self._known[key] = len(text.encode())
        self.launches += 1
        self.served += 2 if "skinny_linear" in declaration["name"] else 1
        self.handed += self._known[key]

    def given(self, kernel: str, text: str) -> None:
        """A text for the extension."""
        self.handed += len(text.encode())


def texts(step: Step) -> Texts:
    """The shader texts of the next step; none where nothing is launched."""
    found = Texts()
    with route(step.on, launched=found.launched, given=found.given):
        step()
        step.settle()
    return found
