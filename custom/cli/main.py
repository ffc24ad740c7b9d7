"""The entry point of the ``corfield`` command."""

from __future__ import annotations

import inspect
import logging
import sys
from difflib import get_close_matches
from itertools import takewhile
from typing import Any

import fire

from .. import __version__
from ..cohort.defects import Defects
from ..errors import InputError
from .bundling import Bundling
from .completing import Completing
from .modelling import Modelling
from .repairing import Repairing
from .reporting import Reporting
from .slicing import Slicing


class Commands(Repairing, Bundling, Modelling, Completing, Slicing, Reporting):
    """Repair noisy cardiac label maps with implicit functions. `corfield COMMAND --help` tells more."""

    def version(self) -> None:
        """Print the version."""
        print(__version__)


def check_flags(arguments: list[str]) -> None:
    """Refuse a flag that the command does not have. Fire would say so only once the command is done.

    Raises:
        InputError: naming the nearest flag.
    """
    name = arguments[0].replace("-", "_") if arguments else ""
    command = getattr(Commands, name, None) if name and not name.startswith("_") else None
    if command is None or command is Commands.check:  # which judges the settings of a config itself
        return
    known = [name for name in inspect.signature(command).parameters if name != "self"]
    if "severities" in known:
        known = [name for name in known if name != "severities"] + list(Defects.__dataclass_fields__)
    for argument in takewhile(lambda argument: argument != "--", arguments[1:]):
        name = argument[2:].split("=")[0].replace("-", "_")
        if argument.startswith("--") and name not in known:
            near = get_close_matches(name, known, n=1)
            wanted = f"one of --{', --'.join(known)}" if known else "no flag"
            hint = f"Did you mean --{near[0]}?" if near else "Choose one of them."
            raise InputError(f"--{name}", "no such flag", wanted, hint if known else "Leave it out.")


def asking_for_help(arguments: list[str]) -> list[str]:
    """``COMMAND --help`` as ``COMMAND -- --help``: a command that takes any flag would take this one for its own."""
    if "--" in arguments or not {"--help", "-h"} & set(arguments):
        return arguments
    return [*takewhile(lambda argument: not argument.startswith("-"), arguments[:1]), "--", "--help"]


def main(arguments: list[str] | None = None) -> None:
    """Entry point: an ``InputError`` becomes one line on standard error and exit code 2, Ctrl-C one and 130."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("custom").setLevel(logging.INFO)
    given = asking_for_help(sys.argv[1:] if arguments is None else arguments)
    try:
        check_flags(given)
        command: Any = fire.Fire(Commands(), command=given, name="corfield")
        del command
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the same command goes on where it stopped\n")
        sys.exit(130)
