"""The label maps and the ledger that a repair ends with: those of stage 2, or those of stage 3."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..files import replacing
from ..fingerprints import digest_of
from ..output_record import is_free, is_recorded, remove
from ..rules.ledger import Change, read_ledger, write_ledger

LABEL_MAPS = ("repaired", "fused", "unified")
"""Folders of whole label maps."""

STAGE3 = "unified "
"""Before the name of a rule in the ledger: it was followed on the label map that stage 3 has drawn."""


def map_of(output: Path, stage: str, case: str) -> Path:
    """The label map of a case in one of the folders ``fused``, ``unified`` and ``repaired``."""
    return output / stage / f"{case}.nii.gz"


def publish(output: Path, cases: Sequence[str], final: str, folder: str = "repaired") -> list[Path]:
    """Copy the label maps of one stage, as far as there are any, to a folder; one that is there already stays.

    A copy shares nothing with its source, so that either may be corrected by hand. A label map in the folder that was
    corrected by hand, or put there by somebody else, is kept.

    Args:
        output: of the repair.
        cases: all of them.
        final: a name in ``FINALS``.
        folder: in the output.

    Returns:
        The label maps in the folder that were kept, although they are not those of the stage.

    Raises:
        InputError: the place cannot be written.
    """
    kept = []
    for case in cases:
        source, place = map_of(output, final, case), map_of(output, folder, case)
        if not source.is_file():
            remove(place)  # of an earlier run
        elif place.is_file() and digest_of(source) == digest_of(place):
            continue
        elif is_free(place):
            with replacing(place) as beside:
                shutil.copyfile(source, beside)
        else:
            kept.append(place)
    return kept


def kept_files(output: Path, cases: Sequence[str]) -> tuple[list[str], list[str]]:
    """Remarks on the files that this run found and left: those edited by hand since they were written, and label
    maps that no run has written, a line each.

    Args:
        output: of the repair.
        cases: all of them.
    """
    edited, foreign = [], []
    for path in _guarded(output, cases):
        if is_free(path):
            continue
        if is_recorded(path):
            edited.append(f"KEPT: {path} was edited since it was written; --overwrite replaces it")
        elif path.parent.name in LABEL_MAPS:
            remedy = "Move it away, or add --overwrite."
            foreign.append(str(InputError(path, "a label map that no run has written", "a place to write", remedy)))
    return edited, foreign


def _guarded(output: Path, cases: Sequence[str]) -> Iterator[Path]:
    """The files of a repair that somebody may have edited."""
    yield output / "report" / "index.html"
    masks = output / "stage1" / "masks"
    folders = [*sorted(path for path in masks.iterdir() if path.is_dir())] if masks.is_dir() else []
    for case in cases:
        yield from (map_of(output, stage, case) for stage in LABEL_MAPS)
        yield output / "ledger" / f"{case}.csv"
        yield output / "slicer" / f"{case}.seg.nrrd"
        yield from (folder / f"{case}.nii.gz" for folder in folders)


def final_changes(output: Path, case: str, final: str) -> list[Change]:
    """What was changed in a case by the rules of stage 2, then by those of stage 3 if it has the last word.

    Without a ledger of stage 3 there was nothing to be drawn.

    Raises:
        InputError: no ledger of stage 2, or one that is none.
    """
    changes = list(read_ledger(output / "ledger" / f"{case}.csv").get(case, ()))
    later = output / "unified_run" / "ledger" / f"{case}.csv"
    if final == "unified" and later.is_file():
        changes += [replace(change, rule=STAGE3 + change.rule) for change in read_ledger(later).get(case, ())]
    return changes


def write_changes(output: Path, cases: Sequence[str], final: str) -> None:
    """Write ``OUTPUT/ledger.csv``: the changes of all cases. Raises ``InputError`` as :func:`final_changes`."""
    write_ledger(output / "ledger.csv", {case: final_changes(output, case, final) for case in cases})
