"""The file of a case: whole or not at all, without pickles, and named when it is damaged."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.errors import InputError
from custom.surfaces.point_cloud import SCHEMA, Cloud, LoadCloudd, absent_mm
from tests.folder_entries import entries


def tiny(**changes: Any) -> Cloud:
    """Two points on LA and PV, three in the volume, five near; the frame's centre at (10, 20, 30), 50 mm a unit."""
    sdf = np.full((5, 10), absent_mm(50.0), np.float32)
    sdf[:, 1], sdf[:, 9] = (-5, 0, 5, 10, 25), 50
    present = np.zeros(10, dtype=bool)
    present[[1, 9]] = True
    given = Cloud(
        surface_points_mm=np.asarray([(10, 20, 30), (60, 20, -20)], np.float32),
        surface_normals=np.asarray([(1, 0, 0), (0, 0, -1)], np.float32),
        surface_class=np.asarray([2, 10], np.uint8),
        volume_points_mm=np.asarray([(10, 20, 30), (35, 20, 30), (10, -30, 30)], np.float32),
        volume_sdf_mm=sdf[:3],
        near_points_mm=np.zeros((5, 3), np.float32),
        near_sdf_mm=sdf,
        present=present,
        centre_mm=np.asarray([10.0, 20.0, 30.0]),
        scale_mm=50.0,
        affine=np.diag([1.0, 1.0, 2.0, 1.0]),
        shape=(11, 13, 17),
        label_table="public_cardiac_ct",
    )
    return replace(given, **changes)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    cloud = tiny()
    cloud.write(tmp_path / "deep" / "case.npz")
    read = Cloud.read(tmp_path / "deep" / "case.npz")
    for name, value in vars(cloud).items():
        assert np.array_equal(getattr(read, name), value), name
        assert type(getattr(read, name)) is type(value), name


def test_the_file_has_the_documented_arrays_and_opens_without_pickles(tmp_path: Path) -> None:
    tiny().write(tmp_path / "case.npz")
    with np.load(tmp_path / "case.npz", allow_pickle=False) as archive:
        kinds = {name: (archive[name].dtype.str, archive[name].shape) for name in archive.files}
    assert kinds["schema"] == ("<i4", ()) and kinds["label_table"] == ("<U17", ())
    assert kinds["surface_class"] == ("|u1", (2,)) and kinds["near_sdf_mm"] == ("<f4", (5, 10))
    assert len(kinds) == 14


def test_equal_clouds_are_equal_bytes(tmp_path: Path) -> None:
    tiny().write(tmp_path / "one.npz")
    tiny().write(tmp_path / "other.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()


def test_in_the_frame_the_centre_is_0_and_one_scale_is_1() -> None:
    framed = tiny().in_frame()
    assert framed["surface"].shape == (2, 13)
    assert framed["surface"][0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert framed["surface"][1].tolist() == [1, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert framed["volume_points"].tolist() == [[0, 0, 0], [0.5, 0, 0], [0, -1, 0]]
    assert framed["near_sdf"][:, 1] == pytest.approx([-0.1, 0, 0.1, 0.2, 0.5])
    assert framed["near_sdf"][:, 0] == pytest.approx(2 * 3**0.5)
    assert all(value.dtype == np.float32 for name, value in framed.items() if name not in ("surface_class", "present"))


def test_a_file_cut_short_is_an_error_that_names_it(tmp_path: Path) -> None:
    tiny().write(tmp_path / "case.npz")
    whole = (tmp_path / "case.npz").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "case.npz").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"case\.npz: found a file that cannot be read"):
            Cloud.read(tmp_path / "case.npz")


def test_a_flipped_bit_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    tiny().write(tmp_path / "case.npz")
    content = bytearray((tmp_path / "case.npz").read_bytes())
    at = content.find(np.float32(25).tobytes())
    content[at] ^= 1
    (tmp_path / "case.npz").write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"case\.npz: .*CRC"):
        Cloud.read(tmp_path / "case.npz")


def test_a_pickle_in_the_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "case.npz", schema=np.asarray({"run": "me"}, dtype=object))
    with pytest.raises(InputError, match=r"case\.npz: .*allow_pickle=False"):
        Cloud.read(tmp_path / "case.npz")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"near_sdf_mm": np.zeros((5, 9), np.float32)}, "near_sdf_mm of type float32 and shape [5, 9]"),
        ({"volume_points_mm": np.zeros((3, 3))}, "volume_points_mm of type float64"),
        ({"volume_sdf_mm": np.zeros((2, 10), np.float32)}, "volume_sdf_mm of type float32 and shape [2, 10]"),
        ({"surface_normals": np.zeros((2, 3, 1), np.float32)}, "surface_normals of type float32 and shape [2, 3, 1]"),
        ({"schema": np.asarray(SCHEMA + 1, np.int32)}, "schema 2"),
        ({"label_table": np.asarray("totalsegmentator_heart")}, "10 channels for the table 'totalsegmentator_heart'"),
        ({"present": None}, "no present"),
    ],
)
def test_another_layout_is_an_error_that_names_the_array(tmp_path: Path, changes: dict[str, Any], found: str) -> None:
    tiny().write(tmp_path / "case.npz")
    with np.load(tmp_path / "case.npz") as archive:
        arrays = {**archive, **changes}
    np.savez(tmp_path / "case.npz", **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(InputError) as caught:
        Cloud.read(tmp_path / "case.npz")
    assert f"case.npz: found {found}" in str(caught.value)


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny().write(tmp_path / "case.npz")
    before = (tmp_path / "case.npz").read_bytes()

    def full(self: Path, content: Any) -> int:
        with self.open("wb") as stream:
            stream.write(bytes(content)[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        tiny(scale_mm=60.0).write(tmp_path / "case.npz")
    assert (tmp_path / "case.npz").read_bytes() == before
    assert [path.name for path in entries(tmp_path.iterdir())] == ["case.npz"]


def test_the_transform_loads_the_cloud_of_a_dictionary(tmp_path: Path) -> None:
    tiny().write(tmp_path / "case.npz")
    item = {"cloud": str(tmp_path / "case.npz"), "case": "case"}
    loaded = LoadCloudd("cloud")(item)
    assert loaded["case"] == "case" and loaded["cloud"]["surface"].shape == (2, 13)
    assert item["cloud"] == str(tmp_path / "case.npz")
    with pytest.raises(InputError, match="no such file"):
        LoadCloudd("cloud")({"cloud": str(tmp_path / "other.npz")})
