"""The fields of single structures as teachers, evaluated in their own frames (requirement A3.4)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..errors import InputError
from ..fingerprints import digest_of
from ..models.near.evaluate_grid import CHUNK
from ..models.near.near_field import NearField
from ..space import Frame
from .field_checkpoint import load_checkpoint

LOGGER = logging.getLogger(__name__)

NO_TEACHER = -1.0
"""In the place of a probability where there is no teacher."""


class Teacher:
    """One structure's trained field; its codes stay on the disk until one is needed.

    Args:
        path: its checkpoint.
        structure: its name.
        label_table: name of its table.

    Raises:
        InputError: what :func:`custom.near.field_checkpoint.load_checkpoint` refuses, or a field of another table.
    """

    def __init__(self, path: Path, structure: str, label_table: str) -> None:
        content = load_checkpoint(path, structure=structure)
        if content["label_table"] != label_table:
            found, wanted = f"a field of the table {content['label_table']}", f"one of {label_table}"
            raise InputError(path, found, wanted, "Give the --label_table the teachers were trained with.")
        self.path, self.network = path, content["settings"]["network"]
        self.rows = {case: row for row, case in enumerate(content["cases"])}
        self.frames = {case: Frame.from_dict(frame) for case, frame in content["frames"].items()}
        self.model = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["model"]

    def field(self, case: str) -> NearField:
        """The field with this case's code alone."""
        row, name = self.rows[case], "codes.table.weight"
        field = NearField(1, **self.network)
        field.load_state_dict({**self.model, name: self.model[name][row : row + 1]})
        return field.eval()

    @torch.no_grad()
    def ask(self, case: str, points_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Probability at world points (mm, RAS) of a case it was trained on; 0 outside of its box, or if the case lacks
        the structure."""
        frame, answer = self.frames[case], np.zeros(len(points_mm), np.float32)
        if frame.empty:
            return answer
        points_ijk = to_voxels(frame, points_mm)
        inside = in_box(frame, points_ijk)
        unit = np.clip(frame.ijk_to_unit(points_ijk[inside]), -1, 1)
        asked, points_unit = self.field(case).asked(0), torch.from_numpy(unit.astype(np.float32))
        parts = [torch.sigmoid(asked(part).float()) for part in points_unit.split(CHUNK)]
        if parts:
            answer[inside] = torch.cat(parts).numpy()
        return answer


def to_voxels(frame: Frame, points_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """World mm to voxel ijk of a frame's label map, fractional."""
    inverse = np.linalg.inv(frame.affine)
    return np.asarray(points_mm @ inverse[:3, :3].T + inverse[:3, 3])


def in_box(frame: Frame, points_ijk: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Which points lie in the box's voxels: up to half a voxel beyond the centres of its outermost ones."""
    low, high = np.asarray(frame.low_ijk) - 0.5, np.asarray(frame.high_ijk) + 0.5
    return np.asarray(((points_ijk >= low) & (points_ijk <= high)).all(axis=1))


class Teachers:
    """The teachers of all structures that have one, opened at their first use.

    Two of them are the same to a stored result (they pickle alike) if their files are.

    Args:
        folder: ``STRUCTURE/best.pt`` below it, as near_stage1 writes them; empty: there are none.
        label_table: name of their table.

    Raises:
        InputError: no ``STRUCTURE/best.pt`` of any structure in the folder.
    """

    def __init__(self, folder: str | Path = "", label_table: str = PUBLIC_CARDIAC_CT.name) -> None:
        self.label_table = table(label_table)
        self.paths: dict[str, str] = {}
        self.fingerprints: dict[str, str] = {}
        self._opened: dict[str, Teacher] = {}
        for name in self.label_table.names if str(folder) else ():
            path = Path(folder) / name / "best.pt"
            if path.is_file():
                self.paths[name], self.fingerprints[name] = str(path), digest_of(path)
        if str(folder) and not self.paths:
            found, wanted = "no STRUCTURE/best.pt in it", "fields of single structures, as near_stage1 writes them"
            raise InputError(folder, found, wanted, "Give that run's --output_dir, or leave --teacher_dir empty.")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}}

    @property
    def names(self) -> list[str]:
        """The structures that have a teacher."""
        return list(self.paths)

    def teacher(self, name: str) -> Teacher:
        if name not in self._opened:
            self._opened[name] = Teacher(Path(self.paths[name]), name, self.label_table.name)
        return self._opened[name]

    def ask(self, case: str, points_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "c n"]:
        """The probability of every structure's teacher at world points of a case: 0 to 1, or :data:`NO_TEACHER` if a
        structure has none, or none that was trained on the case."""
        answers = np.full((len(self.label_table), len(points_mm)), NO_TEACHER, np.float32)
        strange = []
        for channel, structure in enumerate(self.label_table):
            if structure.name not in self.paths:
                continue
            teacher = self.teacher(structure.name)
            if case in teacher.rows:
                answers[channel] = teacher.ask(case, points_mm)
            else:
                strange.append(structure.name)
        if strange:
            LOGGER.warning("%s: the teachers of %s do not know it", case, ", ".join(strange))
        return answers
