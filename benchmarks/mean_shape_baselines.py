"""What a shape model has to beat: the mean of the training label maps, and the one of them that fits best.

Both are drawn where the field's own answer is: in the box that the heart's frame places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.near.output_grid import OutputGrids
from custom.rules.priority_decision import Calibration, PriorityDecision
from custom.sampling.whole_heart_points import label_shares
from custom.space import Frame, unit_to_index
from custom.volumes.heart_frame import cut_out
from custom.volumes.roi import paste

INDICES = PUBLIC_CARDIAC_CT.indices
Boxes = Sequence[UInt8[np.ndarray, "d h w"]]


def boxes_of(labels: Mapping[str, UInt8[np.ndarray, "i j k"]], content: Mapping[str, Any]) -> Boxes:
    """The labels of a checkpoint's cases in their own boxes."""
    return [cut_out(labels[case], Frame.from_dict(content["frames"][case])) for case in content["cases"]]


def unit_points(axes: Sequence[np.ndarray]) -> Float[np.ndarray, "n 3"]:
    """Points (x, y, z) of the grid of z, y and x coordinates, x fastest."""
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)


class MeanHeart:
    """The mean over label boxes of each structure's share, on a lattice of the unit cube; thresholds calibrated on the
    same boxes, as the field's are.

    Args:
        boxes: of the training cases.
        side: samples of the lattice along each axis; 0 for as many as the longest box has.
    """

    def __init__(self, boxes: Boxes, side: int = 0) -> None:
        side = side or max(max(box.shape) for box in boxes)
        points = unit_points([np.linspace(-1, 1, side)] * 3)
        shares = np.mean([label_shares(box, unit_to_index(points, box.shape), INDICES) for box in boxes], axis=0)
        self.lattice = torch.from_numpy(shares.reshape(1, len(INDICES), side, side, side)).float()
        calibration = Calibration(PUBLIC_CARDIAC_CT)
        for box in boxes:
            calibration.take(self.at([np.linspace(-1, 1, count) for count in box.shape]), box)
        self.decide = PriorityDecision(PUBLIC_CARDIAC_CT, calibration.thresholds())

    def at(self, axes: Sequence[np.ndarray]) -> Float[np.ndarray, "c d h w"]:
        """Shares at the points of a grid of z, y and x coordinates."""
        shape = tuple(len(axis) for axis in axes)
        points = torch.from_numpy(unit_points(axes).astype(np.float32)).reshape(1, *shape, 3)
        return F.grid_sample(self.lattice, points, align_corners=True, padding_mode="border")[0].numpy()

    def labels(self, axes: Sequence[np.ndarray]) -> UInt8[np.ndarray, "d h w"]:
        """The mean heart at the points of a grid."""
        return self.decide(torch.from_numpy(self.at(axes))[None])[0, 0].numpy()


def nearest_labels(box: UInt8[np.ndarray, "d h w"], axes: Sequence[np.ndarray]) -> UInt8[np.ndarray, "d h w"]:
    """Another heart's labels at the points of a grid, nearest neighbour."""
    index = [
        np.rint((axis + 1) / 2 * (size - 1)).clip(0, size - 1).astype(int)
        for axis, size in zip(axes, box.shape, strict=True)
    ]
    return box[np.ix_(*index)]


def agreement(found: np.ndarray, wanted: np.ndarray) -> float:
    """Mean Dice over the structures that ``wanted`` holds; 0 if it holds none."""
    present = [index for index in INDICES if (wanted == index).any()]
    each = [2 * ((found == i) & (wanted == i)).sum() / ((found == i).sum() + (wanted == i).sum()) for i in present]
    return float(np.mean(each)) if each else 0.0


class DrawnHearts:
    """Both baselines on the grids of the cases of a fitted checkpoint.

    Args:
        boxes: of the training cases.
        fitted: the checkpoint's content.
        slices_axis: voxel axis along which only slices that hold a label were given.
    """

    def __init__(self, boxes: Boxes, fitted: Mapping[str, Any], slices_axis: int | None = None) -> None:
        self.boxes, self.mean, self.slices_axis = boxes, MeanHeart(boxes), slices_axis
        self.canvases = OutputGrids([Frame.from_dict(fitted["frames"][case]) for case in fitted["cases"]])

    def whole(self, row: int, labels: UInt8[np.ndarray, "d h w"]) -> UInt8[np.ndarray, "i j k"]:
        """Labels in the box of a case, on its whole grid."""
        canvas = self.canvases[row]
        return paste(np.ascontiguousarray(canvas.from_unit_order(labels)), canvas)

    def axes(self, row: int) -> list[np.ndarray]:
        return [axis.numpy().astype(np.float64) for axis in self.canvases.axes(row)]

    def mean_labels(self, row: int) -> UInt8[np.ndarray, "i j k"]:
        """The mean heart in the case's box."""
        return self.whole(row, self.mean.labels(self.axes(row)))

    def nearest(self, row: int, given: UInt8[np.ndarray, "i j k"]) -> UInt8[np.ndarray, "i j k"]:
        """The training heart that agrees best, in the case's box, with what was given of it."""
        drawn = [self.whole(row, nearest_labels(box, self.axes(row))) for box in self.boxes]
        place: tuple[Any, ...] = (slice(None),) * 3
        if self.slices_axis is not None:
            others = tuple(axis for axis in range(3) if axis != self.slices_axis)
            shown = given.any(axis=others)
            place = tuple(shown if axis == self.slices_axis else slice(None) for axis in range(3))
        scores = [agreement(one[place], given[place]) for one in drawn]
        return drawn[int(np.argmax(scores))]
