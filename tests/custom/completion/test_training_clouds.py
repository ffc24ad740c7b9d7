"""Clouds are made once, made again for another label map, and what is seen of a part of a heart is its surfaces."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.anatomy import table
from custom.completion.case_items import completion_items
from custom.completion.load_cloud import LoadCompletiond, lattice
from custom.completion.training_clouds import frame_of, seen_of, with_clouds
from custom.data.label_maps import read_label_map, write_label_map
from custom.errors import InputError
from custom.run.check_clouds import run_check_clouds
from custom.surfaces.cloud_datalist import write_listing
from custom.surfaces.make_cloud import make_cloud
from custom.surfaces.point_cloud import Cloud
from custom.surfaces.surface_sampling import Counts

SHAPE = (23, 19, 29)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def boxes() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:11, 5:13, 6:19] = 3
    labels[12:17, 3:9, 5:11] = 5
    return labels


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, object]]:
    write_label_map(tmp_path / "a.nii.gz", boxes(), AFFINE)
    return completion_items(tmp_path)


def test_a_cloud_is_made_once_and_again_for_another_content_of_its_label_map(items: list, tmp_path: Path) -> None:
    (item,) = with_clouds(items, tmp_path / "clouds", points=200)
    path = Path(item["cloud"])
    assert path == tmp_path / "clouds" / "a.npz"
    assert frame_of([item]) == {"scale_mm": 100.0, "centre_mm": []}
    made = path.stat().st_mtime_ns
    with_clouds(items, tmp_path / "clouds", points=200)
    assert path.stat().st_mtime_ns == made
    label = Path(items[0]["label"])
    stat = label.stat()
    os.utime(label, ns=(made + 10**9, made + 10**9))
    with_clouds(items, tmp_path / "clouds", points=200)
    assert path.stat().st_mtime_ns == made
    write_label_map(label, boxes()[::-1], AFFINE)
    os.utime(label, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with_clouds(items, tmp_path / "clouds", points=200)
    assert path.stat().st_mtime_ns != made


def test_a_cloud_that_was_made_elsewhere_counts_if_the_gate_held_it_against_this_very_label_map(
    items: list, tmp_path: Path
) -> None:
    (tmp_path / "clouds").mkdir()
    path = tmp_path / "clouds" / "a.npz"

    def elsewhere() -> int:
        make_cloud(boxes(), AFFINE, counts=Counts(100, 200, 200)).write(path)
        return path.stat().st_mtime_ns

    made = elsewhere()
    with_clouds(items, tmp_path / "clouds", points=200)
    assert path.stat().st_mtime_ns != made  # newer than the label map, but whose cloud it is nobody says
    (tmp_path / "clouds" / "gate.json").unlink()
    made = elsewhere()
    run_check_clouds(tmp_path / "clouds", tmp_path / "a.nii.gz", workers=1)
    with_clouds(items, tmp_path / "clouds", points=200)
    assert path.stat().st_mtime_ns == made
    write_label_map(tmp_path / "a.nii.gz", boxes()[::-1], AFFINE)
    with_clouds(items, tmp_path / "clouds", points=200)
    assert path.stat().st_mtime_ns != made


def test_a_cloud_of_another_label_map_of_that_name_or_of_other_settings_is_made_anew(
    items: list, tmp_path: Path
) -> None:
    (item,) = with_clouds(items, tmp_path / "clouds", points=200)
    whole = Cloud.read(item["cloud"])
    part = read_label_map(items[0]["label"])
    labels = np.where(part.labels == int(part.labels.max()), 0, part.labels).astype(np.uint8)
    write_label_map(tmp_path / "part" / "a.nii.gz", labels, part.affine)
    os.utime(tmp_path / "part" / "a.nii.gz", ns=(1, 1))  # older than the cloud
    run_check_clouds(tmp_path / "clouds", tmp_path / "a.nii.gz", workers=1)  # which does not make it forget
    with_clouds([items[0] | {"label": str(tmp_path / "part" / "a.nii.gz")}], tmp_path / "clouds", points=200)
    assert Cloud.read(item["cloud"]).present.sum() == whole.present.sum() - 1
    with_clouds(items, tmp_path / "clouds", points=300)
    again = Cloud.read(item["cloud"])
    assert again.present.sum() == whole.present.sum()
    assert len(again.volume_points_mm) == 300


def test_a_cloud_that_was_changed_or_never_checked_is_not_learned_from(items: list, tmp_path: Path) -> None:
    (item,) = with_clouds(items, tmp_path / "clouds", points=200)
    path = Path(item["cloud"])
    cloud = Cloud.read(path)
    replace(cloud, volume_sdf_mm=-cloud.volume_sdf_mm, near_sdf_mm=-cloud.near_sdf_mm).write(path)
    with pytest.raises(InputError, match="a.npz: changed since it was checked"):
        with_clouds(items, tmp_path / "clouds", points=200)
    (tmp_path / "clouds" / "gate.json").unlink()
    with pytest.raises(InputError, match="a.npz: never checked"):
        with_clouds([{**items[0], "cloud": str(path)}], tmp_path / "clouds", points=200)


def test_a_cloud_of_wrong_signs_is_refused_when_it_is_made(
    items: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outside_everywhere(*arguments: Any, **settings: Any) -> Cloud:
        cloud = make_cloud(*arguments, **settings)
        return replace(cloud, volume_sdf_mm=np.abs(cloud.volume_sdf_mm), near_sdf_mm=np.abs(cloud.near_sdf_mm))

    monkeypatch.setattr("custom.completion.training_clouds.make_cloud", outside_everywhere)
    with pytest.raises(InputError, match="a.npz: LV: sign"):
        with_clouds(items, tmp_path / "clouds", points=2000)


def test_what_is_seen_are_points_on_the_surfaces_of_what_is_there() -> None:
    cloud = seen_of(boxes(), AFFINE, table(), 100.0, points=1000)
    assert [name for name, there in zip(table().names, cloud.present, strict=True) if there] == ["LV", "RV"]
    assert set(cloud.surface_class.tolist()) == {3, 5}
    lv = cloud.surface_points_mm[cloud.surface_class == 3]
    assert np.allclose([lv.min(axis=0), lv.max(axis=0)], [[7, 9, 11], [21, 25, 37]], atol=0.7)
    assert np.allclose(cloud.centre_mm, [22, 18, 28])


def test_clouds_round_one_place_have_it_as_the_centre_of_their_frame(items: list, tmp_path: Path) -> None:
    label = Path(items[0]["label"])
    for name, scale_mm in (("a", 100.0), ("b", 100.0), ("c", 80.0)):
        make_cloud(boxes(), AFFINE, scale_mm=scale_mm, centre=(20.0, 20.0, 30.0)).write(tmp_path / f"{name}.npz")
    own = [{"label": str(label), "case": name, "cloud": str(tmp_path / f"{name}.npz")} for name in "abc"]
    assert frame_of(own[:2]) == {"scale_mm": 100.0, "centre_mm": [20.0, 20.0, 30.0]}
    assert seen_of(boxes(), AFFINE, table(), 100.0, (20.0, 20.0, 30.0)).centre_mm.tolist() == [20.0, 20.0, 30.0]
    with pytest.raises(InputError, match="c.npz: found a frame of"):
        frame_of(own)
    with pytest.raises(InputError, match="c.npz: found a frame of 80 mm"):
        LoadCompletiond(scale_mm=100)({**own[2], "labelled": [True] * 10})


def test_the_list_of_prepared_clouds_is_taken_as_it_is(items: list, tmp_path: Path) -> None:
    (made,) = with_clouds(items, tmp_path / "prepared", points=200)
    write_listing(tmp_path / "prepared", {"a": items[0]["label"]}, {"a": "training"})
    listed = completion_items(tmp_path / "prepared" / "datalist.json")
    (item,) = with_clouds(listed, tmp_path / "never")
    assert Path(item["cloud"]).samefile(made["cloud"])
    assert not (tmp_path / "never").exists()


def test_the_frame_does_not_move_when_a_structure_is_missing() -> None:
    labels = boxes()
    whole, part = (seen_of(some, AFFINE, table(), 100.0) for some in (labels, labels * (labels == 5)))
    assert (whole.centre_mm == part.centre_mm).all() and whole.scale_mm == part.scale_mm


def test_nothing_is_seen_of_nothing() -> None:
    cloud = seen_of(np.zeros(SHAPE, np.uint8), AFFINE, table(), 100.0)
    assert len(cloud.surface_points_mm) == 0 and not cloud.present.any()


def test_a_case_knows_what_is_labelled_and_there_and_its_lattice_has_the_label_maps_voxels(
    items: list, tmp_path: Path
) -> None:
    (item,) = with_clouds(items, tmp_path / "clouds", points=200)
    item["labelled"] = [name != "RV" for name in table().names]
    loaded = LoadCompletiond(lattice_points=2000)(item)
    assert [name for name, there in zip(table().names, loaded["label_valid"], strict=True) if there] == ["LV"]
    points, labels = loaded["lattice"], loaded["lattice_labels"]
    assert points.shape == (3, len(labels)) and 1000 < len(labels) <= 2000
    mm = points.T * 100 + [22, 18, 28]
    assert (labels == boxes()[tuple((mm / 2).round().astype(int).T)]).all()


def test_a_cloud_with_nothing_labelled_or_of_another_table_is_refused(items: list, tmp_path: Path) -> None:
    (item,) = with_clouds(items, tmp_path / "clouds", points=200)
    with pytest.raises(InputError, match=r"a.npz: found no structure that is labelled"):
        LoadCompletiond()({**item, "labelled": [name == "PV" for name in table().names]})
    with pytest.raises(InputError, match=r"a.npz: found a cloud of the table public_cardiac_ct"):
        LoadCompletiond("totalsegmentator_heart")(item)


def test_a_corrupt_cloud_is_refused_by_name(items: list, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (item,) = with_clouds(items, tmp_path / "clouds", points=200)
    path = Path(item["cloud"])
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with caplog.at_level(logging.INFO), pytest.raises(InputError, match="a.npz"):
        LoadCompletiond()(item)


@pytest.mark.parametrize(("most", "shape"), [(10**6, SHAPE), (2000, (12, 10, 15)), (1, (1, 1, 1)), (30, (3, 2, 3))])
def test_a_lattice_has_at_most_as_many_points_as_asked_for(most: int, shape: tuple[int, int, int]) -> None:
    ijk, labels = lattice(boxes(), np.arange(256), most)
    assert len(ijk) == len(labels) == np.prod(shape) <= max(most, 1)
    assert (labels == boxes()[tuple(ijk.T)]).all()
