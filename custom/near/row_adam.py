"""Which parameters learn, how fast, and that a step costs what its batch costs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from ..models.near.latent_codes import LatentCodes
from .inferers import unwrapped


def parameter_groups(network: nn.Module, learning_rate: float, code_learning_rate: float) -> list[dict[str, Any]]:
    """Two groups for an optimiser: the shared weights and the codes, each without what is frozen.

    Args:
        network: a field, perhaps wrapped for several processes.
        learning_rate: of the weights.
        code_learning_rate: of the codes. A code is updated once an epoch where the weights are updated in every step,
            and a grid of codes has one number per place: it may learn several times as fast.
    """
    field = unwrapped(network)
    codes = [parameter for parameter in field.codes.parameters() if parameter.requires_grad]
    own = {id(parameter) for parameter in field.codes.parameters()}
    weights = [parameter for parameter in field.parameters() if parameter.requires_grad and id(parameter) not in own]
    groups = [{"params": weights, "lr": learning_rate}, {"params": codes, "lr": code_learning_rate}]
    return [group for group in groups if group["params"]]


class RowAdam(torch.optim.Adam):
    """Adam that updates, of a table of codes, only the rows of the batch.

    A row has moments and a step count of its own and is updated by torch's own Adam when its case is in the batch, as
    if every code had an optimiser to itself. How a code learns then depends on how often its case was used, not on how
    many other cases there are; torch's Adam over the whole table goes on moving every code by momentum in every step.
    Where every batch holds every case, the two are the same.

    Args:
        params: parameters or groups; those without the table move as by torch's Adam.
        codes: whose table moves row by row. Its gradient holds the rows of the batch alone from now on.
        options: of torch's Adam, ``amsgrad`` aside.
    """

    def __init__(self, params: Any, codes: LatentCodes, **options: Any) -> None:
        super().__init__(params, **options)
        self.codes = codes
        codes.table.sparse = True

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move what has a gradient."""
        table = self.codes.table.weight
        gradient, table.grad = table.grad, None
        super().step()
        table.grad = gradient
        if gradient is not None:
            self._move(gradient.coalesce())
            self.codes.release_pages()

    def _move(self, gradient: Tensor) -> None:
        """The rows [r, numbers] of a sparse gradient, each by its own moments."""
        table = self.codes.table.weight
        (group,) = (one for one in self.param_groups if any(parameter is table for parameter in one["params"]))
        state = self.state[table] or self._fresh(table)
        rows = gradient.indices()[0].tolist()
        own = {name: [values[row] for row in rows] for name, values in {**state, "table": table}.items()}
        (beta1, beta2), options = group["betas"], ("lr", "eps", "weight_decay", "maximize", "foreach", "fused")
        adam(
            own["table"],
            list(gradient.values()),
            own["exp_avg"],
            own["exp_avg_sq"],
            [],
            own["step"],
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            **{name: group[name] for name in options},
        )

    def _fresh(self, table: Tensor) -> dict[str, Tensor]:
        """What is kept of every row before its first step, where the table lies."""
        counts = torch.zeros(len(table))
        self.state[table] = {"step": counts, "exp_avg": self.codes.zeros(), "exp_avg_sq": self.codes.zeros()}
        return self.state[table]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, copied to where the table lies; one step count for all rows, as torch's Adam keeps it, is
        taken as the count of each."""
        super().load_state_dict(state_dict)
        table = self.codes.table.weight
        loaded = self.state.pop(table, None)
        if not loaded:
            return
        fresh = self._fresh(table)
        fresh["step"].copy_(loaded["step"])
        for name in ("exp_avg", "exp_avg_sq"):
            for row, values in zip(fresh[name], loaded[name], strict=True):
                row.copy_(values)
                self.codes.release_pages()
