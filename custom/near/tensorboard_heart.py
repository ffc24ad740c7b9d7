"""Pictures of a whole-heart run for TensorBoard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine
from jaxtyping import Integer, UInt8
from torch import nn

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..data.heart_dataset import HeartDataset
from ..models.near.evaluate_grid import points_of, unit_axes
from ..rules.priority_decision import PriorityDecision
from .tensorboard_slices import MidSlicePicture


class HeartPicture(MidSlicePicture):
    """Show the labels and what the field decides side by side, in the structures' colours, on the slice of the first
    case that holds most of it; nothing where only some slices are labelled.

    Args:
        log_dir: TensorBoard's folder.
        field: the network.
        dataset: its first case is shown.
        interval: epochs between pictures.
        label_table: name of the table.
    """

    def __init__(
        self,
        log_dir: str | Path,
        field: nn.Module,
        dataset: HeartDataset,
        interval: int = 25,
        label_table: str = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        super().__init__(log_dir, field, dataset, interval)
        self.label_table = table(label_table)
        self.decision = PriorityDecision(self.label_table)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        row = self.dataset.present[0]
        stored = self.dataset.stored(row)
        box = np.asarray(stored["label"])[0]
        if "label_slices" in stored:
            return
        d, h, w = box.shape
        slice_index = int((box > 0).sum(axis=(1, 2)).argmax())
        z, y, x = unit_axes((d, h, w))
        points = points_of((z[slice_index : slice_index + 1], y, x), torch.arange(h * w))
        probability = torch.sigmoid(self.field.asked_all(row)(points).float()).T
        decided = self.decision(probability[None].cpu())[0, 0].reshape(h, w).numpy()
        both = np.concatenate([box[slice_index], decided], axis=1)[::-1]
        assert self.writer is not None
        name = f"{self.dataset.cases[row]}: labels | field"
        self.writer.add_image(name, colored(both, self.label_table), engine.state.epoch, dataformats="HWC")


def colored(labels: Integer[np.ndarray, "h w"], label_table: StructureTable) -> UInt8[np.ndarray, "h w 3"]:
    """Labels in their structures' colours, background black."""
    palette = np.zeros((256, 3), np.uint8)
    for structure in label_table:
        palette[structure.index] = structure.color
    return palette[labels]
