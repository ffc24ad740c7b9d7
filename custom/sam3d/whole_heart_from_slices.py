"""From one slice a structure to a whole heart: a label map in the cube's own place, and its surfaces (C2, C5)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from monai.data import MetaTensor
from monai.engines import PrepareBatch
from monai.inferers import Inferer
from monai.transforms import Transform
from torch import Tensor, nn

from ..anatomy import StructureTable, table
from ..slices.obj_io import write_obj
from ..slices.slice_file import Slice
from ..surfaces.structure_surface import surfaces_of
from .evaluation.evaluation_items import find_evaluation_items
from .inferers import TOLD, unwrapped
from .slice_conditions import conditions_of


def heart_items(
    cache_dir: str | Path,
    split: str = "test",
    axis: int = 2,
    structures: Sequence[str | int] = (),
    least_pixels: int = 1,
    only_cases: Sequence[str | int] | str | int = (),
) -> list[dict[str, Any]]:
    """An item per case: of each structure the slice across an axis that shows most of it.

    Args:
        cache_dir: written by ``corfield slices``.
        split: whose patients.
        axis: across which the slices lie.
        structures, least_pixels: of :func:`custom.sam3d.evaluation.evaluation_items.find_evaluation_items`.
        only_cases: names to restrict to, or a single one; empty for all.

    Returns:
        Items with ``index``, ``case``, ``slices`` (path of a slice) and ``structures`` (its structure), as
        many of each.

    Raises:
        InputError: as that function.
    """
    several = only_cases if isinstance(only_cases, Sequence) and not isinstance(only_cases, str) else [only_cases]
    only = [str(name) for name in several if name != ""]
    found = find_evaluation_items(cache_dir, split, structures, [axis], least_pixels, only)
    cases: dict[str, dict[str, Any]] = {}
    for item in found.items:
        own = cases.setdefault(
            item["case"], {"index": len(cases), "case": item["case"], "slices": [], "structures": []}
        )
        own["slices"].append(item["slice"])
        own["structures"].append(item["structure"])
    return list(cases.values())


class LoadHeartSlicesd(Transform):
    """Read the conditions of the slices of an item: :func:`custom.sam3d.slice_conditions.conditions_of` of each,
    stacked.

    Adds ``image`` [n, 1, h, w] and so on, ``labels``, the index of each structure [n], and ``affine`` [4, 4].

    Args:
        crop: whether the network was trained on crops.

    Raises:
        InputError: as :meth:`custom.slices.slice_file.Slice.read`.
    """

    def __init__(self, crop: bool = False) -> None:
        self.crop = crop

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        slices = [Slice.read(Path(path)) for path in item.pop("slices")]
        structures = item.pop("structures")
        told = [conditions_of(one, name, self.crop) for one, name in zip(slices, structures, strict=True)]
        item.update({name: torch.stack([one[name] for one in told]) for name in told[0]})
        item["labels"] = torch.tensor([slices[0].table[name].index for name in structures])
        item["affine"] = torch.from_numpy(np.array(slices[0].affine))
        return item


class PrepareSlices(PrepareBatch):
    """Sort a batch of one case: its images, no target, and as keyword arguments the flow's condition."""

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, None, tuple[()], dict[str, Any]]:
        told = {name: batchdata[name][0] for name in TOLD if name in batchdata}
        conditions = {name: value.to(device=device, non_blocking=non_blocking) for name, value in told.items()}
        beside = {"conditions": conditions, "labels": batchdata["labels"][0], "affine": batchdata["affine"][0]}
        return batchdata["image"], None, (), beside


class SliceHeartInferer(Inferer):
    """Draw all structures of one case: a label map [1, 1, s, s, s], uint8.

    Args:
        steps, guidance: of :meth:`custom.sam3d.shape_model.ShapeModel.draw_shapes`.
        seed: of the noise; a structure's depends on its index alone.
    """

    def __init__(self, steps: int = 25, guidance: float | int = 2.0, seed: int = 0) -> None:
        self.steps, self.guidance, self.seed = steps, float(guidance), seed

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        assert isinstance(network, nn.Module)
        seeds = [self.seed * 1_000_003 + label for label in kwargs["labels"].tolist()]
        drawn = unwrapped(network).draw_shapes(kwargs["conditions"], self.steps, self.guidance, seeds=seeds)
        return merged_labels(drawn[:, 0].cpu(), kwargs["labels"])[None, None]


def merged_labels(probability: Float[Tensor, "n s s s"], labels: Tensor) -> UInt8[Tensor, "s s s"]:
    """The likeliest structure of each voxel where one is likelier than not, else 0; of equals the first."""
    highest, which = probability.max(dim=0)
    return torch.where(highest > 0.5, labels.to(torch.uint8)[which], torch.zeros((), dtype=torch.uint8))


class HeartToCubed(Transform):
    """Give the drawn label map ``pred`` the affine of its cube."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        item["pred"] = MetaTensor(torch.as_tensor(np.asarray(item["pred"])), affine=torch.as_tensor(item["affine"]))
        return item


class SaveObjd(Transform):
    """Write ``FOLDER/CASE/STRUCTURE.obj`` of each structure of ``pred``, world mm; none of one without a voxel.

    Args:
        folder: made if it is not there.
        label_table: of the label map.
    """

    def __init__(self, folder: str | Path, label_table: str | StructureTable) -> None:
        self.folder, self.table = Path(folder), table(label_table)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        labels = np.asarray(item["pred"])[0].astype(np.uint8)
        for number, surface in surfaces_of(labels, np.asarray(item["affine"], np.float64), self.table).items():
            name = self.table[number].name
            write_obj(self.folder / item["case"] / f"{name}.obj", surface.vertices_mm, surface.faces, name)
        return item
