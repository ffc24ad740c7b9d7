"""Signed distances on a whole grid, and the labels they make."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

CHUNK = 16384
"""Points asked at once."""

MARGIN = 1.5
"""How many times its half diagonal a block must lie away from every surface to be left at its centre's answer: a true
distance would need 1, and a learned one is not quite true."""

Ask = Callable[[Tensor], Tensor]
"""Signed distances [classes, n] at points [3, n] of the frame."""


def labels_of(distances: Float[Tensor, "classes n"]) -> UInt8[Tensor, "n"]:
    """Number of the structure, from 1, that a point lies deepest in; 0 where it lies in none.

    Inside is below 0: where a distance is exactly 0, as of a network that answers 0 everywhere, nothing is.
    """
    least, which = distances.min(dim=0)
    return torch.where(least < 0, which + 1, torch.zeros_like(which)).to(torch.uint8)


def evaluate_in_chunks(ask: Ask, points: Float[Tensor, "3 n"], chunk: int = CHUNK) -> Float[Tensor, "classes n"]:
    """The answers at any number of points, at least one."""
    return torch.cat([ask(part) for part in points.split(chunk, dim=1)], dim=1)


def voxel_points(to_frame: Float[Tensor, "3 4"], ijk: Tensor) -> Tensor:
    """Points [3, n] of the frame at voxel positions [n, 3]."""
    return to_frame[:, :3] @ ijk.to(to_frame).T + to_frame[:, 3:]


@torch.no_grad()
def distances_on_grid(
    ask: Ask, to_frame: Float[Tensor, "3 4"], shape: tuple[int, int, int], chunk: int = CHUNK
) -> Float[Tensor, "classes i j k"]:
    """Signed distances at every voxel, in units of the frame."""
    plane = torch.cartesian_prod(*[torch.arange(size) for size in shape[1:]]).reshape(-1, 2)
    planes = []
    for position in range(shape[0]):
        ijk = torch.cat([torch.full_like(plane[:, :1], position), plane], dim=1)
        planes.append(evaluate_in_chunks(ask, voxel_points(to_frame, ijk), chunk))
    return torch.stack(planes, dim=1).reshape(-1, *shape)


@torch.no_grad()
def labels_on_grid(
    ask: Ask, to_frame: Float[Tensor, "3 4"], shape: tuple[int, int, int], stride: int = 4, chunk: int = CHUNK
) -> UInt8[Tensor, "i j k"]:
    """The labels of :func:`labels_of` at every voxel of a grid, from coarse to fine.

    Blocks of ``stride`` voxels a side are asked at their centres; those that may hold a surface are asked again in
    blocks of half the side, and so on down to voxels. Beyond the cube [-1, 1]^3 of the frame nothing is known and
    nothing is.

    Args:
        ask: the field.
        to_frame: from voxel positions to points of the frame.
        shape: of the grid; a side may be shorter than a block.
        stride: voxels a side of a first block; 1 asks every voxel.
        chunk: points asked at once.
    """
    blocks = [-(-size // stride) for size in shape]
    labels = torch.zeros([count * stride for count in blocks], dtype=torch.uint8)
    corners = torch.cartesian_prod(*[torch.arange(count) * stride for count in blocks]).reshape(-1, 3)
    _refine(ask, to_frame, corners, stride, chunk, labels)
    return _within_cube(labels[: shape[0], : shape[1], : shape[2]].contiguous(), to_frame)


def _refine(
    ask: Ask, to_frame: Float[Tensor, "3 4"], corners: Tensor, stride: int, chunk: int, labels: UInt8[Tensor, "i j k"]
) -> None:
    """Label the voxels of blocks with these lowest voxels [n, 3]; part after part: no list is ever long."""
    smaller = stride // 2 if stride % 2 == 0 else 1
    within = torch.cartesian_prod(*[torch.arange(0, stride, smaller)] * 3).reshape(-1, 3)
    for some in corners.split(chunk):
        near = _ask_blocks(ask, to_frame, some, stride, labels)
        if near.numel():
            _refine(ask, to_frame, (near[:, None] + within).reshape(-1, 3), smaller, chunk, labels)


def _ask_blocks(
    ask: Ask, to_frame: Float[Tensor, "3 4"], corners: Tensor, stride: int, labels: UInt8[Tensor, "i j k"]
) -> Tensor:
    """Ask blocks at their centres and label all their voxels so; the corners of those that may hold a surface."""
    centres = voxel_points(to_frame, corners + (stride - 1) / 2)
    reach = float(to_frame[:, :3].square().sum(dim=0).sum().sqrt()) * (stride - 1) / 2
    inside = ((centres.abs() - reach).amax(dim=0) <= 1).nonzero()[:, 0]
    if not inside.numel():
        return corners[:0]
    distances, corners = ask(centres[:, inside]).cpu(), corners[inside]
    within = torch.cartesian_prod(*[torch.arange(stride)] * 3).reshape(-1, 3)
    ijk = corners[:, None] + within
    labels[ijk[..., 0], ijk[..., 1], ijk[..., 2]] = labels_of(distances)[:, None].expand(-1, len(within))
    return corners[distances.abs().amin(dim=0) <= MARGIN * reach] if stride > 1 else corners[:0]


def _within_cube(labels: UInt8[Tensor, "i j k"], to_frame: Float[Tensor, "3 4"]) -> UInt8[Tensor, "i j k"]:
    """The labels, 0 beyond the cube of the frame; plane by plane, so that no list of all voxels is ever made."""
    plane = torch.cartesian_prod(*[torch.arange(size) for size in labels.shape[1:]]).reshape(-1, 2)
    for position, part in enumerate(labels):
        ijk = torch.cat([torch.full_like(plane[:, :1], position), plane], dim=1)
        beyond = voxel_points(to_frame, ijk).abs().amax(dim=0) > 1
        part[beyond.reshape(part.shape)] = 0
    return labels
