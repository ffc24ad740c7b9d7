"""The stored probabilities of a case's thin structures, and how files of one case are found and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float32

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..data.label_maps import read_grid, read_values
from ..data.partner_grids import order_on
from ..errors import InputError

READERS = 2
"""Files unpacked at once; the work is done outside of Python's lock."""

Volume = TypeVar("Volume")


class Probabilities:
    """The stored probabilities of a case's thin structures, read when needed.

    Args:
        masks_dir: ``STRUCTURE/probability/CASE.nii.gz`` below it; empty: there are none.
        label_table: the table or its name.
        grids: by case, a file whose voxel order they are wanted in; of another case as they are.
    """

    def __init__(
        self,
        masks_dir: str | Path,
        label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
        grids: Mapping[str, Path] | None = None,
    ) -> None:
        self.grids = dict(grids or {})
        folder = Path(masks_dir)
        thin = [structure.name for structure in table(label_table) if structure.thin]
        self.folders = {name: folder / name / "probability" for name in thin} if str(masks_dir) else {}

    def paths(self, case: str) -> dict[str, Path]:
        """Where they are, by the structure's name; a structure without a file is left out."""
        found = {name: file_of(folder, case) for name, folder in self.folders.items()}
        return {name: path for name, path in found.items() if path.exists()}

    def __call__(self, case: str) -> dict[str, Float32[np.ndarray, "i j k"]]:
        """By the structure's name, 0 to 1.

        Raises:
            InputError: as :func:`read_probability`, or one on another grid than the case's.
        """
        paths = self.paths(case)
        found = read_all(read_probability, paths)
        if case not in self.grids or not found:
            return found
        wanted = read_grid(self.grids[case])
        for name, path in paths.items():
            own = read_grid(path)
            order = order_on(path, own.shape, own.affine, wanted.shape, wanted.affine, f"that of {self.grids[case]}")
            found[name] = order.of(found[name])
        return found


def read_probability(path: Path) -> Float32[np.ndarray, "i j k"]:
    """A stored probability.

    Raises:
        InputError: a file that is missing or faulty, or values outside of 0 to 1, NaN among them.
    """
    values = read_values(path)[0].astype(np.float32, copy=False)
    if not (values.min() >= 0 and values.max() <= 1):
        found = f"values from {values.min():g} to {values.max():g}"
        raise InputError(path, found, "probabilities, 0 to 1", "Write it again, or take it away.")
    return values


def read_all(read: Callable[[Path], Volume], paths: Mapping[str, Path]) -> dict[str, Volume]:
    """Several files at a time; the first error in their order is raised."""
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(paths, pool.map(read, paths.values()), strict=True))


def file_of(folder: Path, case: str) -> Path:
    """``CASE.nii.gz`` in the folder, or ``CASE.nii`` if that is what is there."""
    plain = folder / f"{case}.nii"
    return plain if plain.exists() else folder / f"{case}.nii.gz"
