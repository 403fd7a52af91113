"""What the translator found in a text."""

from __future__ import annotations

from dataclasses import dataclass, field

from .parameters import Parameter
from .tokens import Token


@dataclass(frozen=True)
class Kernel:
    """A kernel function, or the template of one."""

    name: str
    parameters: list[Parameter]
    is_template: bool
    at: Token


@dataclass
class Unit:
    """A translated text."""

    text: str
    kernels: dict[str, Kernel] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)  # host_name -> template id
    signatures: dict[str, str] = field(default_factory=dict)  # host_name -> parameters, where they decide the instance
    constants: dict[int, str] = field(default_factory=dict)  # index -> name
    variables: list[str] = field(default_factory=list)  # threadgroup variables by id
