"""What counts as a case, where cases are looked for, and what is said when there is none."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom.data.case_list import Case, case_items, case_name, find_cases
from custom.errors import InputError


def label_map(path: Path, shape: tuple[int, ...] = (5, 7, 11)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.zeros(shape, dtype=np.uint8), np.diag([0.5, 1.5, 3.0, 1.0])), path)
    return path


def names(cases: tuple[Case, ...]) -> list[str]:
    return [case.name for case in cases]


@pytest.mark.parametrize(
    ("file_name", "name"),
    [("a.nii", "a"), ("a.nii.gz", "a"), ("pat.01.nii.gz", "pat.01"), ("B.NII.GZ", "B"), ("a.nii.nii", "a.nii")],
)
def test_the_name_is_the_file_name_without_its_suffix(file_name, name):
    assert case_name(Path("folder.nii") / file_name) == name


def test_cases_come_by_name_whatever_their_suffix_and_grid(tmp_path):
    label_map(tmp_path / "c10.nii.gz")
    label_map(tmp_path / "c02.nii", shape=(13, 3, 2))
    label_map(tmp_path / "a.nii.gz")
    (tmp_path / "notes.txt").write_text("")
    cases = find_cases(tmp_path)
    assert names(cases) == ["a", "c02", "c10"]
    assert [case.path.name for case in cases] == ["a.nii.gz", "c02.nii", "c10.nii.gz"]


def test_the_fingerprint_is_of_the_content_alone(tmp_path):
    path = label_map(tmp_path / "a.nii")
    before, stat = find_cases(tmp_path)[0].fingerprint, path.stat()
    os.utime(path, ns=(7, 1_700_000_000_000_000_003))
    assert find_cases(tmp_path)[0].fingerprint == before
    content = bytearray(path.read_bytes())
    content[-1] = 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = find_cases(tmp_path)[0].fingerprint
    assert after != before and after == hashlib.blake2b(content, digest_size=16).hexdigest()


def test_a_folder_of_labels_is_found_only_if_there_is_none_beside_it(tmp_path):
    label_map(tmp_path / "labels" / "a.nii.gz")
    (tmp_path / "dataset.txt").write_text("")
    assert names(find_cases(tmp_path)) == ["a"]
    label_map(tmp_path / "b.nii.gz")
    assert names(find_cases(tmp_path)) == ["b"]


def test_hidden_files_deeper_folders_and_folders_named_like_files_are_no_cases(tmp_path):
    label_map(tmp_path / "a.nii.gz")
    (tmp_path / "._a.nii.gz").write_bytes(b"\0\5\x16\7")
    label_map(tmp_path / "deeper" / "b.nii.gz")
    (tmp_path / "c.nii").mkdir()
    assert names(find_cases(tmp_path)) == ["a"]


def test_one_file_is_one_case(tmp_path):
    path = label_map(tmp_path / "a.nii.gz")
    label_map(tmp_path / "b.nii.gz")
    (case,) = find_cases(str(path))
    assert (case.name, case.path) == ("a", path)


@pytest.mark.parametrize(
    "content",
    [
        {"training": [{"label": "maps/b.nii.gz", "image": "x.nii.gz"}, {"label": "a.nii"}]},
        [{"label": "maps/b.nii.gz"}, {"label": "a.nii"}],
        ["maps/b.nii.gz", "a.nii"],
    ],
    ids=["training", "list of items", "list of paths"],
)
def test_a_data_list_is_relative_to_its_own_folder(tmp_path, content):
    label_map(tmp_path / "maps" / "b.nii.gz")
    label_map(tmp_path / "a.nii")
    label_map(tmp_path / "not_listed.nii")
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    cases = find_cases(tmp_path / "dataset.json")
    assert [case.path for case in cases] == [tmp_path / "a.nii", tmp_path / "maps" / "b.nii.gz"]


def test_absolute_paths_stand_as_they_are_in_a_data_list(tmp_path):
    path = label_map(tmp_path / "elsewhere" / "a.nii")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "all.json").write_text(json.dumps([str(path)]))
    assert find_cases(tmp_path / "lists" / "all.json")[0].path == path


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("{", "no JSON"),
        ("{}", "no case"),
        ('{"training": []}', "no case"),
        ('{"validation": [{"label": "a.nii"}]}', "the keys 'validation'"),
        ("3", "no case"),
        ('[{"label": "a.nii"}, {"image": "a.nii"}]', "no path of a label in item 1"),
    ],
)
def test_a_data_list_that_is_none_is_refused(tmp_path, content, found):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=rf"dataset\.json: found {found}.*wanted .*training"):
        find_cases(tmp_path / "dataset.json")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: found no such file or folder; .*Check dataset_dir"):
        find_cases(tmp_path / "nowhere")


@pytest.mark.parametrize("others", [0, 3])
def test_a_folder_without_label_maps_says_what_else_is_there(tmp_path, others):
    for number in range(others):
        (tmp_path / f"{number}.dcm").write_text("")
    with pytest.raises(InputError, match=rf"found no \*\.nii or \*\.nii\.gz in it .* among {others} other files"):
        find_cases(tmp_path)


def test_two_files_of_one_case_are_both_named(tmp_path):
    label_map(tmp_path / "a.nii")
    label_map(tmp_path / "a.nii.gz")
    label_map(tmp_path / "b.nii")
    with pytest.raises(InputError, match=r"1 case names used twice \('a': \S+/a\.nii and \S+/a\.nii\.gz\)"):
        find_cases(tmp_path)


def test_all_faulty_headers_come_in_one_error(tmp_path):
    label_map(tmp_path / "good.nii.gz")
    flat = label_map(tmp_path / "flat.nii.gz", shape=(5, 7))
    (tmp_path / "text.nii").write_text("no image " * 100)
    with pytest.raises(InputError) as caught:
        find_cases(tmp_path)
    message = str(caught.value)
    assert f"{tmp_path}: found 2 of 3 files that cannot be used" in message
    assert f"{flat}: found 2 axes" in message
    assert f"{tmp_path / 'text.nii'}: found a file that cannot be opened" in message
    assert "good" not in message


def test_a_listed_file_that_is_missing_is_a_fault_like_others(tmp_path):
    label_map(tmp_path / "a.nii")
    (tmp_path / "dataset.json").write_text('["a.nii", "b.nii"]')
    with pytest.raises(InputError, match=r"1 of 2 files .*b\.nii: found no such file"):
        find_cases(tmp_path / "dataset.json")


def test_an_unknown_table_is_refused_first(tmp_path):
    with pytest.raises(InputError, match="label_table: found 'hearts'"):
        find_cases(tmp_path / "nowhere", "hearts")


def test_the_number_of_cases_is_logged(tmp_path, caplog):
    label_map(tmp_path / "a.nii")
    label_map(tmp_path / "b.nii")
    with caplog.at_level(logging.INFO):
        find_cases(tmp_path)
    assert "2 cases, label table public_cardiac_ct" in caplog.text


def test_items_carry_path_name_position_and_fingerprint():
    cases = (Case("a", Path("x/a.nii"), "737-1"), Case("b", Path("x/b.nii.gz"), "90-2"))
    assert case_items(cases) == [
        {"label": "x/a.nii", "case": "a", "index": 0, "fingerprint": "737-1"},
        {"label": "x/b.nii.gz", "case": "b", "index": 1, "fingerprint": "90-2"},
    ]
