"""The commands and what they have in common: one-line errors, exit statuses.

Exit status: 0 done; 2 wrong usage, wrong input or any other error, one line on standard error; 130 interrupted, after
what was transcribed so far. Everything heavy is imported by the command that needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from . import ask, convert, info, mic, plugins, transcribe
from .console import ERROR, INTERRUPTED, Interrupted, print_error, print_text

# Set it to see where an unexpected error comes from.
TRACEBACK = "VOXTRAL_KERNELS_TRACEBACK"

app = typer.Typer(
    name="voxtral-kernels",
    help="Transcribe speech with the Voxtral models, on kernels written for MLX.",
    add_completion=False,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
)


@app.callback()
def voxtral_kernels(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Transcribe speech with the Voxtral models, on kernels written for MLX."""
    if version:
        from .. import __version__

        print_text(f"voxtral-kernels {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print_text(context.get_help() + "\n")


app.command("transcribe")(transcribe.transcribe)
app.command("ask")(ask.ask)
app.command("mic")(mic.mic)
app.command("info")(info.info)
app.command("convert")(convert.convert)


plugins.register(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. ``argv`` None: the process's arguments."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a transcript is not lost to a terminal that lacks a letter
    try:
        return _run(argv)
    except Interrupted as interruption:
        print_text(interruption.partial)
        return INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except SystemExit as end:  # of a plug-in's own parser
        return end.code if isinstance(end.code, int) else 0 if end.code is None else ERROR
    except BrokenPipeError:
        # The reader of our output is gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        print_error(error)
        return ERROR


def _run(argv: Sequence[str] | None) -> int:
    command = typer.main.get_command(app)
    arguments = None if argv is None else list(argv)
    return command.main(args=arguments, prog_name="voxtral-kernels", standalone_mode=False) or 0
