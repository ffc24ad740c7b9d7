"""The label maps and the ledger that a repair ends with: those of stage 2, or those of stage 3."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..consistency.ledger import Change, read_ledger, write_ledger
from ..files import replacing

STAGE3 = "unified "
"""Before the name of a rule in the ledger: it was followed on the label map that stage 3 has drawn."""


def map_of(output: Path, stage: str, case: str) -> Path:
    """The label map of a case in one of the folders ``fused``, ``unified`` and ``repaired``."""
    return output / stage / f"{case}.nii.gz"


def publish(output: Path, cases: Sequence[str], final: str, folder: str = "repaired") -> None:
    """Let a folder hold the label maps of one stage, as far as there are any: hard links, or copies where the file
    system has none. Each is put in its place whole; one that is there already stays.

    Args:
        output: of the repair.
        cases: all of them.
        final: a name in ``FINALS``.
        folder: in the output.

    Raises:
        InputError: the place cannot be written.
    """
    for case in cases:
        source, place = map_of(output, final, case), map_of(output, folder, case)
        if not source.is_file():
            place.unlink(missing_ok=True)  # of an earlier run
        elif not _same(source, place):
            _link(source, place)


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


def _same(source: Path, place: Path) -> bool:
    """Whether the place holds the very file, or a copy of it that has kept its time."""
    if not place.is_file():
        return False
    one, other = source.stat(), place.stat()
    return os.path.samestat(one, other) or (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _link(source: Path, place: Path) -> None:
    with replacing(place) as beside:
        beside.unlink(missing_ok=True)  # of a process of that number, killed
        try:
            os.link(source, beside)
        except OSError:
            shutil.copy2(source, beside)
