"""Outputs of the teachers at a pool of points per case: computed once, stored, sampled in every epoch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

from ..errors import InputError
from ..sampling.partial_labels import UNKNOWN
from ..sampling.whole_heart_points import draw_heart
from ..space import Frame
from .teachers import Teachers


class TeacherPointPoold(MapTransform):
    """Evaluate the teachers at a pool of points of a label box [1, d, h, w]; deterministic, so that it can be stored.

    Half of the pool lies in the structures, as much in each; three tenths in the band of all boundaries, where
    teachers add to labels; the rest anywhere. Adds ``<key>_pool`` [3, n] (unit x, y, z) and ``<key>_taught``
    [structures, n] (probability in half precision, below 0 without a teacher). Without any teacher it adds nothing.

    Args:
        keys: label boxes, with their frame and places.
        teachers: that are evaluated.
        points: n.
        seed: of the run.
    """

    def __init__(self, keys: KeysCollection, teachers: Teachers, points: int = 20000, seed: int = 0) -> None:
        super().__init__(keys)
        self.teachers, self.points, self.seed = teachers, points, seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        if not self.teachers.names:
            return item
        for key in self.key_iterator(item):
            frame = Frame.from_dict(item[f"{key}_frame"])
            if f"{key}_slices" in item:
                found, wanted = "teachers beside labelled slices", "one of the two"
                raise InputError("--teacher_dir", found, wanted, "Leave --slices_axis or --teacher_dir out.")
            if frame.empty:
                continue
            indices = self.teachers.label_table.indices
            each, band = self.points // 2 // len(indices), round(0.3 * self.points)
            generator = np.random.default_rng((self.seed, int(item["index"])))
            places = np.asarray(item[f"{key}_places"]), np.asarray(item[f"{key}_starts"])
            rest = self.points - each * len(indices) - band
            drawn = draw_heart(np.asarray(item[key][0]), places, indices, each, 0, band, rest, generator)
            points_mm = frame.unit_to_world(drawn.points_unit.astype(np.float64))
            answers = self.teachers.ask(str(item["case"]), points_mm)
            item[f"{key}_pool"] = torch.from_numpy(drawn.points_unit.T.copy())
            item[f"{key}_taught"] = torch.from_numpy(answers.astype(np.float16))
        return item


class RandTeacherPointsd(MapTransform, Randomizable):
    """Add points of the pool behind those to train on, and the teachers' outputs there below the targets.

    ``image`` grows from [3, n] to [3, n + points], ``label`` from [structures, n] to [2 structures, n + points]: its
    upper half is unknown at the points of the pool, its lower half everywhere else. Without a pool, or with no points,
    both stay as they are.

    Args:
        keys: the one key the pool is called by.
        points: drawn per case and epoch.
        seed: of the run.
    """

    def __init__(self, keys: KeysCollection, points: int, seed: int = 0) -> None:
        super().__init__(keys)
        self.points, self.seed, self.epoch = points, seed, 1

    def set_epoch(self, epoch: int) -> None:
        """Tell the 1-based epoch; to be called before each."""
        self.epoch = epoch

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            pool, taught = item.pop(f"{key}_pool", None), item.pop(f"{key}_taught", None)
            if pool is None or not self.points:
                continue
            # 1 sets these draws apart from those of the labelled points.
            generator = np.random.default_rng((self.seed, self.epoch, int(item["index"]), 1))
            chosen = torch.from_numpy(generator.integers(0, pool.shape[1], self.points))
            target = item["label"]
            nothing = target.new_full((target.shape[0], self.points), UNKNOWN)
            upper = torch.cat([target, nothing], dim=1)
            lower = torch.cat([torch.full_like(target, UNKNOWN), taught[:, chosen].to(target.dtype)], dim=1)
            item["image"] = torch.cat([item["image"], pool[:, chosen].to(item["image"].dtype)], dim=1)
            item["label"] = torch.cat([upper, lower])
        return item
