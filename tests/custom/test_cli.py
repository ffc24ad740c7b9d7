"""The ``corfield`` command: help, exit codes, and errors of one line before anything is done."""

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

from custom import __version__
from custom.cli.main import main
from custom.data.label_maps import write_label_map
from tests.custom.command_helpers import COMMANDS, ended
from tests.folder_entries import entries

SMALL = ["--cases", "1", "--size", "32"]
UNDAMAGED = ["--steps=0", "--jitter=0", "--boundary=0", "--crumbs=0", "--holes=0", "--cuts", "0", "--detach=0"]
BAD = {
    ("--cases", "0"): "cases: found 0; wanted a whole number from 1 to",
    ("--cases", "-1"): "cases: found -1; wanted a whole number from 1 to",
    ("--cases", "1.5"): "--cases: found '1.5'; wanted a whole number",
    ("--cases", "two"): "--cases: found 'two'; wanted a whole number",
    ("--size", "31"): "size: found 31; wanted a whole number from 32 to 1024",
    ("--size", "100000"): "size: found 100000; wanted a whole number from 32 to 1024",
    ("--size", "40.5"): "--size: found '40.5'; wanted a whole number",
    ("--seed", "-1"): "seed: found -1; wanted a whole number from 0",
    ("--holes", "-1"): "defect 'holes': found -1.0; wanted a severity from 0 to 10",
    ("--holes", "11"): "defect 'holes': found 11.0; wanted a severity from 0 to 10",
    ("--holes", "much"): "--holes: found 'much'; wanted a number",
    ("--holes", "nan"): "--holes: found 'nan'; wanted a number",
    ("--holes",): "--holes: found nothing behind it; wanted a value",
    ("--holse", "1"): "--holse: found no such flag; wanted one of --output, --cases",
    ("--case", "1"): "--case: found no such flag",
}
REPAIRS = {
    ("labels", "--preset", "fast"): "--preset: found 'fast'; wanted one of quick, standard, full",
    ("labels", "--workers", "many"): "--workers: found 'many'; wanted a whole number",
    ("labels", "--workers", "1.5"): "--workers: found '1.5'; wanted a whole number",
    ("labels", "--seed", "-1"): "--seed: found -1; wanted a whole number from 0",
    (
        "labels",
        "--seed",
        "99999999999999999999",
    ): "--seed: found 99999999999999999999; wanted a whole number from 0 and",
    ("labels", "--device", "meta"): "--device: found 'meta'; wanted a device of this machine",
    ("labels", "--device", "cuda:99"): "--device: found 'cuda:99'; wanted a device of this machine",
    ("labels", "--device", "$torch.device('cpu')"): "--device: found \"$torch.device('cpu')\"; wanted a device",
    ("labels", "--device", "abacus"): "--device: found 'abacus'; wanted a device of this machine",
    ("labels", "--structures", "LA,LAB"): "structure of table 'public_cardiac_ct': found 'LAB'",
    ("labels", "--structures", "2,11"): "structure of table 'public_cardiac_ct': found '11'",
    ("labels", "--label_table", "mine"): "label_table: found 'mine'; wanted one of",
    (
        "labels",
        "--strict_components",
        "perhaps",
    ): "--strict_components: found 'perhaps' behind it; wanted nothing behind it",
    ("labels", "--table_changes", "PV"): "--table_changes: found 'PV'; wanted fields by structure",
    ("labels", "--table_changes", '{"PV": {"pieces": 4}}'): "table_changes: PV: found the field 'pieces'",
    ("labels", "--reference", "nowhere"): "nowhere: found no such folder; wanted a folder of true label maps",
    ("nowhere",): "nowhere: found no such file or folder; wanted a folder of label maps",
    ("only_faulty",): "only_faulty: found no usable label map among 1 [",
    ("labels", "--presets", "quick"): "--presets: found no such flag",
}
TOLERANCE = ("labels/empty.nii", "labels/empty.nii", "--tolerance_mm", "2mm")
SCRIPT = """
import contextlib, io, json, sys
from custom.cli.main import main
answers = []
for given in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(given)
        except SystemExit as end:
            code = end.code
    answers.append((code, out.getvalue(), err.getvalue()))
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cohorts")


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[tuple[str, ...], Any]:
    """Exit code, output and errors of some commands, all in one process without the tests' type checks: a command line
    gives what was typed, whatever the annotations say."""
    commands: list[list[str]] = [[], *(["phantoms", "bad", *flags] for flags in BAD)]
    commands += [["phantoms", name, *SMALL, *UNDAMAGED] for name in ("2024", "with space/心 ü")]
    commands += [["repair", *words, "--output", "refused"] for words in REPAIRS]
    commands += [["repair", *words] for words in (("labels", "some"), ("labels/empty.nii", "all", "--seg_nrrd"))]
    commands += [
        ["score", *words] for words in (("labels/empty.nii", "labels/empty.nii"), ("labels", "only_faulty"), TOLERANCE)
    ]
    write_label_map(folder / "labels" / "empty.nii", np.zeros((2, 3, 5), np.uint8), np.eye(4))
    for name in ("labels", "only_faulty"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "text.nii").write_text("no image")
    command = [sys.executable, "-c", SCRIPT]
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    text = json.dumps(commands)
    run = subprocess.run(command, input=text, capture_output=True, text=True, cwd=folder, env=environment)
    assert run.returncode == 0, run.stderr
    return dict(zip(map(tuple, commands), json.loads(run.stdout), strict=True))


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert ended(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("error: ")


def test_without_arguments_the_commands_are_listed_and_the_exit_code_is_0(answers: dict[tuple[str, ...], Any]) -> None:
    code, out, err = answers[()]
    assert (code, err) == (0, "")
    for name in (*COMMANDS, "version"):
        assert f"\n     {name}\n" in out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["version"])
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("given", [["verison"], ["phantoms"]])
def test_an_unknown_command_and_a_missing_argument_end_with_exit_code_2(given: list[str]) -> None:
    assert ended(given) == 2


@pytest.mark.parametrize("name", ["2024", "with space/心 ü"])
def test_phantoms_writes_truth_and_labels_into_a_folder_of_any_name(
    name: str, folder: Path, answers: dict[tuple[str, ...], Any]
) -> None:
    code, out, _ = answers[("phantoms", name, *SMALL, *UNDAMAGED)]
    assert (code, out) == (0, f"1 cases in {name}: truth/ and labels/\n")
    truth, labels = (nib.load(folder / name / kind / "phantom_000.nii.gz") for kind in ("truth", "labels"))
    assert truth.shape == (32, 32, 32)
    assert np.array_equal(truth.dataobj, labels.dataobj)


@pytest.mark.parametrize("flags", BAD)
def test_bad_numbers_and_unknown_severities_are_refused_before_anything_is_written(
    flags: tuple[str, ...], folder: Path, answers: dict[tuple[str, ...], Any]
) -> None:
    code, out, err = answers[("phantoms", "bad", *flags)]
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {BAD[flags]}")
    assert err.count("\n") == 1
    assert not (folder / "bad").exists()


@pytest.mark.parametrize("words", REPAIRS)
def test_a_repair_that_cannot_be_is_refused_in_one_line(
    words: tuple[str, ...], folder: Path, answers: dict[tuple[str, ...], Any]
) -> None:
    code, out, err = answers[("repair", *words, "--output", "refused")]
    assert (code, out) == (2, "")
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {REPAIRS[words]}")
    assert not (folder / "refused" / "repaired").exists()


def test_a_faulty_case_is_named_the_good_one_is_repaired_and_the_exit_code_is_1(
    folder: Path, answers: dict[tuple[str, ...], Any]
) -> None:
    code, out, err = answers[("repair", "labels", "some")]
    assert code == 1
    assert out.startswith("cases       1 good, 1 faulty and left out\n")
    last = err.splitlines()[-2:]
    assert last[0].startswith("left out: ")
    assert "labels/text.nii: found a file that cannot be opened" in last[0]
    assert last[1] == "1 faults; the rest is done"
    assert not nib.load(folder / "some" / "repaired" / "empty.nii.gz").get_fdata().any()


def test_a_repair_without_a_fault_has_exit_code_0(folder: Path, answers: dict[tuple[str, ...], Any]) -> None:
    code, out, _ = answers[("repair", "labels/empty.nii", "all", "--seg_nrrd")]
    assert code == 0
    assert "| structure" in out
    for name in ("metrics.csv", "ledger.csv", "report/index.html", "slicer/empty.seg.nrrd"):
        assert (folder / "all" / name).is_file()


def test_scores_are_printed_and_folders_of_other_cases_are_refused(answers: dict[tuple[str, ...], Any]) -> None:
    code, out, _ = answers[("score", "labels/empty.nii", "labels/empty.nii")]
    assert code == 0
    assert "1 of 1 cases against" in out
    code, _, err = answers[("score", "labels", "only_faulty")]
    assert code == 2
    assert "no reference of empty" in err


def test_a_tolerance_that_is_no_number_is_refused(answers: dict[tuple[str, ...], Any]) -> None:
    code, _, err = answers[("score", *TOLERANCE)]
    assert code == 2
    assert err.startswith("error: --tolerance_mm: found '2mm'; wanted a number")


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        (["phantoms", "out", "--holse", "1"], "Did you mean --holes?"),
        (["demo", "--casse=3"], "Did you mean --cases?"),
        (["repair", "a", "b", "--worker=3"], "Did you mean --workers?"),
        (["demo", "--zzz"], "Choose one of them."),
        (["version", "--long"], "Leave it out."),
    ],
)
def test_an_unknown_flag_is_refused_with_the_nearest(
    given: list[str], nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(given, capsys).endswith(nearest)


@pytest.mark.parametrize("folder", ["file/deeper", "/proc/corfield"])
def test_a_folder_that_cannot_be_written_is_refused(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    said = refusal(["phantoms", str(tmp_path / folder), *SMALL], capsys)
    assert f"{folder}/cohort.json: found a place that cannot be written (" in said
    assert "wanted a writable file. Choose another output folder" in said


@pytest.mark.parametrize("note", [b"{", b"\xff", b"[1]"])
def test_a_folder_with_a_strange_note_is_refused_and_left(
    note: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cohort.json").write_bytes(note)
    assert refusal(["phantoms", str(tmp_path), *SMALL], capsys).startswith(f"{tmp_path}/cohort.json: found ")
    assert [path.name for path in entries(tmp_path.iterdir())] == ["cohort.json"]


def test_a_mistyped_setting_is_found_by_the_check_and_not_taken_for_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "check",
                "bundles/near_fusion/configs/inference.json",
                "--spare_fraction",
                "0.2",
                "--strict_component",
                "true",
            ]
        )
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "strict_components" in said and "1 fault" in said and "spare_fraction" not in said


def test_a_sound_bundle_passes_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "bundles/near_fusion"])
    assert "inference.json" in capsys.readouterr().out
