"""The cohort on disk: equal bytes, whole files, no mixing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom.errors import InputError
from custom.phantoms.damage import Defects
from custom.phantoms.write_cohort import make_cohort
from tests.folder_entries import entries


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(entries(folder.rglob("*")))
        if path.is_file()
    }


def test_a_cohort_is_truth_and_labels_of_every_case_and_its_parameters(tmp_path: Path) -> None:
    written = make_cohort(tmp_path / "cohort", cases=2, size=32, seed=3)
    names = ["phantom_000.nii.gz", "phantom_001.nii.gz"]
    assert written == [tmp_path / "cohort" / "labels" / name for name in names]
    folders = [f"{folder}/{name}" for folder in ("labels", "truth") for name in names]
    assert sorted(digests(tmp_path / "cohort")) == ["cohort.json", *folders]
    truth, labels = (nib.load(tmp_path / "cohort" / folder / names[0]) for folder in ("truth", "labels"))
    assert truth.get_data_dtype() == np.uint8 and labels.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(truth.affine, labels.affine)
    assert nib.aff2axcodes(truth.affine) == ("R", "A", "S")
    assert (np.asarray(truth.dataobj) != np.asarray(labels.dataobj)).any()


def test_the_same_seed_gives_the_same_bytes_however_many_cases(tmp_path: Path) -> None:
    make_cohort(tmp_path / "one", cases=1, size=32)
    make_cohort(tmp_path / "two", cases=2, size=32)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert {name: two[name] for name in one} == one
    assert two["truth/phantom_001.nii.gz"] != two["truth/phantom_000.nii.gz"]


def test_cases_already_there_are_kept_and_missing_ones_made_again(tmp_path: Path) -> None:
    first, second = make_cohort(tmp_path, cases=2, size=32)
    whole = digests(tmp_path)
    kept = first.stat().st_mtime_ns
    second.unlink()
    make_cohort(tmp_path, cases=2, size=32)
    assert digests(tmp_path) == whole
    assert first.stat().st_mtime_ns == kept


@pytest.mark.parametrize("other", [{"seed": 1}, {"size": 33}, {"defects": Defects(holes=0)}])
def test_a_folder_of_other_parameters_is_refused_and_left(tmp_path: Path, other: dict) -> None:
    make_cohort(tmp_path, cases=1, size=32)
    before = digests(tmp_path)
    with pytest.raises(InputError, match="cohort.json"):
        make_cohort(tmp_path, **{"cases": 1, "size": 32, **other})
    assert digests(tmp_path) == before


def test_a_folder_of_strangers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "patient.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match="no cohort.json"):
        make_cohort(tmp_path, cases=1, size=32)
    assert not (tmp_path / "cohort.json").exists()


def test_a_broken_note_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cohort.json").write_text("{")
    with pytest.raises(InputError, match="no JSON"):
        make_cohort(tmp_path, cases=1, size=32)


@pytest.mark.parametrize("wrong", [{"cases": 0}, {"seed": -1}, {"size": 31}])
def test_numbers_out_of_range_are_refused_before_anything_is_written(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(InputError):
        make_cohort(tmp_path / "cohort", **{"cases": 1, "size": 32, **wrong})
    assert not (tmp_path / "cohort").exists()
