"""The stored cases of one structure: which are left out, what is read again, what a kill leaves behind."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImaged

from custom.data.case_list import find_items
from custom.data.label_maps import CheckLabelMapd
from custom.data.structure_dataset import StructureDataset, temporary_files_in
from custom.errors import InputError
from custom.sampling.boundary_band import BoundaryBandd, RandBandPointsd
from custom.volumes.roi import StructureCubed, find_roi, to_cube
from tests.folder_entries import entries

LA, PV = 2, 10
AFFINE = np.diag([-0.5, 1.5, 3.0, 1.0])


def mask_of(shift: int) -> np.ndarray:
    mask = np.zeros((17, 19, 23), bool)
    mask[3 + shift : 9 + shift, 5:12, 7:15] = True
    return mask


def write(folder: Path, name: str, value: int, shift: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(mask_of(shift).astype(np.uint8) * value, AFFINE), path)
    return path


def cutting(structure: str = "LA", resolution: int = 13, points: int = 101) -> Compose:
    return Compose(
        [
            LoadImaged("label", dtype=np.uint8, ensure_channel_first=True),
            StructureCubed("label", structure, resolution, margin=2),
            BoundaryBandd("label"),
            RandBandPointsd("label", points),
        ]
    )


def dataset(labels: Path, cache: Path, structure: str = "LA", **options: Any) -> StructureDataset:
    return StructureDataset(find_items(labels), cutting(structure, **options), cache, structure)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Three cases; the middle one lacks the LA."""
    write(tmp_path / "labels", "a", LA)
    write(tmp_path / "labels", "b", PV)
    write(tmp_path / "labels", "c", LA, shift=4)
    return tmp_path / "labels"


def stored_files(cache: Path) -> set[str]:
    return {path.name for path in entries(cache.iterdir())}


def test_a_case_without_the_structure_is_named_in_the_log_and_left_out_but_keeps_its_row(labels, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "custom"):
        cases = dataset(labels, tmp_path / "cache")
    assert caplog.messages == ["b: no LA in it; skipped, its mask will be empty"]
    assert len(cases) == 2
    assert [cases[row]["case"] for row in range(2)] == ["a", "c"]
    assert [cases[row]["index"] for row in range(2)] == [0, 2]
    assert cases.cases == ("a", "b", "c")
    assert [frame.empty for frame in cases.frames.values()] == [False, True, False]


def test_cubes_of_swapped_label_maps_are_cut_out_again(labels, tmp_path):
    for path in labels.iterdir():
        nib.save(nib.load(path), path.with_suffix(""))  # not compressed: all of one size
        path.unlink()
        os.utime(path.with_suffix(""), ns=(5, 5))
    first = dataset(labels, tmp_path / "cache").frames
    os.replace(labels / "a.nii", labels / "x")
    os.replace(labels / "c.nii", labels / "a.nii")
    os.replace(labels / "x", labels / "c.nii")
    for path in labels.iterdir():
        os.utime(path, ns=(5, 5))
    second = dataset(labels, tmp_path / "cache").frames
    assert (second["a"].low_ijk, second["c"].low_ijk) == (first["c"].low_ijk, first["a"].low_ijk)
    assert first["a"].low_ijk != first["c"].low_ijk


def test_a_structure_in_no_case_is_an_error_that_names_it(labels, tmp_path):
    with pytest.raises(InputError, match="no voxel of Coronary in any of 3 cases") as error:
        dataset(labels, tmp_path / "cache", "Coronary")
    assert str(labels) in str(error.value)


def test_what_is_stored_is_the_cube_of_the_case_with_its_frame_and_band(labels, tmp_path):
    stored = dataset(labels, tmp_path / "cache").stored(2)
    roi = find_roi(mask_of(4), AFFINE, 2)
    np.testing.assert_allclose(stored["label"][0].numpy() / 255, to_cube(roi, 13), atol=0.5 / 255 + 1e-6)
    assert stored["label"].dtype == torch.uint8
    assert stored["label_frame"] == roi.frame.to_dict()
    assert stored["label_band"].numel() > 100


