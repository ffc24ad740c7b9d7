"""One label instead of ten answers, for the ablation alone: the same ten logits beside one of 0 for the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from custom.losses.whole_heart import HeartLoss
from custom.rules.priority_decision import PriorityDecision


class SoftmaxLoss(HeartLoss):
    """Cross entropy over background and structures with the shares of the labels, each class weighed by its own alpha.

    A softmax does not change when all logits move alike, so nothing is lost by a background logit of 0. The background
    weighs as much as the lightest structure. There is no Dice term. Arguments as of its base.
    """

    def forward(self, logits: Float[Tensor, "batch c n"], target: Float[Tensor, "batch c n"]) -> Float[Tensor, ""]:
        known = (target >= 0).all(dim=1, keepdim=True).to(logits.dtype)
        share = torch.cat([1 - target.sum(dim=1, keepdim=True), target], dim=1).clamp(min=0)
        each = (known * share * F.log_softmax(with_background(logits), dim=1)).sum(dim=(0, 2))
        weights = torch.cat([self.weights.min()[None], self.weights]).to(logits)
        return -(weights * each).sum() / known.sum().clamp(min=1)


def with_background(logits: Float[Tensor, "batch c n"]) -> Float[Tensor, "batch k n"]:
    """A logit of 0 in front."""
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)


class Largest(PriorityDecision):
    """The label of the largest of background and structures, of the sigmoids of the logits [batch, structures, ...]:
    that of a logit of 0 is one half. There is neither threshold nor priority."""

    def forward(self, image: Tensor) -> Tensor:
        highest, best = image.max(dim=1, keepdim=True)
        by_channel = torch.tensor(self.indices, dtype=torch.uint8, device=image.device)
        return torch.where(highest > 0.5, by_channel[best], torch.zeros_like(by_channel[:1]))


def largest_of(content: Mapping[str, Any], thresholds: Mapping[str, float], fallback: str) -> Largest:
    """What ``decision`` of ``inference.json`` becomes: there are no thresholds."""
    return Largest(content["label_table"])
