"""The ``corfield`` command."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any

import fire

from . import __version__
from .anatomy import PUBLIC_CARDIAC_CT
from .cohort.defects import Defects
from .cohort.make import make_cohort
from .doctor.command import run_check
from .errors import InputError
from .export.bundle import run_export
from .pipeline.demo import run_demo
from .pipeline.repair import run_repair
from .pipeline.request import Request
from .pipeline.score import run_score
from .pipeline.typed import flag, listed, tables


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
        for name, severity in severities.items():
            if isinstance(severity, bool) or not isinstance(severity, (int, float)):
                raise InputError(f"--{name}", repr(severity), "a severity, a number from 0 to 10", "1 is usual.")
        paths = make_cohort(Path(str(output)), cases, size, seed, Defects(**severities))
        print(f"{len(paths)} cases in {output}: truth/ and labels/")

    def repair(
        self,
        labels: str,
        output: str,
        reference: str = "",
        structures: str = "",
        preset: str = "standard",
        device: str = "",
        workers: int = 0,
        strict_components: bool = False,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        table_changes: str = "",
        seg_nrrd: bool = False,
        seed: int = 0,
    ) -> None:
        """Repair a data set of label maps: OUTPUT/repaired, and beside it proof of what was changed.

        Every file is checked first; a faulty one is named and left out, the others are repaired, and the exit code
        is 1. A plan with the expected time is printed before anything costs time. Stopped at any moment, by Ctrl-C too,
        the same command goes on where it stopped and ends with the same files; what is up to date is not done again.

        Written are repaired/NAME.nii.gz (native grid and affine), ledger.csv (each removal and addition, in mm3, and
        why), metrics.csv, report/index.html (opens offline), stage1/ (a field and masks per structure) and logs/.

        Args:
            labels: folder of label maps (.nii, .nii.gz), one label map, or a MONAI data list (.json).
            output: folder to write; give the same one again to go on.
            reference: folder of true label maps of the same names, to score against.
            structures: names or numbers with commas between them, such as LA,LAA,Coronary: only these are trained, the
                others are taken from the label maps. All of them if left out.
            preset: quick (three quarters of the training, a first look), standard, or full (323 features, for a GPU).
            device: cpu or cuda; the GPU if left out and there is one.
            workers: processes; as many as there are cores if left out, and one for training on a GPU.
            strict_components: keep the table's numbers of pieces to the letter; else large ones in contact are spared.
            label_table: which number is which structure: public_cardiac_ct or totalsegmentator_heart.
            table_changes: other limits for the rules, as JSON, such as {"PV": {"components": 4}}.
            seg_nrrd: write slicer/NAME.seg.nrrd too, which 3D Slicer opens with names and colours.
            seed: of everything random.
        """
        request = Request(
            labels=Path(str(labels)),
            output=Path(str(output)),
            reference=Path(str(reference)) if reference != "" else None,
            structures=listed(structures),
            preset=str(preset),
            device=str(device),
            workers=workers,
            strict_components=flag("--strict_components", strict_components),
            label_table=str(label_table),
            table_changes=tables(table_changes),
            seg_nrrd=flag("--seg_nrrd", seg_nrrd),
            seed=seed,
        )
        outcome = run_repair(request, say)
        say(outcome.text)
        end_with(outcome.faults)

    def score(
        self,
        prediction: str,
        reference: str,
        output: str = "",
        label_table: str = PUBLIC_CARDIAC_CT.name,
        structures: str = "",
        workers: int = 0,
        tolerance_mm: float = 1.0,
    ) -> None:
        """Score label maps against references of the same names: Dice, HD95, ASSD, surface Dice, pieces.

        A case that cannot be scored is named, the others are scored, and the exit code is 1.

        Args:
            prediction: folder of label maps, a MONAI data list (.json), or one label map.
            reference: the same of the truth, on the same grids; one label map for one.
            output: folder for scores.csv (a line per case and structure) and scores.json (means); nothing if left out.
            label_table: which number is which structure: public_cardiac_ct or totalsegmentator_heart.
            structures: names or numbers with commas between them; all if left out.
            workers: processes; as many as there are cores if left out.
            tolerance_mm: of the surface Dice.
        """
        scored = run_score(
            Path(str(prediction)),
            Path(str(reference)),
            Path(str(output)) if output != "" else None,
            str(label_table),
            listed(structures),
            workers,
            tolerance_mm,
        )
        say(scored.text)
        end_with(scored.faults)

    def demo(self, output: str = "demo", cases: int = 6, size: int = 96, seed: int = 0, workers: int = 0) -> None:
        """Make a damaged phantom cohort, repair all ten structures of it, and print the scores against the known truth.

        The same as `corfield phantoms` and `corfield repair --preset quick --reference`. OUTPUT/report/index.html
        shows every case before and after.

        Args:
            output: folder to write.
            cases: number of phantom hearts.
            size: voxels a side.
            seed: of the cohort and the training.
            workers: processes; as many as there are cores if left out.
        """
        outcome = run_demo(Path(str(output)), cases, size, seed, workers, say)
        say(outcome.text)
        end_with(outcome.faults)

    def export(
        self, bundle: str, output: str, layout: str = "vendored", checkpoint: str = "", overwrite: bool = False
    ) -> None:
        """Write a bundle to one zip that runs elsewhere, with nothing else of this project.

        Before it takes its place the zip is unpacked into an empty folder and tried there. It holds one folder, called
        like the bundle; the same bundle and weights give the same bytes.

        Args:
            bundle: name of a bundle, such as near_stage1, or the folder of one.
            output: .zip to write.
            layout: vendored (configs as they are, custom/ beside them, requirements.txt) or zoo (MONAI model zoo:
                scripts/ instead of custom/, the prefix rewritten).
            checkpoint: a trained checkpoint (best.pt) to go with it; its configs then take it by default.
            overwrite: replace the zip if it exists.
        """
        weights = Path(str(checkpoint)) if checkpoint != "" else None
        say(run_export(str(bundle), Path(str(output)), str(layout), weights, flag("--overwrite", overwrite)).text)

    def check(self, *targets: str, **settings: Any) -> None:
        """Examine a bundle, or configs merged in order, for all that would stop a run; build and write nothing.

        Every fault is listed with its config, its id, its cause and what to do, and the exit code is 1; a sound list of
        configs is one line, with what was looked at.

        Args:
            targets: folder of one bundle, every config of which is examined; or configs, later ones over earlier ones.
            settings: laid over the configs as on MONAI's command line, such as --max_epochs 7.
        """
        checked = run_check(*targets, **settings)
        say(checked.text)
        if checked.faults:
            sys.exit(1)

    def version(self) -> None:
        """Print the version."""
        print(__version__)


def say(text: str) -> None:
    """Print at once: what comes before hours of work must not wait for them."""
    print(f"{text}\n", flush=True)


def end_with(faults: Sequence[str]) -> None:
    """Name what was left out, and end with exit code 1; without faults just go on."""
    if faults:
        for fault in faults:
            sys.stderr.write(f"left out: {fault}\n")
        sys.stderr.write(f"{len(faults)} faults; the rest is done\n")
        sys.exit(1)


def check_flags(arguments: list[str]) -> None:
    """Refuse a flag that the command does not have. Fire would say so only once the command is done.

    Raises:
        InputError: naming the nearest flag.
    """
    command = getattr(Commands, arguments[0], None) if arguments and not arguments[0].startswith("_") else None
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
