"""The prior on codes: small ones (requirement A1.3)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def code_prior(codes: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
    """The mean over the batch of ||z||^2."""
    return codes.flatten(1).pow(2).sum(dim=1).mean()
