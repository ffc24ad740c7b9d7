"""What a stage minimises: weighted terms, each logged by its name (C3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor, nn

from ..models.sam3d.flow_losses import codec_terms


class ShapeLoss(nn.Module):
    """The loss of a stage: of ``vae`` the codec's three terms, else the flow's and what its estimate decodes to.

    The estimate is the end point of the flow's velocity at a time step; near the noise it carries little information,
    so that the losses of its decoding count only after ``decoded_loss_after``.

    Args:
        kl_weight: of the codes' distance from unit noise.
        mask_weight: of the cross-entropy and Dice of the decoded estimate in the plane that was seen, against the mask.
        sdf_weight: of the decoded estimate's error times the voxel's distance from the true surface, in mm.
        decoded_loss_after: time, 0 (noise) to 1 (shape), after which the decoded estimate counts.
    """

    def __init__(
        self,
        kl_weight: float | int = 1e-3,
        mask_weight: float | int = 0.0,
        sdf_weight: float | int = 0.0,
        decoded_loss_after: float | int = 0.5,
    ) -> None:
        super().__init__()
        self.weights = {"entropy": 1.0, "dice": 1.0, "kl": kl_weight, "flow": 1.0}
        self.weights |= {"mask": mask_weight, "sdf": sdf_weight}
        self.decoded_loss_after = decoded_loss_after
        self.terms: dict[str, float] = {}

    def forward(self, answer: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """The loss of an output of :meth:`custom.sam3d.shape_model.ShapeModel.forward`, with ``decoded`` logits of its
        estimate if one of their terms has a weight; and of ``occupancy`` [b, 1, s, s, s], ``axis`` and ``slice_idx``
        [b], and ``sdf_mm`` [b, 1, s, s, s] if that term has a weight."""
        occupancy = target["occupancy"].float()
        if "mean" in answer:
            terms = codec_terms(answer["logits"], occupancy, answer["mean"], answer["log_variance"])
        else:
            terms = {"flow": answer["flow"]} | self._decoded(answer, target, occupancy)
        loss = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        self.terms = {f"loss_{name}": float(term.detach()) for name, term in terms.items()}
        return loss

    def _decoded(
        self, answer: Mapping[str, Tensor], target: Mapping[str, Tensor], occupancy: Tensor
    ) -> dict[str, Tensor]:
        if "decoded" not in answer:
            return {}
        late = (answer["time"] > self.decoded_loss_after).to(occupancy)
        terms = {}
        if self.weights["mask"]:
            terms["mask"] = _mean_of(
                plane_error(answer["decoded"], occupancy, target["axis"], target["slice_idx"]), late
            )
        if self.weights["sdf"]:
            off = (answer["decoded"].sigmoid() - occupancy).abs() * target["sdf_mm"].abs()
            terms["sdf"] = _mean_of(off.flatten(1).mean(dim=1), late)
        return terms

    def logged(self, output: object) -> dict[str, float]:
        """The loss and its terms of the last step, by name, for TensorBoard."""
        total = sum(weight * self.terms.get(f"loss_{name}", 0.0) for name, weight in self.weights.items())
        return {"train_loss": float(total), **self.terms}


def _mean_of(each: Tensor, chosen: Tensor) -> Tensor:
    """The mean over the chosen items; 0 if there is none."""
    return (each * chosen).sum() / chosen.sum().clamp(min=1)


def plane_error(
    logits: Float[Tensor, "b 1 s s s"],
    occupancy: Float[Tensor, "b 1 s s s"],
    axis: Integer[Tensor, " b"],
    slice_idx: Integer[Tensor, " b"],
) -> Float[Tensor, " b"]:
    """Cross-entropy plus one minus soft Dice of each case in the plane that was seen; the truth there is the mask."""
    errors = []
    for row, (across, place) in enumerate(zip(axis.tolist(), slice_idx.tolist(), strict=True)):
        found = logits[row, 0].select(across, place)
        mask = occupancy[row, 0].select(across, place)
        inside = found.sigmoid()
        dice = (2 * (inside * mask).sum() + 1) / (inside.sum() + mask.sum() + 1)
        errors.append(F.binary_cross_entropy_with_logits(found, mask) + 1 - dice)
    return torch.stack(errors)
