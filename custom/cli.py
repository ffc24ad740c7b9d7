"""The ``corfield`` command."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import fire

from . import __version__
from .cohort.defects import Defects
from .cohort.make import make_cohort
from .errors import InputError
from .report.demo import run_demo


class Commands:
    """Repair noisy cardiac label maps with implicit functions. `corfield COMMAND --help` tells more."""

    def phantoms(self, output: str, cases: int = 6, size: int = 96, seed: int = 0, **severities: float) -> None:
        """Write a cohort of phantom hearts with known truth: OUTPUT/truth and OUTPUT/labels, the truth damaged.

        Args:
            output: folder to write.
            cases: number of hearts.
            size: voxels a side; the field of view is 144 mm whatever the size.
            seed: the same seed gives the same bytes.
            severities: of each kind of damage, 0 off, 1 the default: --steps, --jitter, --boundary, --crumbs, --holes,
                --cuts, --detach.
        """
        known = Defects.__dataclass_fields__
        unknown = sorted(set(severities) - set(known))
        if unknown:
            raise InputError(f"--{unknown[0]}", "no such setting", f"one of --{', --'.join(known)}", "Choose one.")
        paths = make_cohort(Path(output), cases, size, seed, Defects(**severities))
        print(f"{len(paths)} cases in {output}: truth/ and labels/")

    def demo(self, output: str = "demo", cases: int = 6, size: int = 96, seed: int = 0) -> None:
        """Make a phantom cohort, repair three structures of it, print the scores and draw a picture: about 5 minutes.

        Args:
            output: folder to write.
            cases: number of phantom hearts.
            size: voxels a side.
            seed: of the cohort and the training.
        """
        print(run_demo(Path(output), cases, size, seed))

    def version(self) -> None:
        """Print the version."""
        print(__version__)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: an ``InputError`` becomes one line on standard error and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("custom").setLevel(logging.INFO)
    try:
        command: Any = fire.Fire(Commands(), command=arguments, name="corfield")
        del command
    except InputError as error:
        sys.exit(f"error: {error}")
