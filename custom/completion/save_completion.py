"""From what is given to files: completed label maps, source and confidence maps, distances, on the grid it came on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import Transform
from torch import Tensor, nn

from ..data.label_maps import write_label_map
from ..headers import header_in
from ..models.vecset.evaluate_distance_grid import distances_on_grid
from ..space import from_ras_order, to_ras_order
from .complete_case import COMPLETED, Completer, EncodedCase, completed_labels, merged
from .confidence_map import confidence_map
from .inferers import unwrapped

STEPS = 250
"""Steps of a confidence from 0 to 1 in the output, which holds whole numbers."""

MAPS = 3
"""Channels of an output: labels, source and confidence; distances come behind them."""


class CompletionMapInferer(Inferer):
    """Complete the one case of a batch: labels, source and confidence in :data:`STEPS` [1, 3, i, j, k], uint8; with
    distances [1, 3 + structures, i, j, k], single precision, in mm.

    The network is evaluated in RAS+ order, block by block, and its output turned back: the order in which a heart is
    stored does not matter.

    Args:
        completer: how the network is evaluated; the network itself is the engine's.
        keep_given: see :func:`custom.completion.complete_case.complete_case`; without effect on a cloud.
        with_distances: return the signed distances at every voxel too.
        complete_only: names of the structures to complete; another that was not given stays away. Empty for all.
        with_confidence: return :func:`custom.completion.confidence_map.confidence_map` too; else it is 0.

    Raises:
        InputError: an unknown structure.
    """

    def __init__(
        self,
        completer: Completer,
        keep_given: bool = True,
        with_distances: bool = False,
        complete_only: Sequence[str | int] = (),
        with_confidence: bool = False,
    ) -> None:
        self.completer, self.keep_given = completer, keep_given
        self.with_distances, self.with_confidence = with_distances, with_confidence
        chosen = {completer.label_table[name].name for name in complete_only}
        self.wanted = [not chosen or name in chosen for name in completer.label_table.names]

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        assert isinstance(network, nn.Module)
        completer = replace(self.completer, network=unwrapped(network))
        asked = EncodedCase(completer, inputs[0], kwargs["input_present"])
        shown = kwargs["input_present"][0].cpu().numpy()
        stored = np.concatenate([kwargs["to_frame"][0].cpu().numpy(), [[0.0, 0.0, 0.0, 1.0]]])
        given, matrix = to_ras_order(kwargs["given"][0, 0].cpu().numpy(), stored)
        to_frame = matrix[:3]
        keep = self.keep_given and bool(kwargs["mapped"][0])
        asked_for = [not keep if there else wanted for there, wanted in zip(shown, self.wanted, strict=True)]
        channels = [channel for channel, drawn_too in enumerate(asked_for) if drawn_too]
        found = completed_labels(asked, to_frame, given.shape, channels)
        labels, source = merged(given if keep else None, found, shown, completer.label_table)
        sure = self._confidence(asked, to_frame, labels, source == COMPLETED, channels)
        answer = torch.from_numpy(np.stack([labels, source, sure]))
        if self.with_distances:
            distances = distances_on_grid(asked, torch.from_numpy(to_frame.astype(np.float32)), given.shape)
            answer = torch.cat([answer.float(), completer.scale_mm * distances])
        return torch.from_numpy(np.ascontiguousarray(from_ras_order(answer.numpy(), stored)))[None]

    def _confidence(
        self,
        asked: EncodedCase,
        to_frame: Float[np.ndarray, "3 4"],
        labels: UInt8[np.ndarray, "i j k"],
        completed: Bool[np.ndarray, "i j k"],
        channels: list[int],
    ) -> UInt8[np.ndarray, "i j k"]:
        """In :data:`STEPS`; 0 everywhere if it is not requested."""
        if not self.with_confidence or not channels:
            return np.zeros_like(labels)
        indices = [self.completer.label_table.indices[channel] for channel in channels]
        asked.channels = channels
        found = confidence_map(asked, to_frame, labels, completed, indices, self.completer.scale_mm)
        asked.channels = None
        return (STEPS * found).round().astype(np.uint8)


class SplitCompletiond(Transform):
    """Split an output into ``pred``, the labels, ``source``, ``confidence`` from 0 to 1, and ``distances`` if there,
    each with the affine."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        answer, affine = torch.as_tensor(np.asarray(item["pred"])), torch.as_tensor(np.asarray(item["affine"]))
        item["pred"] = MetaTensor(answer[:1].to(torch.uint8), affine=affine)
        item["source"] = MetaTensor(answer[1:2].to(torch.uint8), affine=affine)
        item["confidence"] = MetaTensor(answer[2:MAPS].float() / STEPS, affine=affine)
        if len(answer) > MAPS:
            item["distances"] = MetaTensor(answer[MAPS:], affine=affine)
        return item


class SaveDistancesd(Transform):
    """Write ``FOLDER/STRUCTURE/distance/CASE.nii.gz``, float32 mm rounded to a hundredth, negative inside.

    Args:
        folder: made if it is not there.
        completer: whose table names the structures.
    """

    def __init__(self, folder: str | Path, completer: Completer) -> None:
        self.folder, self.names = Path(folder), completer.label_table.names

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        distances = item["distances"]
        for name, whole in zip(self.names, np.asarray(distances), strict=True):
            path = self.folder / name / "distance" / f"{item['case']}.nii.gz"
            write_label_map(path, whole.round(2), np.asarray(distances.affine), np.float32, header_in(item))
        return item
