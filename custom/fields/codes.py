"""One latent code per case, looked up by the case's name."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from jaxtyping import Float
from torch import Tensor, nn


class Codes(nn.Module):
    """A table of codes z_i, one row per case.

    Args:
        cases: number of rows.
        shape: of one code: ``(256,)`` a vector (A1.2), or ``(channels, d, h, w)`` a small grid.
        std: of the normal distribution the rows start from; NeAR's own default of 1 leaves ||z|| near 16 and the
            penalty of A1.3 far above the data term.
    """

    def __init__(self, cases: int, shape: Sequence[int], std: float = 0.02) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.table = nn.Embedding(cases, prod(self.shape))
        nn.init.normal_(self.table.weight, std=std)

    def forward(self, index: Tensor) -> Tensor:
        """Codes [batch, *shape] of the rows ``index`` [batch]."""
        return self.table(index).reshape((index.shape[0],) + self.shape)

    def mean(self) -> Float[Tensor, "1 ..."]:
        """The mean code: where an unseen case's search starts."""
        return self.table.weight.mean(dim=0, keepdim=True).reshape((1,) + self.shape)
