"""Pictures show the slice that matters and are written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.report.slices import before_after, best_slice


def test_the_slice_with_most_of_the_mask_is_shown() -> None:
    mask = np.zeros((5, 7, 11), dtype=bool)
    mask[1:4, 3, 2:9] = True  # 21 voxels in the plane j = 3
    mask[2, 5, 4] = True
    assert best_slice(mask) == (1, 3)
    assert best_slice(np.zeros((5, 7, 11), dtype=bool)) == (2, 5)


def test_a_picture_has_the_structures_colour_and_a_panel_per_version(tmp_path: Path) -> None:
    truth = np.zeros((13, 17, 19), dtype=bool)
    truth[3:10, 4:13, 5:12] = True
    empty = np.zeros_like(truth)
    path = tmp_path / "folder" / "picture.png"
    before_after({"LA": {"damaged": empty, "repaired": truth, "truth": truth}}, [PUBLIC_CARDIAC_CT["LA"]], path)
    picture = (imread(path)[..., :3] * 255).round().astype(int)
    colour = (np.abs(picture - np.asarray(PUBLIC_CARDIAC_CT["LA"].color)) <= 2).all(axis=-1)
    left, right = np.array_split(colour, 2, axis=1)
    assert left.sum() == 0
    assert right.sum() > 1000
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]
