"""Which structures are hidden from the encoder: the four phases of training are settings of this (B2-B5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..errors import InputError

SCHEMES: dict[str, tuple[str, ...]] = {
    "no_great_vessels": ("Aorta", "PA", "PV"),
    "no_arteries": ("Aorta", "PA"),
    "no_veins": ("PV",),
    "no_atria": ("LA", "RA", "LAA"),
    "no_ventricles": ("Myocardium", "LV", "RV"),
    "no_right_heart": ("RA", "RV", "PA"),
    "no_left_heart": ("Myocardium", "LA", "LV", "LAA", "PV", "Aorta"),
    "no_coronaries": ("Coronary",),
    "no_appendage": ("LAA",),
    "chambers_only": ("Aorta", "PA", "LAA", "Coronary", "PV"),
    "no_thin": ("LAA", "Coronary", "PV"),
}
"""By name: the structures that are hidden, as they lack where a scan was cut, planned or labelled for another task."""


def channels_of(name: str, label_table: StructureTable, setting: str) -> list[int]:
    """Positions in the table of what a name stands for: a scheme, or structures joined by ``+``.

    Args:
        name: such as ``no_atria`` or ``LA+LAA``.
        label_table: the structures.
        setting: for the message.

    Raises:
        InputError: neither, or a scheme of structures that the table does not have.
    """
    names = SCHEMES.get(name, tuple(str(name).split("+")))
    try:
        return sorted({label_table.names.index(label_table[one].name) for one in names})
    except InputError as error:
        wanted = f"structures joined by +, or one of {', '.join(SCHEMES)}"
        raise InputError(f"--{setting}", repr(name), wanted, error.parts[3]) from error


class StructureHider:
    """Draw which structures of a case are given to the encoder, at least one of the labelled ones.

    With the share ``scheme_share`` a scheme is hidden, with ``subset_share`` a subset alone is given, and else a random
    number of random structures is hidden. A draw that would hide all, or nothing of what is there, falls back to the
    random number.

    Args:
        counts: least and greatest number of structures hidden at random.
        schemes: names of :data:`SCHEMES`, or structures joined by ``+``.
        scheme_share: of the draws.
        subsets: structures joined by ``+``, each a set that is given alone.
        subset_share: of the draws.
        label_table: the table or its name.

    Raises:
        InputError: an unknown name, shares above 1 together, a share of none, or counts the wrong way round.
    """

    def __init__(
        self,
        counts: Sequence[int] = (0, 0),
        schemes: Sequence[str] = (),
        scheme_share: float | int = 0.0,
        subsets: Sequence[str] = (),
        subset_share: float | int = 0.0,
        label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        self.table = table(label_table)
        self.least, self.most = int(counts[0]), int(counts[1])
        self.schemes = [channels_of(name, self.table, "hidden_schemes") for name in schemes]
        self.subsets = [channels_of(name, self.table, "shown_subsets") for name in subsets]
        self.scheme_share, self.subset_share = float(scheme_share), float(subset_share)
        self._check()

    def _check(self) -> None:
        if self.least > self.most:
            found, wanted = f"[{self.least}, {self.most}]", "the least before the greatest"
            raise InputError("--hidden_counts", found, wanted, "Turn them round.")
        if self.scheme_share + self.subset_share > 1:
            found = f"shares of {self.scheme_share:g} and {self.subset_share:g}"
            raise InputError("--scheme_share", found, "at most 1 with --subset_share", "Lower one of the two.")
        for share, names, setting in (
            (self.scheme_share, self.schemes, "scheme_share"),
            (self.subset_share, self.subsets, "subset_share"),
        ):
            if share and not names:
                found, wanted = f"{share:g} of none", "0, or something to draw from"
                raise InputError(f"--{setting}", found, wanted, "Name some, or set it to 0.")

    def draw(self, generator: np.random.Generator, label_valid: Bool[np.ndarray, " c"]) -> Bool[np.ndarray, " c"]:
        """The given structures, a part of ``label_valid``; all of it if one structure is labelled, none if none is."""
        chance = generator.random()
        shown = label_valid.copy()
        if chance < self.scheme_share:
            shown[self.schemes[generator.integers(len(self.schemes))]] = False
        elif chance < self.scheme_share + self.subset_share:
            kept = np.zeros_like(shown)
            kept[self.subsets[generator.integers(len(self.subsets))]] = True
            shown &= kept
        if shown.any() and not np.array_equal(shown, label_valid):
            return np.asarray(shown)
        return self._at_random(generator, label_valid)

    def _at_random(self, generator: np.random.Generator, label_valid: np.ndarray) -> np.ndarray:
        labelled = np.flatnonzero(label_valid)
        count = min(int(generator.integers(self.least, self.most + 1)), max(len(labelled) - 1, 0))
        shown = label_valid.copy()
        shown[generator.permutation(labelled)[:count]] = False
        return shown
