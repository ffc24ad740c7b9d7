"""One frame for all clouds of a training run: large enough for every heart, and that of the network it begins with."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..anatomy import table
from ..data.label_maps import read_label_map
from ..data.plausible_size import Size, checked_size, warn_of_sizes
from ..errors import InputError
from ..files import write_file
from ..surfaces.cloud_frame import (
    beyond_frame,
    data_scale_mm,
    frame_in_words,
    grid_centre_mm,
    holding_scale_mm,
    reach_mm,
    reaching,
    refuse_too_small,
)
from ..volumes.extent import box_mm

LOGGER = logging.getLogger(__name__)

EXTENTS = "extents.json"
"""How far what is labelled reaches, kept beside the clouds: a label map is read again only if it has changed."""


class Extents:
    """Measures label maps once, and remembers it.

    Args:
        folder: of the clouds.
        label_table: of the label maps.
    """

    def __init__(self, folder: Path, label_table: str) -> None:
        self.path, self.table = folder / EXTENTS, table(label_table)

    def of(self, items: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """How far what is labelled reaches from the middle of its grid, mm by case; empty label maps are left out.

        Sizes that no heart has are named in the log.

        Raises:
            InputError: a label map that cannot be read, or as :func:`custom.data.plausible_size.checked_size`.
        """
        known = self._remembered()
        unread = [item for item in items if known.get(item["case"], {}).get("of") != self._origin(item)]
        try:
            for item in tqdm(unread, desc="extents", unit="case", disable=not unread):
                known[item["case"]] = self._measured(item)
        finally:
            if unread and known:
                write_file(self.path, json.dumps(known, indent=1) + "\n")
        own = {item["case"]: known[item["case"]] for item in items}
        warn_of_sizes({case: Size(*one["size"]) for case, one in own.items()})
        return {case: float(one["reach_mm"]) for case, one in own.items() if one["reach_mm"] is not None}

    def _measured(self, item: Mapping[str, Any]) -> dict[str, Any]:
        read = read_label_map(item["label"], self.table)
        size = checked_size(read.path, read.labels, read.spacing_mm, self.table)
        box = box_mm(read.labels > 0, read.affine)
        reach = None if box is None else reach_mm(box, grid_centre_mm(read.labels.shape, read.affine))
        return {"of": self._origin(item), "size": list(size), "reach_mm": reach}

    def _origin(self, item: Mapping[str, Any]) -> list[str]:
        return [str(item["label"]), str(item["fingerprint"]), self.table.name]

    def _remembered(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


@dataclass(frozen=True)
class Scale:
    """The unit of a run's frame.

    Attributes:
        mm: how long it is.
        source: what decided on it: ``--scale_mm``, a network or a cloud that came; empty for the data.
        changeable: whether the user may still choose another one.
    """

    mm: float
    source: str
    changeable: bool

    @classmethod
    def of(
        cls,
        given_mm: float | int,
        networks: Sequence[str | Path],
        clouded: Sequence[Mapping[str, Any]],
        reaches_mm: Mapping[str, float],
    ) -> Scale:
        """The unit that was given, that of a network or of clouds that came, or that of the data.

        Args:
            given_mm: 0 for none.
            networks: checkpoints; the first that is there counts.
            clouded: items that came with a cloud.
            reaches_mm: of the other cases.

        Raises:
            InputError: two of the first three differ.
        """
        fixed = [Scale(float(given_mm), "--scale_mm", True)] if given_mm else []
        fixed += [Scale(mm, str(path), False) for path in networks if (mm := network_scale_mm(path))][:1]
        fixed += [Scale(cloud_reach_mm(item["cloud"])[1], str(item["cloud"]), True) for item in clouded[:1]]
        for other in fixed[1:]:
            if other.mm != fixed[0].mm:
                remedy = (
                    "Give one scale to all: leave --scale_mm out, make the clouds again with that of the network, or"
                )
                found, wanted = f"a frame of {fixed[0].mm:g} mm", f"{other.mm:g} mm, that of {other.source}"
                raise InputError(fixed[0].source, found, wanted, f"{remedy} begin anew, in another --output_dir.")
        return fixed[0] if fixed else Scale(data_scale_mm(reaches_mm), "", True)

    def check(self, reaches_mm: Mapping[str, float], to_make: bool) -> None:
        """Say in the log what the frame is and which cases it does not hold.

        Args:
            reaches_mm: of the cases whose clouds this run makes.
            to_make: whether any is still to be made.

        Raises:
            InputError: one that does not hold them was requested, and clouds are still to be made in it.
        """
        if self.changeable and to_make:
            refuse_too_small(reaches_mm, self.mm)
        if reaches_mm:
            LOGGER.info("%s", frame_in_words(reaches_mm, self.mm))
        self._warn(reaches_mm)

    def check_clouds(self, items: Sequence[Mapping[str, Any]]) -> None:
        """The same for clouds that were made elsewhere, by the points on their surfaces.

        Raises:
            InputError: a cloud of another frame.
        """
        seen = {str(item["case"]): cloud_reach_mm(item["cloud"]) for item in items}
        other = [item for item in items if seen[str(item["case"])][1] != self.mm]
        if other:
            found = f"a frame of {seen[str(other[0]['case'])][1]:g} mm, of {len(other)} clouds in all"
            wanted = f"one of {self.mm:g} mm, as of {self.source or 'the data'}"
            remedy = "Make all clouds with the same settings, give their --scale_mm, or another --clouds_dir."
            raise InputError(other[0]["cloud"], found, wanted, remedy)
        self._warn({case: reach for case, (reach, _) in seen.items()})

    def _warn(self, reaches_mm: Mapping[str, float]) -> None:
        over = beyond_frame(reaches_mm, self.mm)
        if over:
            LOGGER.warning(
                "%d of %d cases reach beyond the frame of %g mm: %s; what lies there is not learned, and only a frame "
                "of %g mm would hold them",
                *(len(over), len(reaches_mm), self.mm, reaching(over), holding_scale_mm(max(over.values()))),
            )


def cloud_reach_mm(path: str | Path) -> tuple[float, float]:
    """How far the surface points of a cloud reach from its frame's centre, and the frame's unit; no other array of the
    file is read."""
    with np.load(path, allow_pickle=False) as arrays:
        points, centre, scale = (arrays[name] for name in ("surface_points_mm", "centre_mm", "scale_mm"))
    return float(np.abs(points - centre).max(initial=0.0)), float(scale)


def network_scale_mm(path: str | Path) -> float:
    """The unit of the frame that a network was trained in; 0 if there is no checkpoint or it has none.

    Weights are not read. A damaged checkpoint is refused by whoever needs them.
    """
    if not str(path) or not Path(path).is_file():
        return 0.0
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        return float(content["settings"]["frame"]["scale_mm"])
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, pickle.UnpicklingError):
        return 0.0
