"""The request of a completion, and the checks of its values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..completion.set_checkpoint import load_completion, network_of
from ..errors import InputError
from ..metrics.completion_rows import COMPLETED, GIVEN
from ..surfaces.cloud_frame import SCALE_MM
from .check_label_map import CheckedCase
from .repair_request import check_count, check_device

FOLDERS = ("completed", "source", "confidence")
"""Of maps that a completion writes."""


@dataclass(frozen=True, kw_only=True)
class CompletionRequest:
    """A completion of a data set.

    Attributes:
        labels: a folder of label maps, one label map, or a MONAI data list.
        output: folder for everything that is written.
        checkpoint: of a run of heart_completion.
        smooth_given: draw the given structures by the network too, instead of keeping them voxel by voxel.
        structures: to complete; empty for all that a label map lacks.
        reference: folder of true label maps of the same names, to score against; ``None``: there is none.
        device: such as ``cpu`` or ``cuda``; empty for a GPU if there is one.
        workers: processes; 0 for as many as there are cores, and one for completing on a GPU.
        label_table: which number is which structure.
        tolerance_mm: of the surface Dice.
        overwrite: whether files in the output folder that no run has written, or that were edited since, are replaced.
        draws: random subsets of the given surface points that are encoded; their predictions are averaged.
    """

    labels: Path
    output: Path
    checkpoint: Path
    smooth_given: bool = False
    structures: Sequence[str] = ()
    reference: Path | None = None
    device: str = ""
    workers: int = 0
    label_table: str = PUBLIC_CARDIAC_CT.name
    tolerance_mm: float = 1.0
    draws: int = 4
    overwrite: bool = False

    @property
    def table(self) -> StructureTable:
        return table(self.label_table)

    @property
    def asked_on(self) -> str:
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def hands(self) -> int:
        """Processes for what runs on the CPU."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the structures to complete, in the table's order."""
        chosen = {self.table[name].name for name in self.structures}
        return tuple(name for name in self.table.names if not chosen or name in chosen)

    def sources(self, case: CheckedCase) -> dict[str, str]:
        """By structure of a case: whether it is given or is to be completed; what is neither is left out."""
        groups = {
            name: GIVEN if name in case.structures else COMPLETED if name in self.wanted else ""
            for name in self.table.names
        }
        return {name: group for name, group in groups.items() if group}

    def missing(self, case: CheckedCase) -> list[str]:
        """Names of the structures to complete in a case."""
        return [name for name, group in self.sources(case).items() if group == COMPLETED]


@dataclass(frozen=True)
class Trained:
    """What is known of a checkpoint: phase, number of weights, whether anything was ever hidden from it, and its frame:
    mm that are 1 in it, and its centre if that is one place for all cases."""

    phase: str
    weights: int
    completes: bool
    scale_mm: float = SCALE_MM
    centre_mm: tuple[float, ...] = ()


def check(request: CompletionRequest) -> Trained:
    """Refuse what no completion can use, before anything is written.

    Raises:
        InputError: naming the flag; no checkpoint, one of another bundle or table, or one that was never trained.
    """
    _ = request.wanted
    check_count("--workers", request.workers)
    check_count("--draws", request.draws, least=1)
    check_device(request.asked_on)
    if request.reference is not None and not request.reference.is_dir():
        found, wanted = "no such folder", "a folder of true label maps"
        raise InputError(request.reference, found, wanted, "Check --reference.")
    folders = [(request.output / folder).resolve() for folder in FOLDERS]
    if request.reference is not None and request.reference.resolve() in folders:
        found, wanted = "the folder that is to be scored", "true label maps"
        raise InputError(request.reference, found, wanted, "Choose another --reference.")
    return check_trained(request.checkpoint, request.label_table)


def check_trained(checkpoint: Path, label_table: str) -> Trained:
    """What a checkpoint is. Raises ``InputError`` as :func:`check`."""
    content = load_completion(checkpoint, label_table)
    if content.get("epoch") == 0:
        found, remedy = "a network that was never trained", "Train it first; docs/README.md of the bundle says how."
        raise InputError(checkpoint, found, "the checkpoint of a run of at least one epoch", remedy)
    weights = sum(parameter.numel() for parameter in network_of(content).parameters())
    frame = content["settings"]["frame"]
    scale_mm, centre_mm = float(frame["scale_mm"]), tuple(frame["centre_mm"])
    return Trained(str(content["phase"]), weights, _has_hidden(content["settings"]), scale_mm, centre_mm)


def _has_hidden(settings: Mapping[str, Any]) -> bool:
    """Whether the run, or one it began with, hid structures: only then it was trained to complete missing ones."""
    by_chance = max(settings.get("hidden_counts") or [0]) > 0
    return bool(by_chance or settings.get("scheme_share") or settings.get("subset_share") or settings.get("init_from"))
