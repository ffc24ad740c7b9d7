"""From features at a point to logits at that point."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SkipMLP(nn.Module):
    """The point MLP of requirement A1.2: two wide layers, the input again beside them, two narrowing layers, the
    logits.

    There is no normalisation across points: the answer at a point must not depend on which other points are asked (the
    predecessors' group norm made it so).

    Args:
        in_channels: features and coordinates of a point.
        out_channels: logits of a point.
        widths: of fc1, fc2, fc3 and fc4.
        prior: the occupancy the network starts from; a small one spares the first steps of a thin structure.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        widths: Sequence[int] = (256, 256, 128, 64),
        prior: float = 0.1,
    ) -> None:
        super().__init__()
        one, two, three, four = widths
        self.fc1 = nn.Linear(in_channels, one)
        self.fc2 = nn.Linear(one, two)
        self.fc3 = nn.Linear(two + in_channels, three)
        self.fc4 = nn.Linear(three, four)
        self.output = nn.Linear(four, out_channels)
        nn.init.constant_(self.output.bias, float(torch.logit(torch.tensor(prior))))

    def forward(self, features: Tensor) -> Tensor:
        """Logits [batch, n, out_channels] of features [batch, n, in_channels]."""
        hidden = torch.relu(self.fc2(torch.relu(self.fc1(features))))
        hidden = torch.relu(self.fc3(torch.cat([hidden, features], dim=-1)))
        return self.output(torch.relu(self.fc4(hidden)))
