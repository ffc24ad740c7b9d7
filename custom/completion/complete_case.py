"""Complete one heart: what a label map holds stays, what it lacks is drawn (requirements B3-B5)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..errors import InputError
from ..models.vecset.evaluate_distance_grid import CHUNK, distances_on_grid, labels_on_grid
from ..models.vecset.set_network import SetNetwork
from ..space import from_ras_order, to_ras_order
from ..surfaces.cloud_frame import holding_scale_mm
from ..surfaces.point_cloud import Cloud
from .sample_points import choose, image_at
from .set_checkpoint import load_completion, network_of
from .training_clouds import seen_of

GIVEN, COMPLETED = 1, 2
"""In a source map: the voxel's structure was given, or it was completed. 0 is background."""

IN_CACHE = 2048
"""Points evaluated at once on a CPU: activations then fit its cache, which takes 0.4 times as long."""

MOST_BEYOND = 0.1
"""Share of what is given that may lie beyond the frame: the end of a long aorta, but not half of the heart."""


@dataclass(frozen=True, eq=False)
class Completer:
    """A trained network and how it is evaluated.

    Attributes:
        network: in evaluation mode, on its device.
        label_table: of its structures.
        scale_mm: mm that are 1 in its frame.
        centre_mm: world mm that are 0 in it, if that is one place for all cases; else the middle of each grid.
        surface_points: of the cloud that are encoded.
        draws: how many random subsets of a cloud are encoded, one after the other; their distances are averaged.
            Each subset gives a slightly different prediction.
        stride: of the first lattice, see :func:`custom.models.vecset.evaluate_distance_grid.labels_on_grid`.
        bf16: run its matrix products in bfloat16.
        seed: of the choice of surface points.
    """

    network: SetNetwork
    label_table: StructureTable
    scale_mm: float
    centre_mm: tuple[float, ...] = ()
    surface_points: int = 4096
    stride: int = 4
    bf16: bool = False
    seed: int = 0
    draws: int = 4


@dataclass(frozen=True, eq=False)
class Completion:
    """A completed heart, on the grid of the label map it was made from.

    Attributes:
        labels: index of the structure at each voxel.
        source: :data:`GIVEN`, :data:`COMPLETED` or 0 at each voxel.
        completed: names of the structures that were not given.
        distances_mm: to each structure of the table, negative inside, if requested.
    """

    labels: UInt8[np.ndarray, "i j k"]
    source: UInt8[np.ndarray, "i j k"]
    completed: tuple[str, ...]
    distances_mm: Float32[np.ndarray, "c i j k"] | None = None


def load_completer(
    path: str | Path,
    label_table: str = PUBLIC_CARDIAC_CT.name,
    device: str | torch.device = "cpu",
    stride: int = 4,
    bf16: bool = False,
    draws: int = 4,
) -> Completer:
    """The completer of a checkpoint; ``InputError`` as :func:`custom.completion.set_checkpoint.load_completion`."""
    content = load_completion(path, label_table, device)
    settings = content["settings"]
    network = network_of(content).to(device)
    scale_mm, centre_mm = float(settings["frame"]["scale_mm"]), tuple(settings["frame"]["centre_mm"])
    points = int(settings["surface_points"])
    return Completer(network, table(label_table), scale_mm, centre_mm, points, stride, bf16, draws=draws)


def image_of(cloud: Cloud, completer: Completer, where: str | Path = "label map") -> tuple[Tensor, Tensor]:
    """The network's input from a cloud: images [draws, channels, n], and which structures [1, structures].

    Raises:
        InputError: naming ``where``; nothing is there, too much of it lies beyond the frame, in which nothing could be
            completed, or the frame is not the one the network was trained in.
    """
    if not len(cloud.surface_points_mm):
        remedy = "Leave it out, or withhold less of it."
        raise InputError(where, "no structure to complete it from", "a part of a heart", remedy)
    if cloud.scale_mm != completer.scale_mm:
        found, wanted = f"a frame of {cloud.scale_mm:g} mm", f"one of {completer.scale_mm:g} mm"
        raise InputError(where, found, wanted, "Make the cloud with the scale of the network, or train anew.")
    in_frame = cloud.in_frame()
    _refuse_beyond(in_frame["surface"][:, :3], cloud.scale_mm, where)
    generator = np.random.default_rng(completer.seed)
    every = np.arange(len(cloud.surface_points_mm))
    parts = [choose(generator, every, completer.surface_points) for _ in range(completer.draws)]
    images = np.stack([image_at(in_frame, rows, completer.network.normals) for rows in parts])
    return torch.from_numpy(images), torch.from_numpy(np.asarray(cloud.present))[None]


def _refuse_beyond(points: Float32[np.ndarray, "n 3"], scale_mm: float, where: str | Path) -> None:
    """Refuse surfaces of which too much lies beyond the frame, with what would help."""
    beyond = float((np.abs(points) > 1).any(axis=1).mean())
    if beyond > MOST_BEYOND:
        reach, longest = float(np.abs(points).max()) * scale_mm, float(np.ptp(points, axis=0).max()) * scale_mm
        found = f"{beyond:.0%} of its surfaces beyond the cube of {2 * scale_mm:g} mm that the network knows"
        found += f" (they reach {reach:.0f} mm from its middle and are {longest:.0f} mm long)"
        raise InputError(where, found, f"at most {MOST_BEYOND:.0%}", f"{helps(reach, longest, scale_mm)}.")


