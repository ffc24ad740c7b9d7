"""One latent code per case, looked up by the case's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .memory_mapped_table import MappedTable, TableStorage

DRAWN_AT_ONCE = 2**22
"""Numbers; torch draws normal numbers sixteen at a time, so that any multiple of it gives what one draw would."""

TABLE = "codes.table.weight"
"""What a field's state dict calls the table."""


class LatentCodes(nn.Module):
    """A table of codes z_i, one row per case.

    A large table lies in a file (:class:`custom.models.near.memory_mapped_table.TableStorage`) and never on a GPU: the
    rows asked are copied to where the question is. The numbers are the same wherever they lie.

    Args:
        cases: number of rows.
        shape: of one code: ``(256,)`` a vector (A1.2), or ``(channels, d, h, w)`` a small grid.
        std: of the normal distribution the rows start from; NeAR's own default of 1 leaves ||z|| near 16 and the
            penalty of A1.3 far above the data term.
        place: where a large table lies; ``None``: in memory.
    """

    def __init__(self, cases: int, shape: Sequence[int], std: float = 0.02, place: TableStorage | None = None) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.place = place
        self.pages: list[MappedTable] = []
        self.on_host = place is not None and place.takes(4 * cases * prod(self.shape))
        self.table = nn.Embedding(cases, prod(self.shape), _weight=self._blank(cases, torch.device("cpu")))
        for deviation in (1.0, std):  # a table in memory is drawn when made and drawn anew: a seed gives the same codes
            self._draw(deviation)

    def forward(self, index: Tensor) -> Tensor:
        """Codes [batch, *shape] of the rows ``index`` [batch], on the device of ``index``."""
        rows = self.table(index.to(self.table.weight.device)).to(index.device)
        if not torch.jit.is_scripting():
            self.release_pages()
        return rows.reshape((index.shape[0],) + self.shape)

    @torch.jit.unused
    def mean(self) -> Float[Tensor, "1 ..."]:
        """The mean code: where an unseen case's search starts."""
        mean = self.table.weight.mean(dim=0, keepdim=True).reshape((1,) + self.shape)
        self.release_pages()
        return mean

    @torch.jit.unused
    def zeros(self) -> Float[Tensor, "cases numbers"]:
        """A table of zeros beside this one, for what an optimiser keeps of every number."""
        return self._blank(len(self.table.weight), self.table.weight.device)

    @torch.jit.unused
    def take(self, table: Float[Tensor, "cases numbers"]) -> None:
        """Let the codes be these, where they lie, without a copy."""
        cases, numbers = table.shape
        self.table = nn.Embedding(cases, numbers, _weight=table)

    @torch.jit.unused
    def fill(self, set_row: Callable[[Tensor], Any]) -> None:
        """Let every row [numbers] be set in place, one at a time."""
        with torch.no_grad():
            for row in self.table.weight:
                set_row(row)
                self.release_pages()

    @torch.jit.unused
    def release_pages(self) -> None:
        """Hold no more of what lies in files than the system sees fit."""
        for pages in self.pages:
            pages.release_pages()

    @torch.no_grad()
    def _draw(self, deviation: float) -> None:
        for numbers in self.table.weight.view(-1).split(DRAWN_AT_ONCE):
            numbers.normal_(std=deviation)
            self.release_pages()

    def _blank(self, cases: int, device: torch.device) -> Tensor:
        if not self.on_host:
            return torch.zeros(cases, prod(self.shape), device=device)
        assert self.place is not None
        self.pages.append(MappedTable(cases, prod(self.shape), self.place.folder))
        return self.pages[-1].tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LatentCodes:
        """As ``nn.Module.to`` asks of every part; a table in a file stays there."""
        return self if self.on_host else super()._apply(fn, recurse)
