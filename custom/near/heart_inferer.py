"""Loss and inferer of a whole-heart field for MONAI's trainer and evaluator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from ..errors import InputError
from ..losses.distillation import Distillation
from ..losses.latent_prior import code_prior
from ..losses.whole_heart import HeartLoss
from ..models.near.evaluate_grid import CHUNK
from ..models.near.evaluate_label_grid import evaluate_heart
from ..models.near.near_field import NearField
from ..rules.priority_decision import PriorityDecision
from .inferers import unwrapped
from .output_grid import OutputGrids


class WholeHeartLoss(nn.Module):
    """The targets' loss, the teachers' loss and lambda ||z||^2 (requirements A3.2 and A3.4).

    Args:
        heart: of logits and targets.
        distillation: of logits and teachers.
        latent_weight: lambda.
        centre: the code the prior pulls towards, flat, by the case's row; ``None``: 0. The search for an unseen case's
            code is regularised towards its start, which is kept where nothing of the case is labelled.
        start: a loss that holds outputs without a target at the start's values.
    """

    def __init__(
        self,
        heart: HeartLoss,
        distillation: Distillation,
        latent_weight: float | int,
        centre: nn.Module | None = None,
        start: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.centre, self.start = centre, start
        self.heart, self.distillation, self.latent_weight = heart, distillation, float(latent_weight)

    def forward(self, answer: dict[str, Tensor], target: Tensor) -> Tensor:
        """Of ``logits`` [batch, structures, n], ``codes`` and, with a centre or start, their ``rows`` and the
        ``points``; targets as :meth:`data_term` takes them."""
        codes = answer["codes"].flatten(1)
        if self.centre is not None:
            codes = codes - self.centre(answer["rows"]).to(codes)
        loss = self.data_term(answer["logits"], target) + self.latent_weight * code_prior(codes)
        return loss if self.start is None else loss + self.start(answer, target)

    def data_term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Without the prior; targets [batch, structures, n], or with the teachers' outputs below them [batch, 2
        structures, n]."""
        count = logits.shape[1]
        loss: Tensor = self.heart(logits, target[:, :count])
        if target.shape[1] > count:
            loss = loss + self.distillation(logits, target[:, count:])
        return loss


class HeartInferer(Inferer):
    """Ask a whole-heart field for the part of a canvas that one case's box covers, and decide.

    Args:
        canvases: of all cases, in code order.
        decision: from probabilities to labels.
        with_probabilities: return them too, behind the labels.
        stride: of the first lattice, see :func:`custom.models.near.evaluate_label_grid.evaluate_heart`; 1 asks
            everywhere, and so does the grid of another image.
        bf16: run the matrix products and convolutions in bfloat16.
        chunk: points evaluated at once.

    Raises:
        InputError: a stride that is no power of two.
    """

    def __init__(
        self,
        canvases: OutputGrids,
        decision: PriorityDecision,
        with_probabilities: bool = False,
        stride: int = 4,
        bf16: bool = False,
        chunk: int = CHUNK,
    ) -> None:
        if stride < 1 or stride & (stride - 1):
            raise InputError("--stride", repr(stride), "a power of two", "4 is usual; 1 asks everywhere.")
        self.canvases, self.decision, self.with_probabilities = canvases, decision, with_probabilities
        self.stride, self.bf16, self.chunk = stride, bf16, chunk

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Labels [1, 1, i, j, k], uint8, of the one case whose row is ``inputs`` [1], on its canvas's box; with
        probabilities [1, 1 + structures, i, j, k], single precision, labels first."""
        assert isinstance(network, nn.Module)
        field, row = unwrapped(network), int(inputs[0])
        canvas = self.canvases[row]
        if canvas.empty:
            channels, dtype = self._form
            return torch.zeros(1, channels, 0, 0, 0, dtype=dtype)
        with torch.autocast(field.device.type, torch.bfloat16, enabled=self.bf16):
            return (self._askew(field, row) if self.canvases.askew else self._along(field, row))[None]

    @property
    def _form(self) -> tuple[int, torch.dtype]:
        """How many channels an output has, and of which type."""
        count = len(self.decision.indices)
        return (1 + count, torch.float32) if self.with_probabilities else (1, torch.uint8)

    def _along(self, field: NearField, row: int) -> Tensor:
        """On a grid along the box's own axes, from coarse to fine."""
        axes = self.canvases.axes(row)
        labels, logits = evaluate_heart(
            field, row, axes, self.decision, self.stride, chunk=self.chunk, with_logits=self.with_probabilities
        )
        answer = labels[None].cpu()
        if logits is not None:
            answer = torch.cat([answer.float(), torch.sigmoid(logits.float()).cpu()])
        canvas = self.canvases[row]
        turned = [np.ascontiguousarray(canvas.from_unit_order(channel.numpy())) for channel in answer]
        return torch.from_numpy(np.stack(turned))

    def _askew(self, field: NearField, row: int) -> Tensor:
        """On any other grid, point by point."""
        channels, dtype = self._form
        canvas = self.canvases[row]
        points, places = self.canvases.points(row)
        whole = torch.zeros(channels, *canvas.box_shape, dtype=dtype).flatten(1)
        ask = field.asked_all(row)
        for start in range(0, places.numel(), self.chunk):
            part = slice(start, start + self.chunk)
            probability = torch.sigmoid(ask(points[part]).float().cpu()).T
            labels = self.decision(probability[None])[0]
            answer = torch.cat([labels.to(dtype), probability]) if self.with_probabilities else labels
            whole[:, places[part]] = answer
        return whole.reshape(channels, *canvas.box_shape)
