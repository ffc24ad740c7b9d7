"""Two folders in, one table out: no case is forgotten, faulty ones are named, good ones are scored."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.run.score_labels import Scored, matched, run_score
from tests.folder_entries import entries

SHAPE = (7, 11, 13)
AFFINE = np.array([[-3.0, 0, 0, 10], [0, 2, 0, -20], [0, 0, 1, 30], [0, 0, 0, 1]])
TABLE = TOTALSEGMENTATOR_HEART.name


def heart(first: int = 2) -> np.ndarray:
    """Four voxels of structure 1 and eight of structure 2; the latter begins at ``first`` along i."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1, 1:3, 1:3] = 1
    labels[first : first + 2, 5:7, 5:7] = 2
    return labels


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two cases; the first is right, the second half beside."""
    for name, first in (("b", 2), ("a", 3)):
        write_label_map(tmp_path / "found" / f"{name}.nii.gz", heart(first), AFFINE)
        write_label_map(tmp_path / "true" / f"{name}.nii", heart(), AFFINE)
    return tmp_path / "found", tmp_path / "true"


def dices(scored: Scored) -> dict[str, dict[str, float]]:
    cases = dict.fromkeys(row.case for row in scored.rows)
    return {case: {row.structure: row.dice for row in scored.rows if row.case == case} for case in cases}


ATRIUM, VENTRICLE = TOTALSEGMENTATOR_HEART.names[:2]


def test_cases_are_matched_by_name_whatever_their_suffix_and_scored_in_mm(folders) -> None:
    scored = run_score(*folders, label_table=TABLE)
    assert list(dices(scored)) == ["a", "b"]
    assert (dices(scored)["a"][ATRIUM], dices(scored)["a"][VENTRICLE]) == (1.0, 0.5)
    assert dices(scored)["b"][VENTRICLE] == 1.0
    moved = next(row for row in scored.rows if (row.case, row.structure) == ("a", VENTRICLE))
    assert moved.hd95_mm == 3.0  # one voxel along i
    assert scored.faults == ()
    assert len(scored.rows) == 2 * len(TOTALSEGMENTATOR_HEART)


def test_the_table_is_shown_and_written_only_where_asked(folders, tmp_path: Path) -> None:
    before = sorted(entries(tmp_path.rglob("*")))
    shown = run_score(*folders, label_table=TABLE).text
    assert sorted(entries(tmp_path.rglob("*"))) == before
    assert f"| {VENTRICLE} " in shown and " 0.750 " in shown and "2 of 2 cases" in shown
    assert "absent" in shown  # three of the five structures
    scored = run_score(*folders, tmp_path / "new" / "out", label_table=TABLE)
    assert scored.text.startswith(shown) and scored.text.endswith(f"{tmp_path / 'new' / 'out' / 'scores.csv'}")
    assert sorted(path.name for path in entries((tmp_path / "new" / "out").iterdir())) == ["scores.csv", "scores.json"]
    with (tmp_path / "new" / "out" / "scores.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["case"] for line in lines] == ["a"] * 5 + ["b"] * 5
    assert json.loads((tmp_path / "new" / "out" / "scores.json").read_text())["mean"]["dice"] == 0.875


def test_only_the_structures_named_are_scored_in_the_tables_order(folders) -> None:
    scored = run_score(*folders, label_table=TABLE, structures=["2", ATRIUM, VENTRICLE])
    assert list(dices(scored)["a"]) == [ATRIUM, VENTRICLE]
    with pytest.raises(InputError, match="Did you mean 'heart_myocardium'"):
        run_score(*folders, label_table=TABLE, structures=["myocardium_heart", "heart_myocard"])


def test_every_case_without_a_partner_is_named_and_the_others_are_scored(folders) -> None:
    found, true = folders
    for path in (found / "x.nii.gz", found / "y.nii", true / "z.nii.gz"):
        path.write_bytes(b"never opened")
    scored = run_score(found, true, label_table=TABLE)
    assert list(dices(scored)) == ["a", "b"]
    assert "2 of 5 cases against" in scored.text
    for fault, (where, words) in zip(
        scored.faults,
        ((found, "no prediction of z"), (true, "no reference of x"), (true, "no reference of y")),
        strict=True,
    ):
        assert fault.startswith(f"{where}: found {words}; wanted one. ")


def test_folders_of_other_cases_are_refused_with_the_names_of_all(folders, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "z.nii").write_bytes(b"never opened")
    with pytest.raises(InputError, match=r"no case on both sides \[.*no prediction of z.*no reference of a.*of b"):
        run_score(folders[0], tmp_path / "others", label_table=TABLE)


def test_two_files_are_one_case_whatever_their_names(folders) -> None:
    found, true = folders
    scored = run_score(found / "a.nii.gz", true / "b.nii", label_table=TABLE)
    assert list(dices(scored)) == ["a"]
    assert dices(scored)["a"][VENTRICLE] == 0.5


def test_a_data_list_stands_for_its_cases(folders, tmp_path: Path) -> None:
    found, true = folders
    (tmp_path / "list.json").write_text(json.dumps([{"label": "true/a.nii"}, {"label": "true/b.nii"}]))
    assert matched(found, tmp_path / "list.json")[0]["a"] == (found / "a.nii.gz", tmp_path / "true" / "a.nii")


def test_a_folder_that_is_not_there_is_refused(folders, tmp_path: Path) -> None:
    for pair in ((folders[0], tmp_path / "none"), (tmp_path / "none", folders[1])):
        with pytest.raises(InputError, match="none: found no such file or folder"):
            run_score(*pair, label_table=TABLE)


def spoil(folder: Path) -> dict[str, str]:
    """Five faulty cases by name, and a word of what is to be said of each."""
    (folder / "cut.nii.gz").write_bytes((folder / "b.nii.gz").read_bytes()[:60])
    write_label_map(folder / "grid.nii.gz", np.zeros((7, 13, 11), dtype=np.uint8), AFFINE)
    shifted = AFFINE.copy()
    shifted[2, 3] += 1.0
    write_label_map(folder / "place.nii.gz", heart(), shifted)
    nib.save(nib.Nifti1Image(heart() * np.uint8(50), AFFINE), folder / "label.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((*SHAPE, 2), np.uint8), AFFINE), folder / "axes.nii.gz")
    return {"cut": "cut.nii.gz", "grid": "a grid of", "place": "origin", "label": "100", "axes": "4 axes"}


def test_each_faulty_case_is_named_and_the_good_ones_are_scored(folders, tmp_path: Path) -> None:
    found, true = folders
    words = spoil(found)
    for name in words:
        write_label_map(true / f"{name}.nii.gz", heart(), AFFINE)
    scored = run_score(found, true, tmp_path / "out", label_table=TABLE)
    assert list(dices(scored)) == ["a", "b"]
    assert len(scored.faults) == len(words) == 5
    for name, word in words.items():
        assert [fault for fault in scored.faults if f"{name}.nii.gz" in fault and word in fault], name
    assert "2 of 7 cases" in scored.text
    assert "cut" not in (tmp_path / "out" / "scores.csv").read_text()


def test_a_faulty_reference_is_a_fault_too(folders) -> None:
    (folders[1] / "b.nii").write_bytes(b"no image")
    scored = run_score(*folders, label_table=TABLE)
    assert list(dices(scored)) == ["a"]
    assert len(scored.faults) == 1 and str(folders[1] / "b.nii") in scored.faults[0]


def test_without_a_good_case_all_faults_are_one_error(folders, tmp_path: Path) -> None:
    for path in entries(folders[0].iterdir()):
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"no case that can be scored among 2.*a\.nii\.gz.*b\.nii\.gz"):
        run_score(*folders, tmp_path / "out", label_table=TABLE)
    assert not (tmp_path / "out").exists()


def test_an_affine_that_was_rounded_is_the_same_grid(folders) -> None:
    write_label_map(folders[0] / "a.nii.gz", heart(), AFFINE + 1e-4 * (np.arange(16).reshape(4, 4) < 12))
    assert run_score(*folders, label_table=TABLE).faults == ()


def test_an_empty_prediction_costs_the_diagonal_and_is_counted(folders) -> None:
    write_label_map(folders[0] / "a.nii.gz", np.zeros(SHAPE, dtype=np.uint8), AFFINE)
    scored = run_score(*folders, label_table=TABLE, structures=[VENTRICLE])
    row = scored.rows[0]
    assert (row.dice, row.empty) == (0.0, "prediction")
    assert row.hd95_mm == pytest.approx(np.sqrt(21**2 + 22**2 + 13**2))
    assert scored.text.splitlines()[2].rstrip(" |").endswith("1")


def test_an_output_that_cannot_be_made_is_refused_before_any_case_is_read(folders, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in entries(folders[0].iterdir()):
        path.write_bytes(b"never opened")
    with pytest.raises(InputError, match="file: found a folder that cannot be written"):
        run_score(*folders, tmp_path / "file", label_table=TABLE)


def test_a_full_disk_at_the_end_is_a_fault_and_the_table_is_there(
    folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    scored = run_score(*folders, tmp_path / "out", label_table=TABLE)
    assert len(scored.rows) == 10 and f"| {VENTRICLE} " in scored.text
    assert len(scored.faults) == 1 and "No space left on device" in scored.faults[0]
    assert list(entries((tmp_path / "out").iterdir())) == []


@pytest.mark.parametrize(
    "numbers", [{"workers": -1}, {"workers": True}, {"tolerance_mm": -0.1}, {"tolerance_mm": np.nan}]
)
def test_numbers_that_make_no_sense_are_refused_by_their_flag(folders, numbers) -> None:
    with pytest.raises(InputError, match=f"--{next(iter(numbers))}"):
        run_score(*folders, label_table=TABLE, **numbers)


@pytest.mark.slow
def test_worker_processes_give_the_same_rows_and_faults(folders, tmp_path: Path) -> None:
    found, true = folders
    write_label_map(found / "grid.nii.gz", np.zeros((7, 13, 11), dtype=np.uint8), AFFINE)
    write_label_map(true / "grid.nii.gz", heart(), AFFINE)
    alone = run_score(found, true, tmp_path / "one", TABLE)
    together = run_score(found, true, tmp_path / "two", TABLE, workers=2)
    assert (together.rows, together.faults) == (alone.rows, alone.faults)
    assert len(alone.faults) == 1
    for name in ("scores.csv", "scores.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
