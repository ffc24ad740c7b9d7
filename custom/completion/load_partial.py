"""What is given of a heart at inference: a partial label map or a cloud, perhaps with more taken away to test."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from monai.transforms import Transform

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable
from ..data.case_list import find_items
from ..data.label_maps import read_label_map
from ..data.plausible_size import checked_size
from ..errors import InputError
from ..headers import GRID_HEADER, json_of
from ..surfaces.point_cloud import Cloud
from .complete_case import Completer, image_of, matrix_to_frame
from .hide_structures import StructureHider, channels_of
from .training_clouds import SUFFIX, seen_of


def partial_items(
    dataset_dir: str | Path, label_table: str = PUBLIC_CARDIAC_CT.name, only: Sequence[str | int] | str | int = ()
) -> list[dict[str, Any]]:
    """One item per case: ``path`` of its label map or cloud, ``case`` and ``index``.

    Args:
        dataset_dir: label maps as :func:`custom.data.case_list.find_cases` takes them; or a cloud, or a folder of
            clouds.
        label_table: name of their table.
        only: names to restrict to, or a single one; empty for all.

    Raises:
        InputError: as that function, or a name in ``only`` that is not there.
    """
    place = Path(dataset_dir)
    clouds = sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place] if place.suffix == SUFFIX else []
    if clouds:
        found = [{"path": str(path), "case": path.name.removesuffix(SUFFIX)} for path in clouds]
    else:
        found = [{"path": item["label"], "case": item["case"]} for item in find_items(place, label_table)]
    several = only if isinstance(only, Sequence) and not isinstance(only, str) else [only] if only != "" else []
    names = [str(name) for name in several]
    unknown = sorted(set(names) - {item["case"] for item in found})
    if unknown:
        wanted = f"names among its {len(found)} cases"
        raise InputError("only_cases", f"no case {', '.join(unknown[:3])}", wanted, "Check --dataset_dir.")
    items = [{**item, "index": index} for index, item in enumerate(found)]
    return [item for item in items if not names or item["case"] in names]


class HiddenStructures:
    """Which structures of a case are taken away before it is completed, so that what comes back can be scored.

    Args:
        hide: nothing (empty), a scheme, structures joined by ``+``, or how many by chance.
        label_table: the structures.
        seed: of the chance; a case loses the same ones whatever other cases there are.

    Raises:
        InputError: none of these.
    """

    def __init__(self, hide: str | int, label_table: StructureTable, seed: int = 0) -> None:
        self.seed, self.channels, self.by_chance = seed, list[int](), None
        if isinstance(hide, int) or str(hide).isdigit():
            self.by_chance = StructureHider((int(hide), int(hide)), label_table=label_table)
        elif hide:
            self.channels = channels_of(str(hide), label_table, "hide")

    def shown(self, present: Bool[np.ndarray, " c"], index: int) -> Bool[np.ndarray, " c"]:
        """What is left of the structures that are there."""
        if self.by_chance is not None:
            return self.by_chance.draw(np.random.default_rng((self.seed, index)), present)
        left = present.copy()
        left[self.channels] = False
        return np.asarray(left)


class LoadPartiald(Transform):
    """Read a partial label map, and make the network's input of it.

    Leaves ``image`` [draws, 3 + structures, n], ``input_present`` [structures], ``given`` [1, i, j, k], the label map
    without what was withheld, ``affine`` [4, 4], ``to_frame`` [3, 4] and the header of the grid. Of a cloud no
    label map is given: ``given`` is 0 everywhere, on the grid the cloud was made from, and ``mapped`` is false.

    Args:
        completer: of the network.
        hide: see :class:`HiddenStructures`.
        seed: likewise.

    Raises:
        InputError: nothing is left of a case, naming it, or its file cannot be read.
    """

    def __init__(self, completer: Completer, hide: str | int = "", seed: int = 0) -> None:
        self.completer, self.withheld = completer, HiddenStructures(hide, completer.label_table, seed)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item, labels_of = dict(data), self.completer.label_table
        mapped = not str(item["path"]).endswith(SUFFIX)
        if mapped:
            read = read_label_map(item["path"], labels_of)
            checked_size(read.path, read.labels, read.spacing_mm, labels_of)
            present = np.isin(labels_of.indices, np.unique(read.labels))
            shown = self.withheld.shown(present, int(item["index"]))
            given = np.where(np.isin(read.labels, np.asarray(labels_of.indices)[shown]), read.labels, 0)
            frame = self.completer.scale_mm, self.completer.centre_mm
            cloud = seen_of(given.astype(np.uint8), read.affine, labels_of, *frame)
            item[GRID_HEADER] = json_of(read.header)
        else:
            cloud = without_hidden(Cloud.read(item["path"]), self.withheld, int(item["index"]))
            given = np.zeros(cloud.shape, np.uint8)
            item[GRID_HEADER] = ""
        images, input_present = image_of(cloud, self.completer, item["path"])
        to_frame = matrix_to_frame(cloud.affine, cloud.centre_mm, cloud.scale_mm)
        item |= {"image": images, "input_present": input_present[0], "mapped": mapped}
        item |= {"given": torch.from_numpy(given.astype(np.uint8))[None], "affine": torch.from_numpy(cloud.affine)}
        return {**item, "to_frame": torch.from_numpy(to_frame)}


def without_hidden(cloud: Cloud, withheld: HiddenStructures, index: int) -> Cloud:
    """A cloud without what is withheld."""
    shown = withheld.shown(np.asarray(cloud.present), index)
    kept = np.isin(cloud.surface_class, np.asarray(cloud.table.indices)[shown])
    return replace(
        cloud,
        surface_points_mm=cloud.surface_points_mm[kept],
        surface_normals=cloud.surface_normals[kept],
        surface_class=cloud.surface_class[kept],
        present=shown,
    )
