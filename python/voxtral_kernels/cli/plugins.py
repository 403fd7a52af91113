"""Commands of other parts of the package: a module with ``main(argv) -> int``, which parses for itself."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import typer

from .._paths import PACKAGE
from . import ending
from .ending import Mode

# Command, module, help. A command whose module this version does not have is not offered.
PLUGINS = (
    ("bench", "voxtral_kernels._bench.__main__", "Benchmarks; --help lists the suites."),
    ("report", "voxtral_kernels._bench.suites.report", "This machine for an issue: one JSON and one HTML."),
    ("selftest", "voxtral_kernels.selftest", "Check the kernels on this machine."),
)


def register(app: typer.Typer) -> None:
    """Add every command that is there."""
    for name, module, text in PLUGINS:
        if _is_there(module):
            _add(app, name, module, text)


def _add(app: typer.Typer, name: str, module: str, text: str) -> None:
    def command(context: typer.Context) -> None:
        with ending.mode(Mode.RAISE):
            raise typer.Exit(importlib.import_module(module).main(list(context.args)) or 0)

    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(name, help=text, context_settings=settings)(command)


def _is_there(module: str) -> bool:
    if module.startswith("voxtral_kernels._bench"):  # by its folder: finding a submodule would import its package
        return (PACKAGE / "_bench").is_dir() or _adopt_checkout()
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _adopt_checkout() -> bool:
    """In a checkout the benchmarks lie beside the package's sources; make them its subpackage, as in a wheel."""
    folder = PACKAGE.parents[1] / "bench"
    name = "voxtral_kernels._bench"
    if name in sys.modules:
        return True
    if not (folder / "__main__.py").is_file() or not (folder.parent / "pyproject.toml").is_file():
        return False
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        return False
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return True
