"""The ways in which the trained hearts differ: where an unseen heart is looked for first."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from ignite.engine import Engine, Events
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..data.heart_dataset import HeartDataset
from .heart_inferer import WholeHeartLoss
from .inferers import unwrapped

MOST_HEARTS = 128
"""Trained codes that modes are made of: more hold the same few ways to differ, and cost memory."""


class CodePca(nn.Module):
    """The mean code and the main modes of trained codes; every case's code is near mean + coefficients x modes.

    A mode is a direction times the standard deviation of the trained codes along it, so that a coefficient of 1 is an
    ordinary heart (Cootes et al., "Active shape models", CVIU 1995, on codes instead of landmarks).

    Args:
        codes: trained ones; of more than ``MOST_HEARTS`` as many evenly spread ones.
        count: modes, at most one less than there are codes; 0: the mean alone.
        cases: whose coefficients are kept, all 0.
    """

    def __init__(self, codes: Float[Tensor, "hearts numbers"], count: int, cases: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.modes: Tensor
        self.coefficients: Tensor
        codes = codes.detach()[:: -(-len(codes) // MOST_HEARTS)].float().cpu()
        self.register_buffer("mean", codes.mean(dim=0), persistent=False)
        self.register_buffer("modes", principal_components(codes - self.mean, count), persistent=False)
        self.register_buffer("coefficients", torch.zeros(cases, len(self.modes)), persistent=False)

    def forward(self, rows: Int[Tensor, " batch"]) -> Float[Tensor, "batch numbers"]:
        """The codes of cases without what is theirs alone."""
        return self.of(self.coefficients[rows.to(self.coefficients.device)])

    def of(self, coefficients: Float[Tensor, "batch modes"]) -> Float[Tensor, "batch numbers"]:
        """The codes these coefficients make."""
        return self.mean + coefficients @ self.modes


def principal_components(centred: Float[Tensor, "hearts numbers"], count: int) -> Float[Tensor, "modes numbers"]:
    """The directions of largest spread, each as long as the standard deviation along it; none without any spread."""
    hearts = len(centred)
    spread, turned = torch.linalg.eigh((centred @ centred.T).double())
    kept = [place for place in range(hearts - 1, 0, -1) if spread[place] > 1e-9 * spread[-1]][:count]
    return (turned.T[kept].float() @ centred) / max(hearts - 1, 1) ** 0.5


class StartRegulariser(nn.Module):
    """Mean over the structures of the cross entropy with the start's own output, where there is no target.

    Without it the search for what is known pushes the heads of what is not anywhere: they hang on the same numbers.

    Args:
        field: of the search.
        hearts: whose codes the cases start from.
        weight: of this loss.
    """

    def __init__(self, field: nn.Module, hearts: CodePca, weight: float | int = 1.0) -> None:
        super().__init__()
        self.asked = [unwrapped(field)]  # in a list: not a part of this module, whose parameters are none
        self.hearts, self.weight = hearts, float(weight)

    def forward(self, answer: dict[str, Tensor], target: Tensor) -> Tensor:
        """Of ``logits`` [batch, structures, n], ``rows`` and ``points`` [batch, 3, n]; a target below 0 is unknown."""
        logits, field = answer["logits"], self.asked[0]
        unknown = (target[:, : logits.shape[1]] < 0).to(logits.dtype)
        if not unknown.any():
            return logits.new_zeros(())
        with torch.no_grad():
            codes = self.hearts(answer["rows"]).to(logits.device).reshape((-1, *field.codes.shape))
            start = field.answer(field.pyramid(codes), answer["points"].transpose(1, 2)).transpose(1, 2).float()
        each = F.binary_cross_entropy_with_logits(logits, torch.sigmoid(start), reduction="none") * unknown
        return self.weight * (each.sum(dim=(0, 2)) / unknown.sum(dim=(0, 2)).clamp(min=1)).mean()


class PcaCodeInit:
    """Begin the search for every case's code at the heart along the modes that fits its points best.

    What nobody has labelled in a case goes with what has been: a code that is free in every number keeps the mean where
    it has no target. The search that follows is regularised towards this start. A resumed run finds the same again.

    Args:
        field: with the codes to be found; all else frozen.
        hearts: mean and modes; the coefficients found are left there.
        dataset: the cases.
        loss: of the run.
        weight: of the squared coefficients beside the loss.
        steps: of the search.
        learning_rate: of the coefficients.
    """

    def __init__(
        self,
        field: nn.Module,
        hearts: CodePca,
        dataset: HeartDataset,
        loss: WholeHeartLoss,
        weight: float = 0.003,
        steps: int = 60,
        learning_rate: float = 0.1,
    ) -> None:
        self.field, self.hearts, self.dataset, self.loss = unwrapped(field), hearts, dataset, loss
        self.weight, self.steps, self.learning_rate = weight, steps, learning_rate

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        hearts = self.hearts.to(self.field.device)
        if not len(hearts.modes):
            return
        table = self.field.codes.table.weight
        for position, row in enumerate(self.dataset.present):
            item: Any = self.dataset[position]
            image, target = (item[key][None].to(self.field.device) for key in ("image", "label"))
            hearts.coefficients[row] = self._search(image, target)
            if not engine.state.epoch:
                with torch.no_grad():
                    table[row] = hearts.of(hearts.coefficients[row : row + 1])[0].to(table)

    def _search(self, image: Tensor, target: Tensor) -> Tensor:
        """The coefficients [modes] of one case's points [1, 3, n]."""
        coefficients = torch.zeros(1, len(self.hearts.modes), device=image.device, requires_grad=True)
        optimizer = torch.optim.Adam([coefficients], self.learning_rate)
        for _ in range(self.steps):
            optimizer.zero_grad()
            codes = self.hearts.of(coefficients).reshape((1,) + self.field.codes.shape)
            logits = self.field.answer(self.field.pyramid(codes), image.transpose(1, 2)).transpose(1, 2)
            loss = self.loss.data_term(logits.float(), target) + self.weight * coefficients.pow(2).sum()
            torch.autograd.backward(loss)
            optimizer.step()
        return coefficients.detach()[0]
