"""Every faulty file is named, and the good ones go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.case_list import find_cases
from custom.data.label_maps import read_label_map, write_label_map
from custom.errors import InputError
from custom.run import input_cases
from custom.run.input_cases import InputCases, read_input_cases, refuse_covered_inputs
from custom.run.process_pool import ProcessPool
from tests.folder_entries import entries


def taken(labels: Path, output: Path) -> InputCases:
    return read_input_cases(labels, output, PUBLIC_CARDIAC_CT, ProcessPool(1))


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
    plain = input_cases.check_files

    def noted(paths: list[str], label_table: object) -> list[object]:
        read.extend(Path(path).name for path in paths)
        return plain(paths, label_table)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(input_cases, "check_files", noted)
    assert taken(labels, tmp_path / "out") == first
    assert read == ["text.nii"]
    write_label_map(labels / "phantom_001.nii.gz", np.full((3, 5, 7), 2, np.uint8), np.eye(4))
    second = taken(labels, tmp_path / "out")
    assert read == ["text.nii", "phantom_001.nii.gz", "text.nii"]
    assert second.cases[0] == first.cases[0] and list(second.cases[1].structures) == ["LA"]


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


def test_sizes_that_no_heart_has_are_named_in_one_line_and_remembered(
    hearts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = tmp_path / "labels"
    for path in entries((hearts / "labels").iterdir()):
        read = read_label_map(path)
        write_label_map(labels / path.name, read.labels, read.affine @ np.diag([2.0, 2.0, 2.0, 1.0]))
        write_label_map(labels / f"tiny_{path.name}", read.labels, read.affine @ np.diag([0.001, 0.001, 0.001, 1.0]))
    for _ in range(2):
        caplog.clear()
        found = taken(labels, tmp_path / "out")
        (doubt,) = found.doubts
        assert doubt.startswith("2 cases, phantom_000, phantom_001: chambers up to 2") and doubt in caplog.text
        assert len(found.cases) == len(found.faults) == 2
        assert all(
            "mm long; wanted one of 20 to 1000 mm. Correct the spacing or its unit" in one for one in found.faults
        )
    assert taken(hearts / "labels", tmp_path / "other").doubts == ()


def test_outputs_of_the_same_folder_are_refused_as_inputs(hearts: Path, tmp_path: Path) -> None:
    shutil.copytree(hearts / "labels", tmp_path / "out" / "repaired")
    labels, folders = tmp_path / "out" / "repaired", ("repaired", "fused")
    with pytest.raises(InputError, match="repaired: found an input which this run would write"):
        refuse_covered_inputs(labels, tmp_path / "out", folders, ())
    with pytest.raises(InputError, match="found an input inside .*repaired"):
        refuse_covered_inputs(labels / "phantom_001.nii.gz", tmp_path / "out", folders, ())
    refuse_covered_inputs(labels, tmp_path / "other", folders, ())
    refuse_covered_inputs(labels, tmp_path / "out", ("fused",), ())


def test_links_in_a_folder_of_label_maps_and_a_data_list_are_followed(hearts: Path, tmp_path: Path) -> None:
    shutil.copytree(hearts / "labels", tmp_path / "out" / "repaired")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.nii.gz").symlink_to(tmp_path / "out" / "repaired" / "phantom_000.nii.gz")
    (tmp_path / "list.json").write_text(json.dumps([{"label": "out/repaired/phantom_000.nii.gz"}]))
    for labels in (tmp_path / "links", tmp_path / "list.json"):
        with pytest.raises(InputError, match="found an input inside .*repaired"):
            refuse_covered_inputs(labels, tmp_path / "out", ("repaired",), ())


def test_a_foreign_table_in_the_output_is_refused_by_name(hearts: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("somebody's")
    with pytest.raises(InputError, match=r"metrics\.csv: found a file of somebody else"):
        refuse_covered_inputs(hearts / "labels", tmp_path, (), ("metrics.csv",))
