"""How far the heads of a whole-heart field are from what they should answer (requirement A3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..errors import InputError


def class_weights(voxels: Sequence[int], cap: float | int) -> list[float]:
    """alpha_c, one over the structure's share of the voxels, but at most ``cap`` times the smallest; 1 on the average.

    Without a cap a coronary tree would weigh several hundred times as much as a ventricle, and the field would find it
    everywhere. A structure that no case holds weighs as little as the largest.

    Args:
        voxels: of each structure, in all cases.
        cap: at least 1; 1 makes all weights equal.
    """
    largest = max(max(voxels), 1)
    raw = [min(largest / count, float(cap)) if count else 1.0 for count in voxels]
    mean = sum(raw) / len(raw)
    return [weight / mean for weight in raw]


def by_structure(
    default: float | int,
    changes: Mapping[str, float | int] | None = None,
    label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
    name: str = "setting",
    least: float | int = 0.0,
) -> list[float]:
    """One number for each structure, in the table's order: ``default``, or what ``changes`` says by name.

    Raises:
        InputError: a structure the table does not have, or a number below ``least``; ``name`` is the setting's.
    """
    labels_of = table(label_table)
    given = {labels_of[key].name: value for key, value in (changes or {}).items()}
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < float("inf"):
            raise InputError(f"--{name}: {key}", repr(value), f"a number of at least {least:g}", "Correct it.")
    return [float(given.get(structure.name, default)) for structure in labels_of]


class HeartLoss(nn.Module):
    """Mean over the structures of alpha_c BCE(sigma(s_c), y_c), and on request of the soft Dice losses beside it.

    A target below 0 is unknown: that head is not asked at that point. A structure known nowhere in the batch adds
    nothing. The Dice loss is taken per case and structure, over those the case holds: without the structure it would
    only repeat what the cross entropy says.

    Args:
        weights: alpha_c of each structure.
        dice_weight: of the Dice term; 0 leaves it out.
    """

    def __init__(self, weights: Sequence[float], dice_weight: float | int = 0.0) -> None:
        super().__init__()
        self.weights: Tensor
        self.register_buffer("weights", torch.tensor(list(weights), dtype=torch.float32), persistent=False)
        self.dice_weight = float(dice_weight)

    def forward(self, logits: Float[Tensor, "batch c n"], target: Float[Tensor, "batch c n"]) -> Float[Tensor, ""]:
        known = (target >= 0).to(logits.dtype)
        wanted = target.clamp(min=0)
        each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * known
        per_structure = each.sum(dim=(0, 2)) / known.sum(dim=(0, 2)).clamp(min=1)
        loss = (self.weights.to(logits.device) * per_structure).mean()
        if self.dice_weight:
            loss = loss + self.dice_weight * soft_dice_loss(torch.sigmoid(logits) * known, wanted * known)
        return loss


def soft_dice_loss(probability: Float[Tensor, "batch c n"], wanted: Float[Tensor, "batch c n"]) -> Float[Tensor, ""]:
    """1 - Dice, averaged over the cases and structures that are wanted anywhere; 0 if none is."""
    held = wanted.sum(dim=2) > 0
    both = 2 * (probability * wanted).sum(dim=2)
    dice = both / (probability.sum(dim=2) + wanted.sum(dim=2)).clamp(min=1e-6)
    return ((1 - dice) * held).sum() / held.sum().clamp(min=1)
