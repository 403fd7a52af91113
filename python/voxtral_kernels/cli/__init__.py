"""The command ``voxtral-kernels``: ``app`` gathers the commands, each has a file of its own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. ``argv`` None: the process's arguments.

    Next to nothing is imported before signals are taken care of: a Ctrl-C while the rest comes ends the program without
    a word.
    """
    from . import ending

    with ending.Signals(last=argv is None):
        from . import console

        with console.standard_streams():
            try:
                from . import app
            except ImportError as error:  # an MLX that the package does not work with, or none
                console.print_error(error)
                return 2
            return app.run(argv)


__all__ = ["main"]
