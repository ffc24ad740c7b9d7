"""The entry point of the ``corfield`` command."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import takewhile

from .. import __version__
from ..errors import InputError
from ..output_record import writing_as
from .argument_reader import read
from .bundle_commands import BundleCommands
from .completion_commands import CompletionCommands
from .console_output import REFUSED, STOPPED, UNREAD, exit_with_error, print_error, print_line
from .help_text import explained
from .model_commands import ModelCommands
from .repair_commands import RepairCommands
from .report_commands import ReportCommands
from .slice_commands import SliceCommands


class Commands(RepairCommands, BundleCommands, ModelCommands, CompletionCommands, SliceCommands, ReportCommands):
    """Repair noisy cardiac label maps with implicit functions. `corfield COMMAND --help` tells more.

    Exit codes: 0 done; 1 something was left out, or a check found a fault, and what it was is named; 2 refused, or
    given up for a reason that is named; 130 stopped by Ctrl-C; 141 nobody reads what is printed any more.
    """

    def version(self) -> None:
        """Print the version."""
        print_line(__version__, end="\n")


NAMES = tuple(name for name in dir(Commands) if not name.startswith("_"))
HELP, VERSION = {"--help", "-h"}, "--version"


def command_named(word: str) -> str:
    """The command that a word names, ``check-clouds`` or ``check_clouds``.

    Raises:
        InputError: naming the nearest.
    """
    name = word.replace("-", "_")
    if name in NAMES:
        return name
    near = get_close_matches(name, NAMES, n=1)
    remedy = f"Did you mean {near[0]}?" if near else "`corfield --help` explains them."
    raise InputError(word or "''", "no such command", f"one of {', '.join(NAMES)}", remedy)


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether help is asked for, by a flag or, as Fire has it, by nothing else behind ``--``."""
    return (
        bool(HELP & set(takewhile(lambda word: word != "--", words)))
        or list(words[-2:-1]) == ["--"]
        and (words[-1] in HELP)
    )


def run_command(words: Sequence[str]) -> None:
    """Do what a command line says. Raises ``InputError``: it does not say anything that can be done."""
    commands = Commands()
    if not words or words[0] in HELP:
        print_line(explained(commands), end="\n")
    elif words[0] == VERSION and len(words) == 1:
        commands.version()
    else:
        name = command_named(words[0])
        if asks_for_help(words[1:]):
            print_line(explained(commands, name), end="\n")
            return
        command = getattr(commands, name)
        listed, named = read(command, words[1:])
        with writing_as(name):
            command(*listed, **named)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: an ``InputError`` becomes one line on standard error and exit code 2, Ctrl-C one and 130."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("custom").setLevel(logging.INFO)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path need not be text
    try:
        run_command(sys.argv[1:] if arguments is None else arguments)
    except InputError as error:
        print_error("error: " + str(error).replace("\n", "\\n"))
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        print_error("\nstopped; the same command goes on where it stopped")
        sys.exit(STOPPED)
    except BrokenPipeError:
        sys.exit(UNREAD)
    finally:
        exit_with_error(sys.stdout)
        exit_with_error(sys.stderr)
