"""Whole hearts stored once, and what is known of all of them together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImaged

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.case_list import find_items
from custom.data.heart_dataset import HeartDataset
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.volumes.heart_box import HeartBoxd
from tests.folder_entries import entries

SHAPE = (13, 17, 19)
LV, PA = (PUBLIC_CARDIAC_CT[name].index for name in ("LV", "PA"))


def dataset(folder: Path) -> HeartDataset:
    load = LoadImaged("label", dtype=np.uint8, ensure_channel_first=True)
    return HeartDataset(find_items(folder), Compose([load, HeartBoxd("label", margin=0)]), folder / "boxes")


def write(folder: Path, name: str, *structures: int) -> None:
    """Each structure a slab along i of the same cross-section, one behind the other."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for place, index in enumerate(structures):
        labels[2 + 4 * place : 6 + 4 * place, 3:8, 5:12] = index
    write_label_map(folder / f"{name}.nii.gz", labels, np.eye(4))


def test_voxels_are_counted_over_all_cases_and_places_averaged_over_those_that_hold_the_structure(
    tmp_path: Path,
) -> None:
    write(tmp_path, "both", LV, PA)
    write(tmp_path, "one", LV)
    data = dataset(tmp_path)
    counts = dict(zip(PUBLIC_CARDIAC_CT.names, data.voxels, strict=True))
    slab = 4 * 5 * 7
    assert counts == dict.fromkeys(PUBLIC_CARDIAC_CT.names, 0) | {"LV": 2 * slab, "PA": slab}
    assert sorted(data.extents) == ["LV", "PA"]
    # Along x: in the first case LV is the lower 4 of 8 voxels, in the second all of them.
    np.testing.assert_allclose(data.extents["LV"], [[-1, -1, -1], [(3 * 2 / 7 - 1 + 1) / 2, 1, 1]], atol=1e-6)
    np.testing.assert_allclose(data.extents["PA"][0], [4 * 2 / 7 - 1, -1, -1], atol=1e-6)


def test_a_case_of_background_keeps_its_code_and_is_not_drawn_from(tmp_path: Path) -> None:
    write(tmp_path, "a_heart", LV)
    write(tmp_path, "b_nothing")
    data = dataset(tmp_path)
    assert data.cases == ("a_heart", "b_nothing")
    assert (len(data), data.present) == (1, [0])


def test_a_second_look_reads_what_is_stored_and_finds_the_same(tmp_path: Path) -> None:
    write(tmp_path, "one", LV, PA)
    first = dataset(tmp_path)
    stamps = {path.name: path.stat().st_mtime_ns for path in entries((tmp_path / "boxes").iterdir())}
    again = dataset(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in entries((tmp_path / "boxes").iterdir())} == stamps
    assert (again.voxels, again.extents) == (first.voxels, first.extents)
    assert all(torch.load(path, weights_only=True) for path in entries((tmp_path / "boxes").iterdir()))


def test_a_cohort_of_background_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "nothing")
    with pytest.raises(InputError, match="no voxel of heart in any of 1 cases.* --label_table"):
        dataset(tmp_path)
