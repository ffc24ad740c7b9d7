"""The cases of one structure, cut out once, stored on disk, read one batch at a time."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from monai.data import PersistentDataset
from monai.data.utils import pickle_hashing
from monai.transforms import Compose
from tqdm import tqdm

from ..errors import InputError
from ..output_record import claim, remove
from ..space import Frame
from .plausible_size import Size, warn_of_sizes

LOGGER = logging.getLogger(__name__)

CACHE_FILES = ("*.pt", "tmp*")
"""Names of what MONAI's data set stores in its cache, and of the folders in which it writes them first."""


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Let ``tempfile`` work in ``folder``, so that moving a finished file to its place is one atomic rename."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def is_whole(path: Path) -> bool:
    """Whether a file of ``torch.save`` has all its records and each passes its checksum."""
    try:
        with ZipFile(path) as records:
            return records.testzip() is None
    except (BadZipFile, OSError, EOFError):
        return False


class StructureDataset(PersistentDataset):
    """The cases that hold one structure.

    The deterministic transforms run once per case and their result is stored in ``cache_dir``; a changed file,
    transform or case list, or a damaged result, is stored anew. Memory is bounded by a batch: nothing stays decoded.

    A case without the structure is named in the log and left out; its code row stays unused. Sizes that no
    heart has are named there too.

    Args:
        data: items with ``label`` (a path), ``case``, ``index`` and ``fingerprint``, from ``case_items``.
        transform: a MONAI ``Compose``; its deterministic part must leave a ``label_frame``.
        cache_dir: folder of the stored results.
        structure: its name, for messages.

    Raises:
        InputError: no case holds the structure.
    """

    remedy = "Choose another --structure, or another --dataset_dir."

    def __init__(
        self, data: Sequence[dict[str, Any]], transform: Compose, cache_dir: str | Path, structure: str
    ) -> None:
        super().__init__(data, transform, cache_dir, hash_transform=pickle_hashing)
        for pattern in CACHE_FILES:
            claim(Path(cache_dir), pattern)
        self.structure = structure
        self.frames: dict[str, Frame] = {}
        self.present: list[int] = []
        sizes: dict[str, Size] = {}
        for row, item in enumerate(tqdm(self.data, desc=f"{structure}: cutting out", unit="case", leave=False)):
            self._drop_if_damaged(row)
            stored = self.stored(row)
            self.note(stored)
            sizes[item["case"]] = Size(*stored.get("label_size", ()))
            frame = Frame.from_dict(stored["label_frame"])
            self.frames[item["case"]] = frame
            if frame.empty:
                LOGGER.warning("%s: no %s in it; skipped, its mask will be empty", item["case"], structure)
            else:
                self.present.append(row)
        warn_of_sizes(sizes)
        if not self.present:
            where = Path(self.data[0]["label"]).parent if self.data else Path(".")
            raise InputError(
                where,
                f"no voxel of {structure} in any of {len(self.data)} cases",
                "at least one case that holds it",
                self.remedy,
            )

    def note(self, stored: dict[str, Any]) -> None:
        """Look at a case's stored result, once, in the order of the cases; for subclasses."""

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of all cases in the order of their codes, those without the structure too."""
        return tuple(item["case"] for item in self.data)

    @property
    def fingerprints(self) -> dict[str, str]:
        """By case name: what the label map was when it was cut out."""
        return {item["case"]: item["fingerprint"] for item in self.data}

    def stored(self, row: int) -> dict[str, Any]:
        """The stored result of case ``row`` of all cases."""
        result: dict[str, Any] = self._cachecheck(self.data[row])
        return result

    def _drop_if_damaged(self, row: int) -> None:
        """Delete a stored result that a full disk or a crash has left unfit, so that it is made again."""
        assert self.cache_dir is not None
        path = Path(self.cache_dir) / f"{self.hash_func(self.data[row]).decode('utf-8')}{self.transform_hash}.pt"
        if path.is_file() and not is_whole(path):
            LOGGER.warning("%s: damaged; cut out again", path)
            remove(path)

    def sharing(self, transform: Compose) -> StructureDataset:
        """The same cases and stored results under another transform with the same deterministic part."""
        other = copy(self)
        other.transform = transform
        return other

    def __len__(self) -> int:
        return len(self.present)

    def _transform(self, index: int) -> Any:
        return super()._transform(self.present[index])

    def _cachecheck(self, item_transformed: Any) -> Any:
        assert self.cache_dir is not None
        try:
            with temporary_files_in(self.cache_dir):
                return super()._cachecheck(item_transformed)
        except (OSError, RuntimeError) as error:
            # torch.save raises this on a full disk; whatever else goes wrong is not about writing.
            if isinstance(error, RuntimeError) and not re.search("basic_ios|inline_container", str(error)):
                raise
            reason = error.strerror if isinstance(error, OSError) else "the disk may be full"
            found = f"a folder that cannot be written ({reason})"
            remedy = "Free some space there, or choose another --output_dir."
            raise InputError(self.cache_dir, found, "room for the cases of one structure", remedy) from error
