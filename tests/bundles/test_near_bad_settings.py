"""What a user may get wrong in settings, places, checkpoints and references: one line that names it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from custom.anatomy import table
from custom.near.field_checkpoint import load_checkpoint
from custom.phantoms.write_cohort import make_cohort
from custom.training.run_bundle import bundle_configs
from tests.bundles.refusal_helpers import evaluate, infer, refusal, train
from tests.folder_entries import entries

LA = table()["LA"].index
NAMES = ["phantom_000", "phantom_001"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, cases=2, size=32)
    return folder


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run of two epochs; not to be written to."""
    output = tmp_path_factory.mktemp("trained")
    train(cohort / "labels", output)
    return output


@pytest.fixture
def labels(cohort: Path, tmp_path: Path) -> Path:
    """A copy of the label maps, to be spoilt."""
    return Path(shutil.copytree(cohort / "labels", tmp_path / "in"))


def opened(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return np.asarray(image.dataobj), np.asarray(image.affine)


def save(folder: Path, array: np.ndarray, affine: np.ndarray | None = None, name: str = "bad.nii.gz") -> None:
    nib.save(
        nib.Nifti1Image(array, np.diag([-2.0, 3, 5, 1]) if affine is None else affine, dtype=array.dtype), folder / name
    )


def masks(output: Path) -> dict[str, np.ndarray]:
    return {path.name: opened(path)[0] for path in sorted((output / "masks" / "LA").glob("*.nii.gz"))}


@pytest.mark.parametrize("place", ["file/deeper", "/proc/corfield"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    place: str, cohort: Path, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for message in (
        refusal(train, cohort / "labels", tmp_path / place),
        refusal(infer, trained, masks_dir=str(tmp_path / place)),
        refusal(evaluate, trained, cohort / "truth", masks_dir=str(tmp_path / place)),
    ):
        assert f"{place}/LA: found a folder that cannot be written (" in message
        assert message.endswith("wanted a writable folder. Choose another --output_dir.")


def test_a_missing_a_foreign_and_a_cut_checkpoint_are_refused_by_both_runs(
    cohort: Path, trained: Path, tmp_path: Path
) -> None:
    assert "LA/best.pt: found no such file; wanted a checkpoint" in refusal(infer, tmp_path)
    last = tmp_path / "LA" / "last.pt"
    last.parent.mkdir()
    torch.save({"weight": torch.zeros(3)}, last)
    foreign = "last.pt: found a file of format None; wanted a checkpoint of format"
    assert foreign in refusal(train, cohort / "labels", tmp_path)
    assert foreign in refusal(infer, tmp_path, checkpoint=str(last))
    last.write_bytes((trained / "LA" / "last.pt").read_bytes()[:5000])
    assert "damaged or cut short" in refusal(train, cohort / "labels", tmp_path)
    assert "damaged or cut short" in refusal(infer, tmp_path, checkpoint=str(last))


def test_a_run_is_taken_up_neither_with_other_cases_nor_with_other_settings(
    labels: Path, trained: Path, tmp_path: Path
) -> None:
    output = Path(shutil.copytree(trained, tmp_path / "out"))
    message = refusal(train, labels, output, points_per_case=99)
    assert "last.pt: found a run begun with points_per_case = 512; wanted points_per_case = 99 as given now" in message
    message = refusal(train, labels, output, structure="RA", run_dir=str(output / "LA"))
    assert "found a run begun with structure = 'LA'; wanted structure = 'RA'" in message
    assert "wanted an empty folder, because resume is false" in refusal(train, labels, output, resume=False)
    (labels / "phantom_001.nii.gz").rename(labels / "other.nii.gz")
    message = refusal(train, labels, output)
    assert "codes of 2 cases, among them phantom_001; wanted codes of 2 cases, among them other." in message
    assert "run fit.json" in message
    checkpoint = str(output / "LA" / "best.pt")
    assert "found a field of LA; wanted a field of PV" in refusal(infer, output, structure="PV", checkpoint=checkpoint)


def test_a_stored_case_that_a_crash_has_damaged_is_cut_out_again(
    cohort: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(cohort / "labels", tmp_path / "out")
    wanted = load_checkpoint(tmp_path / "out" / "LA" / "last.pt")["model"]
    cubes = sorted(entries((tmp_path / "out" / "LA" / "cubes").iterdir()))
    whole = [path.read_bytes() for path in cubes]
    middle = len(whole[0]) // 2
    flipped = whole[0][:middle] + bytes([whole[0][middle] ^ 255]) + whole[0][middle + 1 :]
    for damaged in (b"", b"text", whole[0][:middle], flipped):
        cubes[0].write_bytes(damaged)
        (tmp_path / "out" / "LA" / "last.pt").unlink()
        caplog.clear()
        train(cohort / "labels", tmp_path / "out")
        assert f"{cubes[0]}: damaged; cut out again" in caplog.messages
        assert [path.read_bytes() for path in cubes] == whole
        found = load_checkpoint(tmp_path / "out" / "LA" / "last.pt")["model"]
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_mistyped_names_are_refused_with_the_nearest_one_by_every_run(cohort: Path, trained: Path) -> None:
    labels = cohort / "labels"
    assert refusal(train, labels, trained, epocs=7).endswith("Did you mean --max_epochs?")
    assert refusal(infer, trained, mask_dir="x").endswith("Did you mean --masks_dir?")
    assert refusal(evaluate, trained, cohort / "truth", tolerance=3).endswith("Did you mean --tolerance_mm?")
    assert "found a setting of fit.json, smoke.json, train.json and not of this run" in refusal(
        infer, trained, max_epochs=7
    )
    with pytest.raises(KeyError, match="traner"):
        train(labels, trained, **{"train::traner::max_epochs": 3})
    for action in (lambda **typed: train(labels, trained, **typed), lambda **typed: infer(trained, **typed)):
        assert refusal(action, structure="Coronry").endswith("Did you mean 'Coronary'?")
        assert "label_table: found 'public'; wanted one of public_cardiac_ct" in refusal(action, label_table="public")


@pytest.mark.parametrize(
    "setting",
    [
        {"resolution": 0},
        {"points_per_case": -1},
        {"max_epochs": 0},
        {"batch_size": -2},
        {"loss": "mse"},
        {"bias_ratios": [0.5]},
        {"trunk_channels": [12, 8]},
        {"trunk_channels": []},
        {"resume": "no"},
        {"learning_rate": -0.1},
    ],
)
def test_a_value_that_no_run_can_use_is_refused_by_its_setting(
    setting: dict[str, Any], cohort: Path, tmp_path: Path
) -> None:
    ((name, _),) = setting.items()
    assert re.match(f"(--)?{name}: found ", refusal(train, cohort / "labels", tmp_path / "out", **setting))
    assert not list((tmp_path / "out").rglob("*.pt*"))


def test_cases_are_chosen_by_name_and_unknown_ones_named(trained: Path, tmp_path: Path) -> None:
    for only in ("phantom_001", ["phantom_001"]):
        infer(trained, only_cases=only, masks_dir=str(tmp_path / "masks"))
        assert list(masks(tmp_path)) == ["phantom_001.nii.gz"]
    assert "only_cases: found no code for 7, p" in refusal(infer, trained, only_cases=[7, "p"], masks_dir=str(tmp_path))


def test_references_that_do_not_fit_are_refused_by_name(cohort: Path, trained: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(trained, tmp_path / "out"))
    references = Path(shutil.copytree(cohort / "truth", tmp_path / "truth"))
    second = references / "phantom_001.nii.gz"
    array, affine = opened(second)
    assert "--reference_dir: found '', where nothing is" in refusal(evaluate, output, "")
    assert "nowhere', where nothing is" in refusal(evaluate, output, tmp_path / "nowhere")
    assert "Leave --spacing_mm out here." in refusal(evaluate, output, references, spacing_mm=3.0)
    save(references, array[:, :, 1:], affine, second.name)
    message = refusal(evaluate, output, references)
    assert f"{second}: found a grid of (32, 32, 31); wanted the mask's grid, (32, 32, 32)" in message
    shifted = affine.copy()
    shifted[1, 3] += 1.0
    save(references, array, shifted, second.name)
    assert f"{second}: found voxels at other places in the world (origin [" in refusal(evaluate, output, references)
    save(references, array, affine @ np.diag([1, 1, 1.1, 1]), second.name)
    assert f"{second}: found voxels along other axes or of another size" in refusal(evaluate, output, references)
    second.unlink()
    message = refusal(evaluate, output, references)
    assert f"{references}: found no label map of case phantom_001; wanted one for every case" in message
    (references / "phantom_000.nii.gz").unlink()
    assert f"{references}: found no *.nii or *.nii.gz" in refusal(evaluate, output, references)
    save(references, array, affine + 1e-4, second.name)
    evaluate(output, references, only_cases=["phantom_001"])


def test_a_mask_of_references_holds_0_and_1_alone(cohort: Path, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "LA").mkdir()
    for name in NAMES:
        array, affine = opened(cohort / "truth" / f"{name}.nii.gz")
        save(tmp_path / "LA", np.where(array == LA, LA, 0).astype(np.uint8), affine, f"{name}.nii.gz")
    message = refusal(evaluate, trained, tmp_path, masks_dir=str(tmp_path / "scores"))
    assert "phantom_000.nii.gz: found the value 2 in a folder of masks; wanted 0 and 1." in message


@pytest.mark.parametrize(
    ("run_id", "names", "typed", "wanted"),
    [
        ("training", ["train", "smoke"], ["--dataset_dir", "/nowhere/in"], "error: /nowhere/in: found no such file or"),
        (
            "training",
            ["train", "smoke"],
            ["--structure", "Coronry"],
            "error: structure of table 'public_cardiac_ct': found 'Coronry'; wanted one of",
        ),
        ("infer", ["inference"], ["--mask_dir", "x"], "error: --mask_dir: found a setting this bundle does not have;"),
        pytest.param(
            "infer",
            ["inference"],
            ["--checkpoint", "setup.pt"],
            "error: setup.pt: found no such file; wanted a checkpoint.",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_on_the_command_line_the_error_is_the_last_line_and_no_traceback_is_shown(
    run_id: str, names: list[str], typed: list[str], wanted: str, tmp_path: Path
) -> None:
    configs = str(bundle_configs("near_stage1", names))
    command = ["-W", "ignore", "-m", "monai.bundle", "run", run_id, "--config_file", configs, *typed]
    run = subprocess.run(
        [sys.executable, *command, "--output_dir", str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(wanted)
    assert run.stderr.count("error:") == 1
    assert "Traceback" not in run.stderr + run.stdout
