"""What training minimises: distances in the volume, near the surfaces and on them, and slopes of one (B2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def truncated_error(
    found: Float[Tensor, "*points"], wanted: Float[Tensor, "*points"], truncation: float
) -> Float[Tensor, "*points"]:
    """Absolute error of signed distances that count up to ``truncation``.

    Where the truth lies beyond it, anything beyond it on the same side is right, and what falls short is off by how
    much it does. The error still pulls an answer that is far off on the wrong side.
    """
    bound = wanted.clamp(-truncation, truncation)
    short = torch.relu(bound.sign() * (bound - found))
    return torch.where(wanted.abs() >= truncation, short, (found - bound).abs())


def mean_of_labelled(
    error: Float[Tensor, "batch classes n"], label_valid: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """The mean over points, then over the structures that are labelled, whatever their size; 0 if none is."""
    known = label_valid > 0
    each = torch.where(known, error.mean(dim=2), torch.zeros_like(label_valid))
    return each.sum() / known.sum().clamp(min=1)


class SetLoss(nn.Module):
    """The weighted sum of five terms, each a mean over the structures that are labelled in the case.

    Whether a structure was shown to the encoder does not matter here: one that was left out of the input is judged
    like any other.

    Args:
        volume_weight: of the error at points anywhere.
        near_weight: of the error at points near the surfaces.
        surface_weight: of the distance that a structure's own surface points have to it, which should be 0.
        eikonal_weight: of the squared difference of slopes from 1.
        side_weight: of the cross entropy of the side of every surface that points lie on. As long as a network is
            unsure, an absolute error is least where the answer is 0, and labels are made of signs: this one is least
            where the side is right.
        truncation: see :func:`truncated_error`, in units of the frame.
        softness: distance over which a side goes from unsure to sure, in units of the frame.
    """

    def __init__(
        self,
        volume_weight: float | int = 1.0,
        near_weight: float | int = 10.0,
        surface_weight: float | int = 10.0,
        eikonal_weight: float | int = 0.001,
        truncation: float = 0.1,
        side_weight: float | int = 0.0,
        softness: float = 0.01,
    ) -> None:
        super().__init__()
        self.weights = {
            "volume": volume_weight,
            "near": near_weight,
            "surface": surface_weight,
            "eikonal": eikonal_weight,
            "side": side_weight,
        }
        self.truncation, self.softness = truncation, softness
        self.terms: dict[str, float] = {}

    def forward(self, answer: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
        """Of the answers ``volume``, ``near`` and ``surface`` [batch, classes, n] and ``slopes`` [batch, k], and the
        targets ``volume`` and ``near`` [batch, classes, n], ``surface_class`` [batch, n] and ``label_valid`` [batch,
        classes]. What is wanted of a structure that is not labelled may be NaN."""
        valid = target["label_valid"].float()
        terms = {name: self._error(answer[name], target[name], valid) for name in ("volume", "near")}
        terms["surface"] = self._surface(answer["surface"], target["surface_class"], valid)
        terms["eikonal"] = (answer["slopes"] - 1).square().mean() if answer["slopes"].numel() else valid.new_zeros(())
        both = [torch.cat([of[name] for name in ("volume", "near")], dim=2) for of in (answer, target)]
        terms["side"] = self._side(both[0], both[1], valid) if self.weights["side"] else valid.new_zeros(())
        loss = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        self.terms = {f"loss_{name}": float(term.detach()) for name, term in terms.items()}
        if answer["slopes"].numel():
            self.terms["mean_slope"] = float(answer["slopes"].detach().mean())
        return loss

    def _error(self, found: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
        known = torch.where(valid[:, :, None] > 0, wanted, torch.zeros_like(wanted))
        return mean_of_labelled(truncated_error(found, known, self.truncation), valid)

    def _side(self, found: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
        known = torch.where(valid[:, :, None] > 0, wanted, torch.zeros_like(wanted))
        sure = torch.sigmoid(-known / self.softness)
        error = F.binary_cross_entropy_with_logits(-found / self.softness, sure, reduction="none")
        return mean_of_labelled(error, valid)

    def _surface(self, found: Tensor, own: Tensor, valid: Tensor) -> Tensor:
        """A structure without a surface point here is left out."""
        classes = torch.arange(found.shape[1], device=found.device)
        is_own = (own[:, None] == classes[None, :, None]).to(found)
        error = found.abs().clamp(max=self.truncation)
        counts = is_own.sum(dim=2)
        each = (error * is_own).sum(dim=2) / counts.clamp(min=1)
        return mean_of_labelled(each[:, :, None], valid * (counts > 0))

    def logged(self, output: object) -> dict[str, float]:
        """The loss and its terms of the last step, by name, for TensorBoard."""
        total = sum(self.weights[name] * self.terms.get(f"loss_{name}", 0.0) for name in self.weights)
        return {"train_loss": float(total), **self.terms}
