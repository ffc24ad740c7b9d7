"""The state of each case of a repair: to do, done, left out, and the files that record it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from monai.data import MetaTensor

from .. import __version__
from ..data.label_maps import write_label_map
from ..errors import InputError, unforeseen
from ..files import is_part_of, write_file
from ..fingerprints import digest_of
from ..headers import GridHeader
from ..output_record import is_free, is_recorded, remove
from ..rules.ledger import Change, merge_ledgers, write_ledger
from .load_masks import CaseInputs

LOGGER = logging.getLogger(__name__)


class CaseStates:
    """The cases of one run and their outputs: ``MAPS/CASE.nii.gz``, ``ledger/CASE.csv``, ``stamps/CASE.json``.

    A stamp holds digests of a case's inputs and outputs, the settings and the version, and no place nor time: it holds
    for a copy of the whole folder. It is written last, so that
    a case that was broken off has none. A case whose stamp still holds is passed by; so is a case at fault, that the
    others may finish. Outputs that were edited by hand since they were written are kept as they are.

    Args:
        inputs: of all cases.
        folder: where the outputs lie.
        channels: of the network.
        settings: all that the outputs depend on besides the inputs.
        resume: whether to pass by what is done.
        only_cases: names to restrict to, or a single one; empty for all. A command line gives a name of digits as a
            number.
        rank: number of this process, of ``world_size``; each takes every ``world_size``-th case.
        maps_dir: where the label maps go; empty for ``repaired`` in ``folder``.

    Raises:
        InputError: a name in ``only_cases`` that no case has, or a rank that is none.
    """

    def __init__(
        self,
        inputs: Sequence[CaseInputs],
        folder: str | Path,
        channels: int,
        settings: Mapping[str, Any],
        resume: bool = True,
        only_cases: Sequence[str | int] | str | int = (),
        rank: int = 0,
        world_size: int = 1,
        maps_dir: str | Path = "",
    ) -> None:
        if rank >= world_size:
            wanted = f"a number below the {world_size} of --world_size"
            raise InputError("--rank", str(rank), wanted, "Count the processes from 0.")
        self.folder, self.channels, self.world_size = Path(folder), channels, world_size
        self.maps = Path(maps_dir) if str(maps_dir) else self.folder / "repaired"
        self.settings = json.loads(json.dumps(dict(settings), default=repr))
        self.all = [one.case for one in inputs]
        self.inputs = {one.case: one for one in _chosen(inputs, only_cases)[rank::world_size]}
        self.faults: dict[str, InputError] = {}
        self.done: set[str] = set()
        self.kept: set[str] = set()
        # As they are before anything is read: a file that is changed meanwhile is then found to be another one.
        self.fingerprints: dict[str, dict[str, str]] = {}
        for case, one in self.inputs.items():
            try:
                one.check()
                self.fingerprints[case] = one.fingerprints()
            except InputError as error:
                self.blame(case, error)
                continue
            except Exception as error:
                LOGGER.error("%s failed", case, exc_info=error)
                self.blame(case, unforeseen(one.paths[0], error))
                continue
            if self.up_to_date(case):
                if resume:
                    self.done.add(case)
            elif not self._keep_edited(case):
                self._take_away(case)
        counts = len(self.inputs), len(self.done), len(self.faults)
        LOGGER.info("%d cases, %d of them up to date, %d left out", *counts)

    @property
    def items(self) -> list[dict[str, Any]]:
        """One item per case: its name, and as ``image`` a single voxel for the place of its masks."""
        voxel = MetaTensor(torch.zeros((self.channels, 1, 1, 1), dtype=torch.uint8))
        return [{"case": case, "image": voxel} for case in self.inputs]

    def repaired(self, case: str) -> Path:
        return self.maps / f"{case}.nii.gz"

    def ledger(self, case: str) -> Path:
        return self.folder / "ledger" / f"{case}.csv"

    def stamp(self, case: str) -> Path:
        return self.folder / "stamps" / f"{case}.json"

    def passes(self, case: str) -> bool:
        """Whether nothing is to be done for the case: it is done, or at fault."""
        return case in self.done or case in self.faults

    def blame(self, case: str, error: InputError) -> None:
        """Leave the case out from here on; it is named at the end of the run."""
        LOGGER.error("%s is left out: %s", case, error)
        self.faults[case] = error
        if case not in self.done:
            self._take_away(case)

    def _take_away(self, case: str) -> None:
        """Delete what an earlier run made of other inputs: should this one end before it, it would pass for its own."""
        for path in (self.stamp(case), self.repaired(case), self.ledger(case)):
            remove(path)

    def _keep_edited(self, case: str) -> bool:
        """Whether an output of the case is not what a run has written: one that was edited since stays, and the case
        counts as done; one that no run has ever written is the case's fault."""
        foreign = [path for path in (self.repaired(case), self.ledger(case)) if not is_free(path)]
        if not foreign:
            return False
        if all(is_recorded(path) for path in foreign) and self.repaired(case).is_file() and self.ledger(case).is_file():
            LOGGER.warning("%s: kept as it is, because it was edited since it was written", foreign[0])
            self.kept.add(case)
            self.done.add(case)
        else:
            remedy = "Move it away, choose another output, or add --overwrite."
            self.faults[case] = InputError(foreign[0], "a file that no run has written", "a place to write", remedy)
            LOGGER.error("%s is left out: %s", case, self.faults[case])
        return True

    @property
    def grids(self) -> dict[str, Path]:
        """By case, the file whose grid its label map lies on."""
        return {case: one.first for case, one in self.inputs.items()}

    def save(
        self,
        case: str,
        labels: UInt8[np.ndarray, "i j k"],
        affine: np.ndarray,
        changes: list[Change],
        header: GridHeader | None = None,
    ) -> None:
        """Write the case's outputs, its stamp last; the label map with the ``header`` of the one that came in.

        Raises:
            InputError: a place that cannot be written.
        """
        remove(self.stamp(case))
        for path in (self.repaired(case), self.ledger(case), self.stamp(case)):
            for beside in path.parent.glob(".*") if path.parent.is_dir() else ():
                if is_part_of(beside, path):
                    beside.unlink(missing_ok=True)  # left by a kill
        write_label_map(self.repaired(case), labels, affine, header=header)
        write_ledger(self.ledger(case), {case: changes})
        write_file(self.stamp(case), json.dumps(self._state(case), indent=2) + "\n", state=True)
        self.done.add(case)

    def up_to_date(self, case: str) -> bool:
        """Whether the case's outputs are what a run would make of its inputs now."""
        try:
            written = json.loads(self.stamp(case).read_text(encoding="utf-8"))
            return bool(written == self._state(case))
        except (OSError, ValueError):
            return False

    def merge(self) -> None:
        """Gather the ledgers of all finished cases, other processes' too, in ``ledger.csv``.

        Of several processes that end together the last to write has seen the cases of all: each looks again after it
        has written, and writes again if another has finished a case since.
        """
        written = None
        while (finished := self._finished()) != written:
            merge_ledgers(self.folder / "ledger", self.folder / "ledger.csv", list(finished))
            written = finished

    def _finished(self) -> dict[str, str]:
        """The stamps of all finished cases, by case."""
        both = [case for case in self.all if self.stamp(case).is_file() and self.ledger(case).is_file()]
        return {case: self.stamp(case).read_text(encoding="utf-8") for case in both}

    def _state(self, case: str) -> dict[str, Any]:
        outputs = {"repaired": self.repaired(case), "ledger": self.ledger(case)}
        return {
            "version": __version__,
            "settings": self.settings,
            "inputs": self.fingerprints[case],
            "outputs": {name: digest_of(path) for name, path in outputs.items()},
        }


def _chosen(inputs: Sequence[CaseInputs], only: Sequence[str | int] | str | int) -> list[CaseInputs]:
    several = only if isinstance(only, Sequence) and not isinstance(only, str) else [only] if only != "" else []
    names, known = [str(name) for name in several], {one.case for one in inputs}
    unknown = [name for name in names if name not in known]
    if unknown:
        found, wanted = f"no case {', '.join(unknown[:3])}", f"names among its {len(known)} cases"
        raise InputError("only_cases", found, wanted, "A case is called by its file's name without .nii.gz.")
    return [one for one in inputs if not names or one.case in names]
