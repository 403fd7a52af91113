"""What hangs on types and is refused by Apple's compiler alone: asked of the host's compiler, before it compiles.

Two things: conversions that clang makes by itself (``dialect.tree``), and function constants where the language wants a
constant expression. To the emulator a function constant is one, as each set of values is a compilation of its own; here
it is declared without its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .. import dialect, toolchain
from ..errors import KernelError


def require(text: str, defines: Sequence[str], constants: Mapping[int, str], is_ours: Callable[[str], bool]) -> None:
    """Raises KernelError, naming each line, if the text breaks a rule about types. Passing is remembered on disk.

    Args:
        text: Translated, with its entry points.
        defines: The macros that it is compiled with, those of the function constants among them.
        constants: Names of the function constants, by index.
        is_ours: Whether no rule holds in the file of a path.
    """
    passed = toolchain.verdict_file(text, defines, Path(dialect.tree.__file__))
    if toolchain.is_kept(passed):
        return
    undefined = [f"MSL_CONSTANT_{index}(type)=extern constant type {name};" for index, name in constants.items()]
    others = [d for d in defines if not d.startswith("MSL_CONSTANT_") or "_DEFINED=" in d]
    try:
        tree = toolchain.syntax_tree(text, [*others, *undefined])
    except KernelError as error:
        if not constants:
            raise
        toolchain.syntax_tree(text, defines)  # raises if the constants are not to blame
        rule = dialect.tree.CONSTANT
        raise KernelError(f"{error}\n{rule.text} [{rule.name}, MSL {rule.section}]") from None
    violations = dialect.tree.check(tree, is_ours)
    if violations:
        raise KernelError("\n".join(map(str, violations)))
    toolchain.mark(passed)
