"""The commands and what they have in common: one-line errors, exit statuses.

Exit status: 0 done; 1 some recordings were not transcribed, or ``emulate`` has findings; 2 wrong usage, wrong input or
any other error, one line on standard error; 128 + N ended by signal N (130: Ctrl-C), after what was transcribed so far;
141 the reader of standard output is gone. Everything heavy is imported by the command that needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from . import ask, bulk, convert, emulate, info, mic, plugins, serve, transcribe
from .console import abandon_stdout, print_error, print_text
from .ending import Ended

ERROR, INTERRUPTED, READER_GONE = 2, 130, 141
# Set it to see where an unexpected error comes from.
TRACEBACK = "VOXTRAL_KERNELS_TRACEBACK"
# The shell sets it to ask for completions.
COMPLETION = "_VOXTRAL_KERNELS_COMPLETE"

app = typer.Typer(
    name="voxtral-kernels",
    help="Transcribe speech with the Voxtral models, on kernels written for MLX.",
    context_settings={"help_option_names": ["-h", "--help"]},
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
app.command("bulk")(bulk.bulk)
app.command("mic")(mic.mic)
app.command("serve")(serve.serve)
app.command("info")(info.info)
app.command("convert")(convert.convert)
app.command("emulate")(emulate.emulate)


plugins.register(app)


def run(argv: Sequence[str] | None) -> int:
    """Run a command; returns the exit status. ``argv`` None: the process's arguments."""
    try:
        return _invoke(sys.argv[1:] if argv is None else list(argv))
    except typer.Exit as end:
        return end.exit_code
    except Ended as end:
        return end.status
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except SystemExit as end:  # of a plug-in's own parser
        return end.code if isinstance(end.code, int) else 0 if end.code is None else ERROR
    except BrokenPipeError:
        abandon_stdout()
        return READER_GONE
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        print_error(error)
        return ERROR


def _invoke(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    if os.environ.get(COMPLETION):
        command.main(args=arguments, prog_name="voxtral-kernels")
    # Not command.main: it turns a broken pipe into status 1, and every signal into Ctrl-C.
    with command.make_context("voxtral-kernels", arguments) as context:
        return command.invoke(context) or 0