def test_the_second_reading_needs_no_label_map_and_gives_the_same(labels, tmp_path):
    items, cache = find_items(labels), tmp_path / "cache"
    first = StructureDataset(items, cutting(), cache, "LA")
    files = stored_files(cache)
    assert len(files) == 3
    for path in entries(labels.iterdir()):
        path.unlink()
    second = StructureDataset(items, cutting(), cache, "LA")
    assert stored_files(cache) == files
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


def test_a_changed_label_map_is_cut_out_anew_and_the_others_are_not(labels, tmp_path):
    cache = tmp_path / "cache"
    dataset(labels, cache)
    before = stored_files(cache)
    changed = write(labels, "b", LA, shift=2)
    os.utime(changed, ns=(0, 1_700_000_000_000_000_000))
    again = dataset(labels, cache)
    assert len(again) == 3
    assert again.frames["b"].low_ijk == (3, 3, 5)
    assert before < stored_files(cache)
    assert len(stored_files(cache) - before) == 1


@pytest.mark.parametrize(("options", "stored_anew"), [({"points": 7}, 0), ({"resolution": 11}, 3)])
def test_another_deterministic_transform_stores_anew_another_random_one_does_not(
    labels, tmp_path, options, stored_anew
):
    cache = tmp_path / "cache"
    dataset(labels, cache)
    before = stored_files(cache)
    dataset(labels, cache, **options)
    assert len(stored_files(cache) - before) == stored_anew


def test_two_structures_share_a_folder_without_mixing(labels, tmp_path):
    assert dataset(labels, tmp_path / "cache", "LA").present == [0, 2]
    assert dataset(labels, tmp_path / "cache", "PV").present == [1]


def test_a_kill_while_a_cube_is_written_leaves_no_half_cube_under_its_name(labels, tmp_path, monkeypatch):
    cache, save = tmp_path / "cache", torch.save

    def killed(obj: Any, f: Any, **options: Any) -> None:
        save(obj, f, **options)
        Path(f).write_bytes(Path(f).read_bytes()[:100])
        # on the same disk as its goal, so that moving it there is one step
        assert Path(f).parent.parent == cache
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            dataset(labels, cache)
    assert list(cache.glob("*.pt")) == []
    assert len(dataset(labels, cache)) == 2


def test_temporary_files_lie_in_the_folder_for_as_long_as_asked(tmp_path):
    before = tempfile.gettempdir()
    with temporary_files_in(tmp_path), tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == tmp_path
    assert tempfile.gettempdir() == before
    with pytest.raises(ZeroDivisionError), temporary_files_in(tmp_path):
        raise ZeroDivisionError
    assert tempfile.gettempdir() == before


def test_reading_with_another_random_part_shares_the_stored_cubes(labels, tmp_path):
    cases = dataset(labels, tmp_path / "cache")
    before = stored_files(tmp_path / "cache")
    other = cases.sharing(cutting(points=7))
    assert len(other) == 2
    assert other[1]["image"].shape == (3, 7)
    assert cases[1]["image"].shape == (3, 101)
    assert other[1]["case"] == cases[1]["case"] == "c"
    assert stored_files(tmp_path / "cache") == before


def test_points_are_those_of_the_epoch_and_the_case_in_whatever_order_cases_are_read(labels, tmp_path):
    forth, back = dataset(labels, tmp_path / "cache"), dataset(labels, tmp_path / "cache")
    drawn = [forth[0]["image"], forth[1]["image"]]
    again = [back[1]["image"], back[0]["image"]][::-1]
    assert all(torch.equal(one, other) for one, other in zip(drawn, again, strict=True))
    forth.transform.transforms[-1].set_epoch(2)
    assert not torch.equal(forth[0]["image"], drawn[0])


def test_sizes_that_no_heart_has_are_named_in_one_line(labels, tmp_path, caplog):
    for path in labels.iterdir():
        nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), AFFINE @ np.diag([1, 20, 10, 1.0])), path)
    gated = Compose([CheckLabelMapd("label"), *cutting().transforms])
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "custom"):
            StructureDataset(find_items(labels), gated, tmp_path / "cache", "LA")
        said = [record.getMessage() for record in caplog.records if "chambers" in record.getMessage()]
        assert len(said) == 1 and said[0].startswith("2 cases, a, c: chambers up to 240 mm long")
