"""Three small label maps and what a repair of them writes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.anatomy import table
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.fusion.case_states import CaseStates
from custom.fusion.load_masks import find_inputs
from custom.rules.ledger import Removal

AFFINE = np.diag([-2.0, 3, 5, 1])
SETTINGS = {"table": table(), "spare_fraction": 0.1}


def removal(volume_mm3: float) -> Removal:
    return Removal(
        rule="drop_crumbs",
        structure="LA",
        component=2,
        before_mm3=volume_mm3,
        after_mm3=0.0,
        distance_mm=math.nan,
        why="below 20 mm3",
        place_mm=(1.0, 2.0, 3.0),
    )


def labels_of(value: int = 2) -> np.ndarray:
    return np.full((3, 5, 7), value, np.uint8)


def write_cases(folder: Path) -> Path:
    """The label maps a, b and c, in a folder."""
    for case in "abc":
        write_label_map(folder / f"{case}.nii.gz", labels_of(), AFFINE)
    return folder


def repairs_of(labels: Path, **options: Any) -> CaseStates:
    return CaseStates(find_inputs(labels), labels.parent / "out", 10, **({"settings": SETTINGS} | options))


def save_all(repairs: CaseStates) -> None:
    for number, case in enumerate(repairs.inputs, start=1):
        repairs.save(case, labels_of(number), AFFINE, [removal(float(number))])


def refusal(action: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(InputError) as raised:
        action(*arguments, **options)
    return str(raised.value)
