"""Pictures of a run for TensorBoard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from ..data.structure_dataset import StructureDataset
from ..models.near.evaluate_grid import evaluate_everywhere, unit_axes
from .inferers import unwrapped


class MidSlicePicture:
    """Show the label and the field's probability side by side, on the slice with the largest area of the first case.

    Args:
        log_dir: TensorBoard's folder.
        field: the network.
        dataset: its first case is shown.
        interval: epochs between pictures.
    """

    def __init__(self, log_dir: str | Path, field: nn.Module, dataset: StructureDataset, interval: int = 25) -> None:
        self.log_dir, self.field, self.dataset, self.interval = str(log_dir), unwrapped(field), dataset, interval
        self.writer: SummaryWriter | None = None

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.open)
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self)
        engine.add_event_handler(Events.COMPLETED, self.close)

    def open(self, engine: Engine) -> None:
        self.writer = SummaryWriter(self.log_dir)

    def close(self, engine: Engine) -> None:
        if self.writer is not None:
            self.writer.close()

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        row = self.dataset.present[0]
        cube = np.asarray(self.dataset.stored(row)["label"])[0] / np.float32(255)
        d, h, w = cube.shape
        slice_index = int(cube.sum(axis=(1, 2)).argmax())
        z, y, x = unit_axes((d, h, w))
        logits = evaluate_everywhere(self.field.asked(row), (z[slice_index : slice_index + 1], y, x))
        picture = np.concatenate([cube[slice_index], torch.sigmoid(logits[0]).numpy()], axis=1)[::-1]
        name = f"{self.dataset.cases[row]}: label | field"
        assert self.writer is not None
        self.writer.add_image(name, picture.copy(), engine.state.epoch, dataformats="HW")
