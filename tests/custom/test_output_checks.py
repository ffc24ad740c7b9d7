"""No output place is an input or holds one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from custom.errors import InputError
from custom.files import write_file
from custom.output_checks import refuse_covering, refuse_foreign_files, refuse_foreign_tree


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "a.nii.gz").write_text("a")
    return folder


def test_an_output_that_is_an_input_is_refused(labels: Path) -> None:
    with pytest.raises(InputError, match="labels: found an input which this run would write"):
        refuse_covering([labels], [labels])


def test_an_output_that_holds_an_input_is_refused(labels: Path) -> None:
    with pytest.raises(InputError, match=r"a\.nii\.gz: found an input inside .*labels"):
        refuse_covering([labels], [labels / "a.nii.gz"])
    with pytest.raises(InputError):
        refuse_covering([labels.parent], [labels])


def test_an_output_inside_an_input_folder_passes(labels: Path) -> None:
    refuse_covering([labels / "repaired"], [labels, labels / "a.nii.gz"])


def test_neighbours_pass_whether_they_are_there_or_not(labels: Path) -> None:
    refuse_covering([labels.parent / "labels2", labels.parent / "lab"], [labels, ""])


def test_links_are_followed_on_both_sides(labels: Path) -> None:
    link = labels.parent / "out"
    link.symlink_to(labels)
    with pytest.raises(InputError):
        refuse_covering([link], [labels / "a.nii.gz"])
    with pytest.raises(InputError):
        refuse_covering([labels], [link / "a.nii.gz"])
    single = labels.parent / "b.nii.gz"
    single.symlink_to(labels / "a.nii.gz")
    with pytest.raises(InputError, match=r"b\.nii\.gz"):
        refuse_covering([labels], [single])


def test_a_hard_link_of_an_input_is_refused(labels: Path) -> None:
    os.link(labels / "a.nii.gz", labels.parent / "out.nii.gz")
    with pytest.raises(InputError):
        refuse_covering([labels.parent / "out.nii.gz"], [labels / "a.nii.gz"])


def test_a_relative_path_is_what_it_leads_to(labels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(labels)
    with pytest.raises(InputError):
        refuse_covering(["."], [labels])
    with pytest.raises(InputError):
        refuse_covering(["../labels/../labels"], ["a.nii.gz"])


def test_a_flat_output_covers_what_lies_directly_in_it_alone(labels: Path) -> None:
    refuse_covering([], [labels / "a.nii.gz", labels], flat=[labels.parent])
    with pytest.raises(InputError):
        refuse_covering([], [labels / "a.nii.gz"], flat=[labels])
    with pytest.raises(InputError):
        refuse_covering([], [labels], flat=[labels])


def test_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    write_file(tmp_path / "own.csv", "ours")
    refuse_foreign_files([tmp_path / "own.csv", tmp_path / "none.csv"])
    (tmp_path / "scores.csv").write_text("theirs")
    with pytest.raises(InputError, match=r"scores\.csv"):
        refuse_foreign_files([tmp_path / "own.csv", tmp_path / "scores.csv"])


def test_a_tree_with_a_foreign_file_is_refused(tmp_path: Path) -> None:
    write_file(tmp_path / "case" / "a.npz", "ours")
    refuse_foreign_tree(tmp_path / "case")
    refuse_foreign_tree(tmp_path / "none")
    (tmp_path / "case" / "deep").mkdir()
    (tmp_path / "case" / "deep" / "scan.nii.gz").write_text("theirs")
    with pytest.raises(InputError, match=r"scan\.nii\.gz"):
        refuse_foreign_tree(tmp_path / "case")
