"""Where the search for an unseen case's code starts (a known failure of auto-decoders: a start too far off)."""

from __future__ import annotations

import logging
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from ..cohort.heart_dataset import HeartDataset
from .asking import bare
from .heart_asking import WholeHeartLoss

LOGGER = logging.getLogger(__name__)


class BestStart:
    """Try several codes for every case of a fit, each for a few steps, and start from the one that comes nearest.

    The first is the mean of the trained codes, where every search starts; the others are the trained codes that already
    answer the case's points best. A run that goes on, or with one start, is left alone.

    Args:
        field: with the codes to be found; all else frozen.
        trained: the codes of the trained cases [cases, ...].
        dataset: the cases.
        loss: of the run.
        starts: how many, the mean among them.
        learning_rate: of the steps.
        steps: tried with each.
    """

    def __init__(
        self,
        field: nn.Module,
        trained: Tensor,
        dataset: HeartDataset,
        loss: WholeHeartLoss,
        starts: int,
        learning_rate: float,
        steps: int = 20,
    ) -> None:
        self.field, self.trained, self.dataset, self.loss = bare(field), trained, dataset, loss
        self.starts, self.learning_rate, self.steps = starts, learning_rate, steps

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        if self.starts == 1 or engine.state.epoch:
            return
        table = self.field.codes.table.weight
        for position, row in enumerate(self.dataset.present):
            item: Any = self.dataset[position]
            image, target = (item[key][None].to(self.field.device) for key in ("image", "label"))
            mean = table.detach()[row : row + 1]
            losses = [float(self._loss(code[None], image, target)) for code in self.trained.to(mean)]
            nearest = sorted(range(len(losses)), key=lambda start: losses[start])[: self.starts - 1]
            found = [self._search(mean, image, target)]
            found += [self._search(self.trained[start : start + 1].to(mean), image, target) for start in nearest]
            best = min(range(len(found)), key=lambda start: found[start][0])
            with torch.no_grad():
                table[row] = found[best][1][0]
            LOGGER.info("%s: starts from %s", self.dataset.cases[row], ("the mean", *nearest)[best])

    def _loss(self, code: Tensor, image: Tensor, target: Tensor) -> Tensor:
        """Of one code [1, size] at one case's points."""
        codes = code.reshape((1,) + self.field.codes.shape)
        logits = self.field.answer(self.field.pyramid(codes), image.transpose(1, 2)).transpose(1, 2)
        loss: Tensor = self.loss({"logits": logits.float(), "codes": codes}, target)
        return loss.detach() if not code.requires_grad else loss

    def _search(self, start: Tensor, image: Tensor, target: Tensor) -> tuple[float, Tensor]:
        """The loss after the steps, and the code."""
        code = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([code], self.learning_rate)
        for _ in range(self.steps):
            optimizer.zero_grad()
            torch.autograd.backward(self._loss(code, image, target))
            optimizer.step()
        return float(self._loss(code.detach(), image, target)), code.detach()
