"""Which parameters learn, and how fast."""

from __future__ import annotations

from typing import Any

from torch import nn

from .asking import bare


def parameter_groups(network: nn.Module, learning_rate: float, code_learning_rate: float) -> list[dict[str, Any]]:
    """Two groups for an optimiser: the shared weights and the codes, each without what is frozen.

    Args:
        network: a field, perhaps wrapped for several processes.
        learning_rate: of the weights.
        code_learning_rate: of the codes. A code is asked once an epoch where the weights are asked in every step, and a
            grid of codes has one number per place: it may learn several times as fast.
    """
    field = bare(network)
    codes = [parameter for parameter in field.codes.parameters() if parameter.requires_grad]
    own = {id(parameter) for parameter in field.codes.parameters()}
    weights = [parameter for parameter in field.parameters() if parameter.requires_grad and id(parameter) not in own]
    groups = [{"params": weights, "lr": learning_rate}, {"params": codes, "lr": code_learning_rate}]
    return [group for group in groups if group["params"]]
