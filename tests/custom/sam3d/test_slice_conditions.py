"""What a network is told of a slice: places in the cube, turned with it, cropped round the mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.errors import InputError
from custom.sam3d.shape_items import shape_items
from custom.sam3d.slice_conditions import (
    LoadShaped,
    RandSliced,
    axis_orientations,
    conditions_of,
    in_cube_frame,
    reoriented_positions,
    reoriented_volume,
)
from custom.slices.case_volume import CaseVolume
from custom.slices.slice_file import Slice
from tests.bundles.sam3d_helpers import cube_of, make_cache

LV, MYOCARDIUM = "heart_ventricle_left", "heart_myocardium"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache"))


def slice_of(axis: int = 1, index: int = 4) -> tuple[Slice, CaseVolume]:
    volume = CaseVolume.of("s", cube_of(3), TOTALSEGMENTATOR_HEART)
    return Slice.of(volume, axis, index, "s-sdf.npz"), volume


def test_the_frame_of_a_cube_goes_from_face_to_face() -> None:
    affine = np.diag([2.0, 3, 5, 1])
    affine[:3, 3] = 7, 11, 13
    faces_ijk = np.array([[-0.5, -0.5, -0.5], [3.5, 4.5, 6.5], [1.5, 2, 3]])
    places = in_cube_frame(faces_ijk * [2, 3, 5] + [7, 11, 13], affine, (4, 5, 7))
    assert np.allclose(places, [[-1, -1, -1], [1, 1, 1], [0, 0, 0]])
    assert np.isnan(in_cube_frame(np.full((1, 3), np.nan), affine, (4, 5, 7))).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_pixel_of_the_mask_is_a_voxel_of_the_structure_at_its_place(axis: int) -> None:
    one, volume = slice_of(axis)
    told = conditions_of(one, LV)
    mask = told["mask"][0].numpy() > 0
    ijk = np.rint(told["pointmap"].numpy()[:, mask] * 4 + 3.5).astype(int)
    assert mask.sum() > 3 and (volume.labels[tuple(ijk)] == 2).all() and (ijk[axis] == 4).all()
    assert np.isnan(told["pointmap"].numpy()[:, ~mask]).all()
    assert told["image"].shape == (1, 8, 8) and 0 <= told["image"].min() <= told["image"].max() <= 1


def test_a_slice_that_does_not_show_the_structure_is_refused() -> None:
    with pytest.raises(InputError, match="no pixel of it"):
        conditions_of(slice_of()[0], "heart_atrium_right")


def test_a_crop_shows_the_mask_larger_at_the_same_places() -> None:
    one, _ = slice_of()
    told = conditions_of(one, LV, crop=True)
    whole = conditions_of(one, LV)
    assert all(torch.equal(told[f"full_{name}"].nan_to_num(), whole[name].nan_to_num()) for name in whole)
    assert told["mask"].mean() > 1.5 * told["full_mask"].mean()
    inside = told["mask"][0] > 0
    shown = told["pointmap"][:, inside]
    known = {tuple(place) for place in whole["pointmap"][:, whole["mask"][0] > 0].T.tolist()}
    assert {tuple(place) for place in shown.T.tolist()} == known
    assert told["pointmap"][:, ~inside].isnan().all()


def test_a_cube_has_24_rotations_all_different_and_the_first_is_none() -> None:
    volume = np.arange(27.0).reshape(1, 3, 3, 3)
    found = {reoriented_volume(volume, turn).tobytes() for turn in range(len(axis_orientations()))}
    assert len(axis_orientations()) == len(found) == 24
    assert np.array_equal(reoriented_volume(volume, 0), volume)


@pytest.mark.parametrize("turn", range(24))
def test_places_turn_with_the_cube(turn: int) -> None:
    volume = np.zeros((1, 5, 5, 5))
    volume[0, 4, 1, 2] = 1
    place = torch.tensor([0.8, -0.4, 0.0])  # of the voxel's centre: (index - 2) / 2.5
    (there,) = np.argwhere(reoriented_volume(volume, turn)[0])
    assert reoriented_positions(place, turn).tolist() == pytest.approx(((there - 2) / 2.5).tolist())


@pytest.mark.parametrize("epoch", range(1, 7))
def test_turned_or_not_mask_and_plane_lie_in_the_shape(cache: Path, epoch: int) -> None:
    items = shape_items(cache, least_pixels=2)
    drawing = RandSliced(random_rotation=True)
    drawing.set_epoch(epoch)
    item = drawing(LoadShaped(8, with_distances=True)(items[epoch]))
    mask = item["mask"][0].numpy() > 0
    ijk = np.rint(item["pointmap"].numpy()[:, mask] * 4 + 3.5).astype(int)
    shape = item["occupancy"][0].numpy()
    assert shape[tuple(ijk)].all() and (ijk[item["axis"]] == item["slice_idx"]).all()
    assert np.take(shape, item["slice_idx"], item["axis"]).sum() == mask.sum()
    assert ((item["sdf_mm"][0].numpy() < 0) == (shape > 0)).all()


def test_a_draw_follows_from_seed_epoch_and_item_alone(cache: Path) -> None:
    item = LoadShaped(8)(shape_items(cache, least_pixels=2)[0])

    def planes(**settings: bool | int) -> list[tuple[int, int]]:
        drawing = RandSliced(**settings)  # type: ignore[arg-type]
        found = []
        for epoch in range(1, 6):
            drawing.set_epoch(epoch)
            drawn = drawing(item)
            found.append((drawn["axis"], drawn["slice_idx"]))
        return found

    assert planes() == planes() and len(set(planes())) > 1
    assert planes() != planes(seed=1)
    assert len(set(planes(fixed=True))) == 1


def test_the_seed_of_the_noise_is_another_in_every_epoch_and_of_every_item(cache: Path) -> None:
    items = [LoadShaped(8)(item) for item in shape_items(cache, least_pixels=2)[:2]]
    drawing, found = RandSliced(), []
    for epoch in (1, 2, 1):
        drawing.set_epoch(epoch)
        found += [drawing(item)["chance"] for item in items]
    assert len(set(found)) == 4 and found[:2] == found[4:]


def test_slices_that_are_kept_are_read_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = LoadShaped(8)(shape_items(cache, least_pixels=2)[0])
    kept, read_anew = RandSliced(kept=100, fixed=True), RandSliced(fixed=True)
    first = [drawing(item)["mask"] for drawing in (kept, read_anew)]
    monkeypatch.setattr("custom.slices.slice_file.read_arrays", lambda *_: pytest.fail("read again"))
    assert torch.equal(kept(item)["mask"], first[0])
    with pytest.raises(pytest.fail.Exception):
        read_anew(item)


def test_items_are_shapes_of_whole_patients_with_the_slices_that_show_them(cache: Path) -> None:
    items = shape_items(cache, structures=[MYOCARDIUM, 2], axes=[2], least_pixels=3)
    assert [item["index"] for item in items] == list(range(8))
    assert {item["case"] for item in items} == {"s0000", "s0001", "s0002", "s0003"}
    assert {item["structure"] for item in items} == {LV, MYOCARDIUM}
    for item in items:
        assert {one["axis"] for one in item["slices"]} == {2}
        assert all(Slice.read(one["slice"]).of_structure(item["structure"])[0].sum() >= 3 for one in item["slices"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"split": "tests"}, "split: found 'tests'"),
        ({"axes": []}, r"axes: found \[\]"),
        ({"least_pixels": 65}, "no slice for training"),
        ({"structures": ["heart"]}, "heart"),
    ],
)
def test_items_that_cannot_be_are_refused(cache: Path, settings: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        shape_items(cache, **settings)


def test_a_volume_that_is_gone_or_of_another_size_is_named(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, cases=3)
    item = shape_items(cache)[0]
    with pytest.raises(InputError, match="s0000-sdf.npz: found a cube of 8 voxels a side; wanted 16"):
        LoadShaped(16)(item)
    (cache / "s0000" / "s0000-sdf.npz").unlink()
    with pytest.raises(InputError, match="s0000-sdf.npz: found no such file"):
        shape_items(cache)
