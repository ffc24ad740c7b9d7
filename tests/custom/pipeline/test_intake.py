"""Every faulty file is named, and the good ones go on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.cohort.cases import find_cases
from custom.errors import InputError
from custom.pipeline import intake
from custom.pipeline.crew import Crew
from custom.pipeline.intake import Intake, refuse_own_outputs, take_in


def taken(labels: Path, output: Path) -> Intake:
    return take_in(labels, output, PUBLIC_CARDIAC_CT, Crew(1))


def test_good_cases_are_listed_as_a_data_list_that_the_bundles_read(hearts: Path, tmp_path: Path) -> None:
    found = taken(hearts / "labels", tmp_path)
    assert [case.name for case in found.cases] == ["phantom_000", "phantom_001"]
    assert found.faults == ()
    assert [case.name for case in find_cases(tmp_path / "cases.json")] == ["phantom_000", "phantom_001"]


def test_every_faulty_file_is_named_and_the_good_ones_are_kept(hearts: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    shutil.copytree(hearts / "labels", labels)
    (labels / "cut.nii.gz").write_bytes((labels / "phantom_000.nii.gz").read_bytes()[:900])
    (labels / "text.nii").write_text("no image")
    (labels / "gone.nii.gz").symlink_to(labels / "nowhere.nii.gz")
    shutil.copy(labels / "phantom_001.nii.gz", labels / "phantom_001.NII.GZ")
    found = taken(labels, tmp_path / "out")
    assert [case.name for case in found.cases] == ["phantom_000"]
    assert len(found.faults) == 4
    told = "\n".join(found.faults)
    for name in ("cut.nii.gz", "text.nii", "gone.nii.gz", "one case name, 'phantom_001'"):
        assert name in told
    assert [case.name for case in find_cases(tmp_path / "out" / "cases.json")] == ["phantom_000"]


def test_a_file_found_good_is_not_read_again_until_it_changes(
    hearts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "labels"
    shutil.copytree(hearts / "labels", labels)
    (labels / "text.nii").write_text("no image")
    first = taken(labels, tmp_path / "out")
    read: list[str] = []
    plain = intake.check_files

    def noted(paths: list[str], label_table: object) -> list[object]:
        read.extend(Path(path).name for path in paths)
        return plain(paths, label_table)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(intake, "check_files", noted)
    assert taken(labels, tmp_path / "out") == first
    assert read == ["text.nii"]
    os.utime(labels / "phantom_001.nii.gz", (1, 1))
    second = taken(labels, tmp_path / "out")
    assert read == ["text.nii", "phantom_001.nii.gz", "text.nii"]
    assert [case.structures for case in second.cases] == [case.structures for case in first.cases]


def test_no_good_case_at_all_is_an_error_that_names_each(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    for name in ("a.nii", "b.nii.gz"):
        (labels / name).write_text("no image")
    with pytest.raises(InputError, match=r"no usable label map among 2 \[.*a\.nii: found.*b\.nii\.gz: found"):
        taken(labels, tmp_path / "out")
    assert not (tmp_path / "out" / "cases.json").exists()


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: found no such file or folder"):
        taken(tmp_path / "none", tmp_path / "out")


def test_one_file_and_a_data_list_are_data_sets_too(hearts: Path, tmp_path: Path) -> None:
    one = hearts / "labels" / "phantom_001.nii.gz"
    assert [case.name for case in taken(one, tmp_path / "a").cases] == ["phantom_001"]
    listing = tmp_path / "list.json"
    listing.write_text(json.dumps([{"label": str(one)}]))
    assert [case.name for case in taken(listing, tmp_path / "b").cases] == ["phantom_001"]


def test_present_structures_are_those_of_any_case(hearts: Path, tmp_path: Path) -> None:
    assert taken(hearts / "labels", tmp_path).present(PUBLIC_CARDIAC_CT) == PUBLIC_CARDIAC_CT.names


def test_outputs_of_the_same_folder_are_refused_as_inputs(hearts: Path, tmp_path: Path) -> None:
    shutil.copytree(hearts / "labels", tmp_path / "out" / "repaired")
    found = taken(tmp_path / "out" / "repaired", tmp_path / "out")
    with pytest.raises(InputError, match="found an output of an earlier repair into the same folder"):
        refuse_own_outputs(found, tmp_path / "out")
    refuse_own_outputs(found, tmp_path / "other")
