"""How far the heads are from what the teachers, the fields of single structures, say (requirement A3.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

NEAREST = 1e-4
"""To 0 and 1 of a teacher's probability, before its logit is divided by the temperature."""


class Distillation(nn.Module):
    """Mean over the structures of w_c T_c^2 BCE(sigma(s_c / T_c), q_c), q_c the teacher's probability softened by T_c.

    A temperature above 1 flattens both and so looks at the width of the boundary more than at the side of it (Hinton,
    Vinyals, Dean, "Distilling the knowledge in a neural network", 2015, whence the square). An exact 0, what a teacher
    says outside of its box, stays 0. A probability below 0 means that there is no teacher.

    Args:
        weights: w_c of each structure.
        temperatures: T_c of each structure, above 0.
    """

    def __init__(self, weights: Sequence[float], temperatures: Sequence[float]) -> None:
        super().__init__()
        self.weights: Tensor
        self.temperatures: Tensor
        self.register_buffer("weights", torch.tensor(list(weights), dtype=torch.float32), persistent=False)
        temperature = torch.tensor(list(temperatures), dtype=torch.float32)[:, None]
        self.register_buffer("temperatures", temperature, persistent=False)

    def forward(self, logits: Float[Tensor, "batch c n"], teachers: Float[Tensor, "batch c n"]) -> Float[Tensor, ""]:
        temperature = self.temperatures.to(logits.device)
        asked = (teachers >= 0).to(logits.dtype)
        softened = torch.sigmoid(torch.logit(teachers.clamp(NEAREST, 1 - NEAREST)) / temperature)
        softened = torch.where((teachers == 0) | (temperature == 1), teachers.clamp(min=0), softened)
        each = F.binary_cross_entropy_with_logits(logits / temperature, softened, reduction="none") * asked
        per_structure = each.sum(dim=(0, 2)) / asked.sum(dim=(0, 2)).clamp(min=1)
        return (self.weights.to(logits.device) * temperature[:, 0] ** 2 * per_structure).mean()
