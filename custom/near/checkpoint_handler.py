"""The checkpoint handler of a field with a code for each case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.engines import Evaluator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..data.structure_dataset import StructureDataset
from ..training.run_checkpoints import CheckpointHandler
from .field_checkpoint import check_cases, load_checkpoint, pack
from .inferers import unwrapped


class FieldCheckpointHandler(CheckpointHandler):
    """The checkpoints of a field with a code for each case (A1.6): as :class:`CheckpointHandler`, and ``last.pt`` holds
    all codes.

    Args:
        folder: where both lie.
        field: the network, perhaps wrapped for several processes.
        optimizer: its state is kept in ``last.pt``.
        scheduler: likewise.
        dataset: names the cases and their frames.
        structure: name of the structure trained.
        label_table: name of its table.
        settings, evaluator, resume, seconds, rank: as there.
        extra: what else both hold, tensors and plain values.
    """

    def __init__(
        self,
        folder: str | Path,
        field: nn.Module,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        dataset: StructureDataset,
        structure: str,
        label_table: str,
        settings: dict[str, Any],
        evaluator: Evaluator,
        resume: bool = True,
        seconds: float | int = 10.0,
        rank: int = 0,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(folder, optimizer, scheduler, dataset.fingerprints, settings, evaluator, resume, seconds, rank)
        self.field, self.dataset = unwrapped(field), dataset
        self.structure, self.label_table, self.extra = structure, label_table, dict(extra or {})

    def load(self) -> dict[str, Any]:
        """On the host: what is copied from it to a device is what belongs there."""
        return load_checkpoint(self.last)

    def check_same(self, content: Mapping[str, Any]) -> None:
        check_cases(dict(content), self.dataset.cases, self.last)
        begun = {**content["settings"], "structure": content["structure"], "label_table": content["label_table"]}
        self.refuse_other(begun, {**self.settings, "structure": self.structure, "label_table": self.label_table})
        self.warn_of_changed_files(content)

    def take(self, content: Mapping[str, Any]) -> None:
        self.field.load_state_dict(content["model"])

    def written(self) -> None:
        self.field.codes.release_pages()

    def content(self) -> dict[str, Any]:
        cases, frames = self.dataset.cases, self.dataset.frames
        return {**pack(self.field, self.structure, self.label_table, cases, frames, self.settings), **self.extra}
