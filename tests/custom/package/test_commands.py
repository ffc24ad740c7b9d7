"""``corfield pack`` and ``corfield render`` as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from custom.package import load
from tests.custom.command_helpers import ended
from tests.custom.package.package_helpers import CASES
from tests.custom.test_cli import SCRIPT
from tests.folder_entries import entries

ROOT = Path(__file__).resolve().parents[3]
PACKED = "pack RUN --output new/heart_model"
DRAWN = "render new/heart_model --case 007 --spacing_mm 1.5 --output X.nii.gz"
DIGITS = "render new/heart_model 007 --output=007 --format label"
ALL = "render new/heart_model --case=all --output=all --spacing_mm=4 --meshes"
REFUSED = {
    "pack nowhere --output x": "nowhere: found no such file or folder",
    "pack RUN --output x --half=maybe": "--half: found 'maybe'; wanted nothing behind it",
    "pack RUN --output MODEL": "MODEL: found a package; wanted a new folder",
    "pack RUN --output x --labels nowhere": "nowhere: found no such file or folder",
    "pack RUN --output x --label_table mine": "RUN/heart/best.pt: found a field of the table public_cardiac_ct",
    "render nowhere --case 007 --output x": "nowhere: found no such folder",
    "render MODEL --case 7 --output x": "--case: found '7'; wanted one of the 4 cases",
    "render MODEL --case 007 --output x --meshes 1": "--meshes: found '1' behind it; wanted nothing behind it",
    "render MODEL --case 007 --output x --format png": "--format: found 'png'; wanted one of label, probability",
    "render MODEL --case 007 --output x --device abacus": "--device: found 'abacus'",
    "render MODEL --case 007 --output x --spacing_mm fine": "--spacing_mm: found 'fine'; wanted a number",
}


@pytest.fixture(scope="module")
def answers(run: Path, packed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Where some commands were given; and of each its exit code, output and errors: all in one process without the
    tests' type checks, for a command line gives what was typed."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "RUN").symlink_to(run)
    (folder / "MODEL").symlink_to(packed)
    typed = [PACKED, DRAWN, DIGITS, ALL, *REFUSED]
    text = json.dumps([line.split() for line in typed])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=text,
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder, dict(zip(typed, json.loads(done.stdout), strict=True))


def labels_in(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_a_run_is_packed_and_what_was_written_is_said(answers: tuple[Path, dict[str, Any]]) -> None:
    folder, said = answers
    code, out, _ = said[PACKED]
    assert code == 0 and out.startswith("4 cases of RUN/heart/best.pt in new/heart_model\nfield ")
    assert load(folder / "new" / "heart_model").cases == CASES


def test_a_case_is_drawn_where_it_was_asked_for_and_a_name_of_digits_stays_a_name(
    packed: Path, answers: tuple[Path, dict[str, Any]]
) -> None:
    folder, said = answers
    model = load(packed)
    assert said[DRAWN][:2] == [0, "1 case on a grid of 1.5 mm: X.nii.gz\n\n"]
    assert np.array_equal(labels_in(folder / "X.nii.gz"), model.render("007", 1.5).labels)
    assert said[DIGITS][:2] == [0, "1 case on the label map's own grid: 007\n\n"]
    assert np.array_equal(labels_in(folder / "007" / "007.nii.gz"), model.render("007").labels)


def test_all_cases_are_drawn_with_their_surfaces(answers: tuple[Path, dict[str, Any]]) -> None:
    folder, said = answers
    assert said[ALL][:2] == [0, "4 cases on a grid of 4 mm: all\n\n"]
    assert {path.name for path in entries((folder / "all").iterdir())} == {
        "meshes",
        *(f"{name}.nii.gz" for name in CASES),
    }


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    line: str, packed: Path, answers: tuple[Path, dict[str, Any]]
) -> None:
    folder, said = answers
    code, out, err = said[line]
    errors = [text.removeprefix("error: ") for text in err.splitlines() if text.startswith("error: ")]
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].replace(str(packed), "MODEL").startswith(REFUSED[line])
    assert not (folder / "x").exists()


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("pack", ["RUN", "OUTPUT", "--labels", "--half", "--overwrite", "--label_table"]),
        ("render", ["MODEL", "CASE", "OUTPUT", "--spacing_mm", "--format", "--meshes", "--device"]),
    ],
)
def test_help_names_every_argument(command: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended([command, "--help"]) == 0
    text = "".join(capsys.readouterr())
    assert [name for name in names if name not in text] == []


def test_a_mistyped_flag_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(["render", "model", "--case", "007", "--spacing", "0.5", "--output", "x"]) == 2
    assert "Did you mean --spacing_mm?" in capsys.readouterr().err
