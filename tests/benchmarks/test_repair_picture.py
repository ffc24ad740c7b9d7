"""The picture shows each version in the structure's colour, and the slice that tells most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from benchmarks.repair_picture import before_after, most_telling_slice
from benchmarks.shaded_surfaces import Body, Camera, rendered
from custom.anatomy import PUBLIC_CARDIAC_CT
from tests.folder_entries import entries

AFFINE = np.diag([1.5, 1.5, 1.5, 1.0])


def block() -> np.ndarray:
    mask = np.zeros((13, 17, 19), dtype=bool)
    mask[3:10, 4:13, 5:12] = True
    return mask


def test_the_slice_where_the_damage_is_greatest_is_shown() -> None:
    truth = block()
    damaged = truth.copy()
    damaged[3:10, 6, 5:12] = False  # 49 voxels of the plane j = 6
    damaged[4, 9, 7] = False
    assert most_telling_slice(damaged, truth) == (1, 6)
    assert most_telling_slice(truth, truth) == (2, 9)


def test_a_surface_is_drawn_where_it_lies_and_nowhere_else() -> None:
    camera = Camera(0.0, 0.0, (9.0, 12.0, 12.75), half_width_mm=20.0, pixel_mm=0.5)
    picture = rendered([Body(block(), (1.0, 0.0, 0.0))], AFFINE, camera)
    drawn = (picture < 0.99).any(axis=-1)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    # Seen from the front: 7 voxels from left to right and 7 from foot to head, 10.5 mm or 21 pixels each.
    assert abs(len(rows) - 21) <= 3 and abs(len(columns) - 21) <= 3
    assert abs(rows.mean() - 39.5) < 2 and abs(columns.mean() - 39.5) < 2
    empty = rendered([Body(np.zeros((5, 7, 11), dtype=bool), (1.0, 0.0, 0.0))], AFFINE, camera)
    np.testing.assert_array_equal(empty, 1.0)


def test_the_nearer_body_hides_the_farther_one() -> None:
    far, near = np.zeros((13, 17, 19), dtype=bool), np.zeros((13, 17, 19), dtype=bool)
    far[3:10, 2:5, 5:12] = True
    near[3:10, 12:15, 5:12] = True  # farther to the front of the patient
    camera = Camera(0.0, 0.0, (9.0, 12.0, 12.75), half_width_mm=20.0, pixel_mm=0.5)
    picture = rendered([Body(near, (1.0, 0.0, 0.0)), Body(far, (0.0, 0.0, 1.0))], AFFINE, camera)
    red, _, blue = picture[40, 40]
    assert red > 0.4 > blue


def test_a_picture_is_written_whole_with_an_empty_version_left_white(tmp_path: Path) -> None:
    truth = block()
    versions = {"damaged": np.zeros_like(truth), "repaired": truth, "truth": truth}
    path = tmp_path / "folder" / "picture.png"
    before_after({"LA": versions}, [PUBLIC_CARDIAC_CT["LA"]], AFFINE, path)
    picture = imread(path)[..., :3]
    damaged, repaired = np.array_split(picture, 5, axis=1)[:2]
    reddish = [(part[..., 0] - part[..., 2] > 0.2).sum() for part in (damaged, repaired)]
    assert reddish[0] == 0
    assert reddish[1] > 1000
    assert [file.name for file in entries(path.parent.iterdir())] == ["picture.png"]
