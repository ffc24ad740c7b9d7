"""The request of a repair, and the checks of its values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, adjusted
from ..errors import InputError
from ..training.setting_rules import LARGEST, RULES
from .presets import preset_named

FINALS = ("fused", "unified")
FINAL = "fused"
"""The stage whose label maps a repair ends with by default."""


@dataclass(frozen=True, kw_only=True)
class RepairRequest:
    """A repair of a data set.

    Attributes:
        labels: a folder of label maps, one label map, or a MONAI data list.
        output: folder for everything that is written.
        reference: folder of true label maps of the same names, to score against; ``None``: there is none.
        structures: that stage 1 repairs; empty for all. The others are taken from the label maps.
        preset: how thoroughly fields are trained, a name in ``PRESETS``.
        device: where fields are trained, such as ``cpu`` or ``cuda``; empty for a GPU if there is one.
        workers: processes; 0 for as many as there are cores, and one for training on a GPU.
        strict_components: whether the numbers of pieces of the table are kept to the letter.
        label_table: which number is which structure.
        table_changes: fields of structures to replace, such as ``{"PV": {"components": 4}}``.
        seg_nrrd: whether files for 3D Slicer are written.
        seed: of everything random.
        overrides: settings of stage 1 to use instead of the preset's.
        skip_unified: whether stage 3, the field of the whole heart, is left out.
        final: whose label maps become ``OUTPUT/repaired``, one of :data:`FINALS`.
        unified_overrides: settings of stage 3 to use instead of the preset's.
        allow_lost: whether a structure that is gone from a case altogether is no fault.
        overwrite: whether files in the output folder that no run has written, or that were edited since, are replaced.
    """

    labels: Path
    output: Path
    reference: Path | None = None
    structures: Sequence[str] = ()
    preset: str = "standard"
    device: str = ""
    workers: int = 0
    strict_components: bool = False
    label_table: str = PUBLIC_CARDIAC_CT.name
    table_changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seg_nrrd: bool = False
    seed: int = 0
    overrides: Mapping[str, Any] = field(default_factory=dict)
    skip_unified: bool = False
    final: str = FINAL
    unified_overrides: Mapping[str, Any] = field(default_factory=dict)
    allow_lost: bool = False
    overwrite: bool = False

    @property
    def table(self) -> StructureTable:
        return adjusted(self.label_table, self.table_changes)

    @property
    def trained_on(self) -> str:
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def hands(self) -> int:
        """Processes for what runs on the CPU."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def trainers(self) -> int:
        """Processes for training."""
        return self.workers or (self.hands if self.trained_on == "cpu" else 1)


def check(request: RepairRequest) -> None:
    """Refuse what no repair can use, before anything is written.

    Raises:
        InputError: naming the flag.
    """
    preset_named(request.preset)
    if request.final not in FINALS:
        raise InputError("--final", repr(request.final), f"one of {', '.join(FINALS)}", "Choose one of them.")
    if request.skip_unified and request.final == "unified":
        raise InputError("--final", "unified beside --skip_unified", "one of the two", "Leave one of them out.")
    for name in request.structures:
        request.table[name]
    for structure in request.table:
        for name in structure.touches:
            request.table[name]
    check_count("--workers", request.workers)
    check_count("--seed", request.seed)
    check_device(request.trained_on)
    if request.reference is not None and not request.reference.is_dir():
        found, wanted = "no such folder", "a folder of true label maps"
        raise InputError(request.reference, found, wanted, "Check --reference.")


def check_count(flag: str, value: Any, least: int = 0) -> None:
    """Refuse what is no whole number from ``least`` that fits into 64 bits. Raises ``InputError``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least or value >= LARGEST:
        limit = f" and below {LARGEST}" if isinstance(value, int) and value >= LARGEST else ""
        raise InputError(flag, repr(value), f"a whole number from {least}{limit}", "Correct it.")


def check_device(device: str) -> None:
    """Refuse a device that torch cannot use here. Raises ``InputError``."""
    if not RULES["device"].holds(device):
        raise InputError("--device", repr(device), "a device of this machine, cpu or cuda", "Choose one.")
