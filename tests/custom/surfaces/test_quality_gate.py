"""The gate and the lists: training is given checked clouds or none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from custom.data.split_cases import split_cases
from custom.errors import InputError
from custom.surfaces.cloud_datalist import find_clouds, read_listing, write_listing
from custom.surfaces.cloud_quality import Quality
from custom.surfaces.quality_gate import entry, passed, read_gate, require_passed, unchanged, write_gate
from tests.folder_entries import entries

GOOD, BAD = Quality((), {"LA": 0.02}, {"LA": 1.0}), Quality(("LA: sign: 7 of 11 wrong", "LV: zero: 2"), {}, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("good", "bad", "new"):
        (tmp_path / f"{name}.npz").write_bytes(name.encode() * 5)
    write_gate(
        tmp_path, {f"{name}.npz": entry(tmp_path / f"{name}.npz", q) for name, q in (("good", GOOD), ("bad", BAD))}
    )
    return tmp_path


def test_only_what_was_checked_and_found_good_passes(folder: Path) -> None:
    assert passed(folder / "good.npz")
    assert not passed(folder / "bad.npz") and not passed(folder / "new.npz") and not passed(folder / "none.npz")


def test_what_changed_since_does_not_pass(folder: Path) -> None:
    stat = (folder / "good.npz").stat()
    (folder / "good.npz").write_bytes(b"goodgoodgoodgoodbood")
    os.utime(folder / "good.npz", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not passed(folder / "good.npz")


def test_a_copy_with_another_time_passes_by_its_digest(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("copied")
    for name in ("good.npz", "gate.json"):
        shutil.copyfile(folder / name, other / name)
    os.utime(other / "good.npz", ns=(1, 1))
    assert passed(other / "good.npz")
    assert not unchanged(other / "none.npz", read_gate(other)["good.npz"])


def test_training_is_refused_naming_each_cloud_and_why(folder: Path) -> None:
    require_passed([folder / "good.npz"])
    with pytest.raises(InputError) as caught:
        require_passed([folder / f"{name}.npz" for name in ("good", "bad", "new", "none")])
    said = str(caught.value)
    assert "3 of 4 clouds" in said and "check-clouds" in said and "\n" not in said
    assert "bad.npz: LA: sign: 7 of 11 wrong" in said
    assert "new.npz: never checked" in said and "none.npz: no such file" in said


def test_a_damaged_gate_passes_nothing(folder: Path) -> None:
    for content in ("", "[]", '{"format": 9, "files": {}}', '{"format": 1, "files": 3}'):
        (folder / "gate.json").write_text(content)
        assert not passed(folder / "good.npz")


def test_the_split_depends_on_names_alone_and_no_case_is_in_two() -> None:
    names = [f"case_{number}" for number in range(50)]
    splits = split_cases(names, 0.1, 0.2, seed=0)
    assert split_cases(names[::-1], 0.1, 0.2, seed=0) == splits
    found = list(splits.values())
    assert [found.count(name) for name in ("training", "validation", "test")] == [35, 5, 10]
    assert split_cases(names, 0.1, 0.2, seed=1) != splits
    assert sorted(split_cases(["a", "b", "c"], 0.1, 0.1, 0).values()) == ["test", "training", "validation"]
    assert split_cases(["a", "b"], 0.1, 0.1, 0) == {"a": "training", "b": "training"}


def test_shares_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(InputError, match="leave cases to train on"):
        split_cases(["a", "b", "c"], 0.5, 0.5, 0)
    with pytest.raises(InputError, match="--validation"):
        split_cases(["a"], 1.0, 0.0, 0)


def test_the_lists_name_every_case_once_and_are_read_back(folder: Path) -> None:
    splits = {"good": "training", "bad": "validation", "new": "test"}
    write_listing(folder, {name: f"/maps/{name}.nii.gz" for name in splits}, splits)
    assert (folder / "datalist.csv").read_text() == (
        "case,split,cloud,label\ngood,training,good.npz,/maps/good.nii.gz\n"
        "bad,validation,bad.npz,/maps/bad.nii.gz\nnew,test,new.npz,/maps/new.nii.gz\n"
    )
    item = {"cloud": str(folder / "good.npz"), "label": "/maps/good.nii.gz", "case": "good"}
    assert read_listing(folder)["training"] == [item]
    assert find_clouds(folder, "training") == [item]


def test_a_split_with_an_unchecked_cloud_an_empty_or_an_unknown_one_is_refused(folder: Path) -> None:
    write_listing(folder, {"good": "g.nii", "bad": "b.nii"}, {"good": "training", "bad": "validation"})
    with pytest.raises(InputError, match=r"bad\.npz: LA: sign"):
        find_clouds(folder, "validation")
    with pytest.raises(InputError, match="no case for test"):
        find_clouds(folder, "test")
    with pytest.raises(InputError, match="'train'; wanted one of training"):
        find_clouds(folder, "train")
    (folder / "datalist.json").write_text("{")
    with pytest.raises(InputError, match=r"datalist\.json"):
        find_clouds(folder)
    with pytest.raises(InputError, match="no such file"):
        find_clouds(folder / "deeper")


def test_a_listing_on_a_full_disk_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_listing(folder, {"good": "g.nii"}, {"good": "training"})
    before = (folder / "datalist.json").read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        write_listing(folder, {"bad": "b.nii"}, {"bad": "training"})
    with pytest.raises(InputError, match="No space left"):
        write_gate(folder, {})
    assert (folder / "datalist.json").read_text() == before
    assert passed(folder / "good.npz") and not entries(folder.glob(".*"))
    assert np.unique([path.suffix for path in entries(folder.iterdir())]).tolist() == [".csv", ".json", ".npz"]