def helps(reach_mm: float, longest_mm: float, scale_mm: float) -> str:
    """What to do about a heart beyond a network's frame, as an imperative.

    Args:
        reach_mm: from the middle of the frame.
        longest_mm: longest side of its box.
        scale_mm: of the frame.
    """
    middle = "Crop the label map so that the heart lies in its middle"
    trained = f"a network trained on such hearts, with --scale_mm {holding_scale_mm(reach_mm):g}"
    if longest_mm <= 2 * scale_mm:
        return f"{middle}, or take {trained}"
    return f"{middle}; a heart of {longest_mm:.0f} mm needs its true spacing if the header's is not, or {trained}"


def matrix_to_frame(
    affine: Float[np.ndarray, "4 4"], centre_mm: Float[np.ndarray, "3"], scale_mm: float
) -> Float[np.ndarray, "3 4"]:
    """From voxel ijk to the frame."""
    matrix = np.array(affine[:3], dtype=np.float64)
    matrix[:, 3] -= centre_mm
    return matrix / scale_mm


class EncodedCase:
    """One heart, each draw of it encoded once, to be evaluated for some structures at any points of its frame.

    Args:
        completer: of the network.
        images, input_present: of :func:`image_of`.
    """

    @torch.no_grad()
    def __init__(self, completer: Completer, images: Tensor, input_present: Tensor) -> None:
        self.completer, self.device = completer, next(completer.network.parameters()).device
        self.channels: list[int] | None = None
        present = input_present.to(self.device)
        with self._cast():
            each = [completer.network.encode(image[None].to(self.device), present) for image in images]
            self.tokens = [completer.network.think(codes, present) for codes in each]

    def _cast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.completer.bf16)

    @torch.no_grad()
    def __call__(self, points: Tensor) -> Tensor:
        """Signed distances [structures, n] at points [3, n], of ``channels`` if that is set."""
        whole = points[None].to(self.device).float()
        size = IN_CACHE if self.device.type == "cpu" else max(whole.shape[2], 1)
        with self._cast():
            parts = [self._mean(part) for part in whole.split(size, dim=2)]
        distances = torch.cat(parts, dim=1).cpu()
        return distances if self.channels is None else distances[self.channels]

    def _mean(self, points: Tensor) -> Tensor:
        """Reduce the distances of all draws to one."""
        each = [self.completer.network.answer(tokens, points)[0].float() for tokens in self.tokens]
        return torch.stack(each).mean(dim=0)


def completed_labels(
    asked: EncodedCase, to_frame: Float[np.ndarray, "3 4"], shape: tuple[int, int, int], channels: list[int]
) -> UInt8[np.ndarray, "i j k"]:
    """Indices of the structures of some channels on a grid; of none, background."""
    if not channels:
        return np.zeros(shape, np.uint8)
    asked.channels = channels
    matrix = torch.from_numpy(to_frame.astype(np.float32))
    numbers = labels_on_grid(asked, matrix, shape, asked.completer.stride, CHUNK).numpy()
    asked.channels = None
    indices = np.asarray([0, *(asked.completer.label_table.indices[channel] for channel in channels)], np.uint8)
    return np.asarray(indices[numbers])


def merged(
    given: UInt8[np.ndarray, "i j k"] | None,
    found: UInt8[np.ndarray, "i j k"],
    shown: Bool[np.ndarray, " c"],
    label_table: StructureTable,
) -> tuple[UInt8[np.ndarray, "i j k"], UInt8[np.ndarray, "i j k"]]:
    """Labels and source map: what is given wins every voxel that it holds.

    Args:
        given: label map, or ``None`` to take what was found everywhere.
        found: drawn by the network.
        shown: which structures were given.
        label_table: of both.
    """
    labels = found if given is None else np.where(given > 0, given, found)
    source = np.zeros(256, np.uint8)
    source[list(label_table.indices)] = np.where(shown, GIVEN, COMPLETED)
    return labels, source[labels]


def complete_case(
    labels: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    completer: Completer,
    keep_given: bool = True,
    with_distances: bool = False,
) -> Completion:
    """A whole heart from the label map of a part of one, on the same grid.

    A structure with a voxel in the label map is given, whatever its size; all others are completed. A whole heart comes
    back as it is if what is given is kept. The network is evaluated in RAS+ order, so that the order in which voxels
    are stored does not matter.

    Args:
        labels: indices of the completer's table.
        affine: voxel ijk to world mm.
        completer: of :func:`load_completer`.
        keep_given: keep the given structures voxel by voxel, and let completed ones have background alone; if not, all
            are drawn by the network.
        with_distances: return the signed distances too.

    Raises:
        InputError: a label map of background alone, or as :func:`image_of` of one that lies beyond the frame.
    """
    stored = affine
    labels, affine = to_ras_order(labels, affine)
    cloud = seen_of(labels, affine, completer.label_table, completer.scale_mm, completer.centre_mm)
    images, present = image_of(cloud, completer)
    asked, shown = EncodedCase(completer, images, present), present[0].numpy()
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    to_frame = matrix_to_frame(affine, cloud.centre_mm, cloud.scale_mm)
    channels = [channel for channel, there in enumerate(shown) if not (keep_given and there)]
    found = completed_labels(asked, to_frame, shape, channels)
    whole, source = merged(labels if keep_given else None, found, shown, completer.label_table)
    names = tuple(name for name, there in zip(completer.label_table.names, shown, strict=True) if not there)
    distances_mm = None
    if with_distances:
        matrix = torch.from_numpy(to_frame.astype(np.float32))
        distances_mm = distances_on_grid(asked, matrix, shape).numpy() * np.float32(completer.scale_mm)
        distances_mm = np.ascontiguousarray(from_ras_order(distances_mm, stored))
    whole, source = (np.ascontiguousarray(from_ras_order(one, stored)) for one in (whole, source))
    return Completion(whole, source, names, distances_mm)
