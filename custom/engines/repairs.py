"""The cases of a repair: what is to do, what is done already, what cannot be done, and the files that say so."""

from __future__ import annotations

import glob
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
from ..cohort.label_maps import write_label_map
from ..consistency.ledger import Change, merge_ledgers, write_ledger
from ..errors import InputError
from ..files import write_file
from .fusion import CaseInputs

LOGGER = logging.getLogger(__name__)


class Repairs:
    """The cases of one run and their outputs: ``MAPS/CASE.nii.gz``, ``ledger/CASE.csv``, ``stamps/CASE.json``.

    A stamp holds fingerprints of a case's inputs and outputs, the settings and the version. It is written last, so that
    a case that was broken off has none. A case whose stamp still holds is passed by; so is a case at fault, that the
    others may finish.

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
        # As they are before anything is read: a file that is changed meanwhile is then found to be another one.
        self.fingerprints: dict[str, dict[str, str]] = {}
        for case, one in self.inputs.items():
            try:
                one.check()
                self.fingerprints[case] = one.fingerprints()
            except InputError as error:
                self.blame(case, error)
                continue
            if not self.up_to_date(case):
                self._take_away(case)
            elif resume:
                self.done.add(case)
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
        """Leave the case out from here on; the run says so at its end."""
        LOGGER.error("%s is left out: %s", case, error)
        self.faults[case] = error
        if case not in self.done:
            self._take_away(case)

    def _take_away(self, case: str) -> None:
        """Delete what an earlier run made of other inputs: should this one end before it, it would pass for its own."""
        for path in (self.stamp(case), self.repaired(case), self.ledger(case)):
            path.unlink(missing_ok=True)

    def save(self, case: str, labels: UInt8[np.ndarray, "i j k"], affine: np.ndarray, changes: list[Change]) -> None:
        """Write the case's outputs, its stamp last.

        Raises:
            InputError: a place that cannot be written.
        """
        self.stamp(case).unlink(missing_ok=True)
        for path in (self.repaired(case), self.ledger(case), self.stamp(case)):
            for left_by_a_kill in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
                left_by_a_kill.unlink(missing_ok=True)
        write_label_map(self.repaired(case), labels, affine)
        write_ledger(self.ledger(case), {case: changes})
        write_file(self.stamp(case), json.dumps(self._state(case), indent=2) + "\n")
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
        outputs = {"repaired": self.repaired(case).stat(), "ledger": self.ledger(case).stat()}
        return {
            "version": __version__,
            "settings": self.settings,
            "inputs": self.fingerprints[case],
            "outputs": {name: f"{stat.st_size}-{stat.st_mtime_ns}" for name, stat in outputs.items()},
        }


def _chosen(inputs: Sequence[CaseInputs], only: Sequence[str | int] | str | int) -> list[CaseInputs]:
    several = only if isinstance(only, Sequence) and not isinstance(only, str) else [only] if only != "" else []
    names, known = [str(name) for name in several], {one.case for one in inputs}
    unknown = [name for name in names if name not in known]
    if unknown:
        found, wanted = f"no case {', '.join(unknown[:3])}", f"names among its {len(known)} cases"
        raise InputError("only_cases", found, wanted, "A case is called by its file's name without .nii.gz.")
    return [one for one in inputs if not names or one.case in names]
