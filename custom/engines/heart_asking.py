"""How MONAI's engines ask a whole-heart field: the loss of its answers, and whole hearts from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from ..consistency.decision import PriorityDecision
from ..fields.dense import points_of
from ..objectives.distillation import Distillation
from ..objectives.heart import HeartLoss
from ..objectives.prior import code_prior
from .asking import bare
from .heart_canvas import Canvases


class WholeHeartLoss(nn.Module):
    """The targets' loss, the teachers' loss and lambda ||z||^2 (requirements A3.2 and A3.4).

    Args:
        heart: of logits and targets.
        distillation: of logits and teachers.
        latent_weight: lambda.
        centre: the code the prior pulls towards, flat; ``None``: 0. The search for an unseen case's code is pulled
            towards the mean code: where nothing is known of the case, that is what is left of it.
    """

    def __init__(
        self,
        heart: HeartLoss,
        distillation: Distillation,
        latent_weight: float | int,
        centre: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.centre = centre
        self.heart, self.distillation, self.latent_weight = heart, distillation, float(latent_weight)

    def forward(self, answer: dict[str, Tensor], target: Tensor) -> Tensor:
        """Of ``logits`` [batch, structures, n] and ``codes``; targets [batch, structures, n], or with what the teachers
        say below them [batch, 2 structures, n]."""
        logits = answer["logits"]
        count = logits.shape[1]
        loss: Tensor = self.heart(logits, target[:, :count])
        if target.shape[1] > count:
            loss = loss + self.distillation(logits, target[:, count:])
        codes = answer["codes"].flatten(1)
        if self.centre is not None:
            codes = codes - self.centre.to(codes)
        return loss + self.latent_weight * code_prior(codes)


class HeartInferer(Inferer):
    """Ask a whole-heart field for the part of a canvas that one case's box covers, and decide.

    Args:
        canvases: of all cases, in code order.
        decision: from probabilities to labels.
        with_probabilities: answer them too, behind the labels.
        bf16: run the matrix products and convolutions in bfloat16.
        chunk: points asked at once.
    """

    def __init__(
        self,
        canvases: Canvases,
        decision: PriorityDecision,
        with_probabilities: bool = False,
        bf16: bool = False,
        chunk: int = 16384,
    ) -> None:
        self.canvases, self.decision = canvases, decision
        self.with_probabilities, self.bf16, self.chunk = with_probabilities, bf16, chunk

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Labels [1, 1, i, j, k], uint8, of the one case whose row is ``inputs`` [1], on its canvas's box; with
        probabilities [1, 1 + structures, i, j, k], single precision, labels first."""
        assert isinstance(network, nn.Module)
        field, row = bare(network), int(inputs[0])
        canvas = self.canvases[row]
        channels = 1 + len(self.decision.indices) if self.with_probabilities else 1
        dtype = torch.float32 if self.with_probabilities else torch.uint8
        if canvas.empty:
            return torch.zeros(1, channels, 0, 0, 0, dtype=dtype)
        axes = self.canvases.axes(row)
        if axes is None:
            points, places = self.canvases.points(row, canvas)
            shape = canvas.box_shape
        else:
            d, h, w = (axis.numel() for axis in axes)
            shape, places = (d, h, w), torch.arange(d * h * w)
        whole = torch.zeros(channels, shape[0] * shape[1] * shape[2], dtype=dtype)
        with torch.autocast(field.device.type, torch.bfloat16, enabled=self.bf16):
            answer = field.asked_all(row)
        for start in range(0, places.numel(), self.chunk):
            part = places[start : start + self.chunk]
            asked = points_of(axes, part) if axes is not None else points[start : start + self.chunk]
            whole[:, part] = self._decided(answer, asked, field.device.type).to(dtype)
        result = whole.reshape(channels, *shape)
        if axes is not None:
            turned = [np.ascontiguousarray(canvas.from_unit_order(channel.numpy())) for channel in result]
            result = torch.from_numpy(np.stack(turned))
        return result[None]

    def _decided(self, answer: Callable[[Tensor], Tensor], points_unit: Tensor, kind: str) -> Tensor:
        """Labels [1, n] at points [n, 3], and on request the probabilities behind them."""
        with torch.autocast(kind, torch.bfloat16, enabled=self.bf16):
            logits = answer(points_unit)
        probability = torch.sigmoid(logits.float().cpu()).T
        labels = self.decision(probability[None])[0]
        return torch.cat([labels.to(probability.dtype), probability]) if self.with_probabilities else labels
