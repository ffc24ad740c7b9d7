"""A field whose codes may lie in a file."""

from __future__ import annotations

from typing import Any

import torch

from .codes import Codes
from .near import NearField
from .pages import Place


class StoredField(NearField):
    """A field with as many codes as a disk holds: the network is on its device, a large table beside it in a file.

    Args:
        cases: number of codes.
        place: where a large table lies; ``None``: in memory.
        network: what else :class:`custom.fields.near.NearField` takes.
    """

    def __init__(self, cases: int, place: Place | None = None, **network: Any) -> None:
        super().__init__(1, **network)
        self.codes = Codes(cases, self.codes.shape, place=place)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.head.parameters()).device
