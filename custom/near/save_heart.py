"""From a whole heart's labels and probabilities to files: on a grid, as probabilities, as surfaces."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from ..data.label_maps import write_label_map
from ..errors import InputError
from ..headers import GRID_HEADER, json_of
from ..rules.priority_decision import PriorityDecision
from ..volumes.roi import paste
from .heart_meshes import FORMATS, margins, mesh_of, write_mesh
from .output_grid import OutputGrids


class SaveHeartProbabilitiesd(MapTransform):
    """Write ``FOLDER/STRUCTURE/probability/CASE.nii.gz``, one structure after the other, rounded to two decimals.

    Args:
        keys: labels and probabilities [1 + structures, i, j, k] on the canvas's box.
        folder: made if it is not there.
        canvases: of all cases; the item's ``index`` chooses.
        decision: whose table names the structures.
    """

    def __init__(
        self, keys: KeysCollection, folder: str | Path, canvases: OutputGrids, decision: PriorityDecision
    ) -> None:
        super().__init__(keys)
        self.folder, self.canvases, self.names = Path(folder), canvases, decision.label_table.names

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        canvas = self.canvases[int(item["index"])]
        for key in self.key_iterator(item):
            for name, probability in zip(self.names, np.asarray(item[key])[1:], strict=True):
                whole = np.zeros(canvas.shape, np.float32) if canvas.empty else paste(probability.round(2), canvas)
                path = self.folder / name / "probability" / f"{item['case']}.nii.gz"
                write_label_map(path, whole, canvas.affine, np.float32, canvas.header)
        return item


class SaveHeartMeshesd(MapTransform):
    """Write ``FOLDER/CASE/STRUCTURE.ply`` (or ``.stl``), world mm; none for a structure without a voxel.

    Args:
        keys: labels and probabilities [1 + structures, i, j, k] on the canvas's box.
        folder: made if it is not there.
        canvases: of all cases; the item's ``index`` chooses.
        decision: by which the labels were made.
        form: ``ply`` or ``stl``.
    """

    def __init__(
        self,
        keys: KeysCollection,
        folder: str | Path,
        canvases: OutputGrids,
        decision: PriorityDecision,
        form: str = "ply",
    ) -> None:
        super().__init__(keys)
        self.folder, self.canvases, self.decision, self.form = Path(folder), canvases, decision, form
        assert form in FORMATS

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        canvas = self.canvases[int(item["index"])]
        for key in self.key_iterator(item):
            answers = np.asarray(item[key])
            labels, probability = answers[0].astype(np.uint8), answers[1:]
            for structure in self.decision.label_table:
                if not (labels == structure.index).any():
                    continue
                margin = margins(labels, probability, self.decision, structure.index)
                vertices_mm, faces = mesh_of(margin, canvas)
                path = self.folder / str(item["case"]) / f"{structure.name}.{self.form}"
                write_mesh(path, vertices_mm, faces, structure.color)
        return item


class LabelsToGridd(MapTransform):
    """Keep the labels of an output on the canvas's box, and put them into the whole grid [1, i, j, k], with its affine.

    Args:
        keys: outputs [1 or more, i, j, k], labels first.
        canvases: of all cases; the item's ``index`` chooses.
    """

    def __init__(self, keys: KeysCollection, canvases: OutputGrids) -> None:
        super().__init__(keys)
        self.canvases = canvases

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        canvas = self.canvases[int(item["index"])]
        for key in self.key_iterator(item):
            labels = np.asarray(item[key])[0].astype(np.uint8)
            whole = np.zeros(canvas.shape, np.uint8) if canvas.empty else paste(labels, canvas)
            item[key] = MetaTensor(torch.from_numpy(whole)[None], affine=torch.from_numpy(canvas.affine.copy()))
        item[GRID_HEADER] = json_of(canvas.header)
        return item


class RenderedMaps:
    """The label maps a run has written, for :class:`custom.fusion.score_handler.LabelMapScoreHandler`.

    Args:
        folder: ``CASE.nii.gz`` in it.
        cases: names of those the run draws.
    """

    world_size = 1

    def __init__(self, folder: str | Path, cases: Sequence[str]) -> None:
        self.folder, self.done = Path(folder), set(cases)

    def repaired(self, case: str) -> Path:
        return self.folder / f"{case}.nii.gz"

    def blame(self, case: str, error: InputError) -> None:
        """End the run: a case that cannot be scored is not left out in silence."""
        raise error
