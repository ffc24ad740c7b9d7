"""What may be wrong with the input of near_fusion: every fault is named, the good cases finish, the run fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.anatomy import table
from custom.data.label_maps import write_label_map
from custom.phantoms.write_cohort import make_cohort
from custom.training.run_bundle import bundle_configs
from tests.bundles.fusion_helpers import evaluate, files_of, fuse, opened, write_masks
from tests.bundles.refusal_helpers import refusal
from tests.folder_entries import entries

NAMES = ["phantom_000", "phantom_001", "phantom_002"]
INDICES = {structure.name: structure.index for structure in table()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, cases=3, size=32)
    return folder


@pytest.fixture
def labels(cohort: Path, tmp_path: Path) -> Path:
    """A copy of the label maps, to be spoilt."""
    return Path(shutil.copytree(cohort / "labels", tmp_path / "in"))


@pytest.fixture
def masks(labels: Path, tmp_path: Path) -> Path:
    return write_masks(labels, tmp_path / "masks", {name: INDICES[name] for name in ("LV", "PV")})


def written(output: Path) -> list[str]:
    return sorted(path.name.split(".")[0] for path in entries((output / "repaired").glob("*")))


def spoil_header(labels: Path, masks: Path) -> Path:
    (labels / "phantom_001.nii.gz").write_bytes(b"x")
    return labels


def spoil_voxels(labels: Path, masks: Path) -> Path:
    path = labels / "phantom_001.nii.gz"
    path.write_bytes(path.read_bytes()[:-300])
    return labels


def unknown_label(labels: Path, masks: Path) -> Path:
    array, affine = opened(labels / "phantom_001.nii.gz")
    array[0, 0, 0] = 11
    write_label_map(labels / "phantom_001.nii.gz", array, affine)
    return labels


def no_mask(labels: Path, masks: Path) -> Path:
    (masks / "LV" / "phantom_001.nii.gz").unlink()
    return masks / "LV"


def other_grid(labels: Path, masks: Path) -> Path:
    array, affine = opened(masks / "PV" / "phantom_001.nii.gz")
    write_label_map(masks / "PV" / "phantom_001.nii.gz", array[:, :, 1:], affine)
    return masks / "PV"


def no_mask_values(labels: Path, masks: Path) -> Path:
    array, affine = opened(masks / "PV" / "phantom_001.nii.gz")
    write_label_map(masks / "PV" / "phantom_001.nii.gz", array * 255, affine)
    return masks / "PV"


def no_probability(labels: Path, masks: Path) -> Path:
    array, affine = opened(masks / "PV" / "phantom_001.nii.gz")
    folder = masks / "PV" / "probability"
    write_label_map(folder / "phantom_001.nii.gz", array * np.float32(3), affine, np.float32)
    return folder


FAULTS: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "no NIfTI": (spoil_header, "found a file that cannot be opened ("),
    "cut short": (spoil_voxels, "found voxels that cannot be read ("),
    "unknown label": (unknown_label, "found the label values 11; wanted 0 (background) or an index of table"),
    "no mask": (no_mask, "found no such file"),
    "other grid": (other_grid, "found a grid of (32, 32, 31); wanted that of "),
    "no mask's values": (no_mask_values, "found the label values 255"),
    "no probability": (no_probability, "found values from 0 to 3; wanted probabilities, 0 to 1."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_case_is_named_and_the_others_finish(fault: str, labels: Path, masks: Path, tmp_path: Path) -> None:
    spoil, found = FAULTS[fault]
    place = spoil(labels, masks)
    message = refusal(fuse, tmp_path / "out", dataset_dir=labels, masks_dir=masks)
    assert message.startswith(f"3 cases: found 1 at fault [phantom_001: {place}/phantom_001.nii.gz: {found}")
    assert message.endswith("Mend these or take them out, and run it again; the other 2 are done.")
    assert written(tmp_path / "out") == [NAMES[0], NAMES[2]]
    ledger = (tmp_path / "out" / "ledger.csv").read_text()
    assert "phantom_002" in ledger and "phantom_001" not in ledger


def test_once_mended_a_case_is_repaired_as_if_it_had_never_been_faulty(
    cohort: Path, labels: Path, tmp_path: Path
) -> None:
    whole = (labels / "phantom_001.nii.gz").read_bytes()
    spoil_voxels(labels, labels)
    refusal(fuse, tmp_path / "out", dataset_dir=labels)
    (labels / "phantom_001.nii.gz").write_bytes(whole)
    fuse(tmp_path / "out", dataset_dir=labels)
    fuse(tmp_path / "whole", dataset_dir=cohort / "labels")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_all_faults_are_named_where_every_case_has_one(labels: Path, tmp_path: Path) -> None:
    for name in NAMES[:2]:
        (labels / f"{name}.nii.gz").write_bytes(b"x")
    (labels / f"{NAMES[2]}.nii.gz").write_bytes((labels / f"{NAMES[2]}.nii.gz").read_bytes()[:-300])
    message = refusal(fuse, tmp_path / "out", dataset_dir=labels)
    assert message.startswith("3 cases: found 3 at fault [phantom_000: ")
    assert all(f"{name}: {labels}/{name}.nii.gz: found " in message for name in NAMES)
    assert message.endswith("and run it again.")
    assert written(tmp_path / "out") == []


def test_no_cases_and_places_that_are_none_are_refused(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "without" / "LA").mkdir(parents=True)
    out = tmp_path / "out"
    assert "empty: found no *.nii or *.nii.gz in it" in refusal(fuse, out, dataset_dir=tmp_path / "empty")
    assert "nowhere: found no such file or folder" in refusal(fuse, out, dataset_dir=tmp_path / "nowhere")
    assert "nowhere: found no such folder" in refusal(fuse, out, masks_dir=tmp_path / "nowhere")
    assert "empty: found no folder of a structure in it" in refusal(fuse, out, masks_dir=tmp_path / "empty")
    assert "without: found no mask in LA; wanted" in refusal(fuse, out, masks_dir=tmp_path / "without")
    assert "only_cases: found no case phantom_9" in refusal(fuse, out, dataset_dir=labels, only_cases="phantom_9")
    (labels / "phantom_001.nii").write_bytes(b"")
    assert "'phantom_001': " in refusal(fuse, out, dataset_dir=labels)


@pytest.mark.parametrize("place", ["file/deeper", "/proc/corfield"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refusal(fuse, tmp_path / place, dataset_dir=tmp_path / "nowhere")
    assert f"{place}: found a folder that cannot be written (" in message


def test_mistyped_settings_are_refused_with_the_nearest(labels: Path, tmp_path: Path) -> None:
    def answer(**settings: Any) -> str:
        return refusal(fuse, tmp_path / "out", dataset_dir=labels, **settings)

    assert answer(mask_dir="x").endswith("Did you mean --masks_dir?")
    assert answer(table_change={"PV": {"components": 4}}).endswith("Did you mean --table_changes?")
    assert "--strict_components: found 'yes'; wanted true or false" in answer(strict_components="yes")
    assert "--spare_fraction: found 2; wanted a number" in answer(spare_fraction=2)
    assert "--rank: found 2; wanted a number below the 2" in answer(rank=2, world_size=2)
    assert "rules: found fill_hole; wanted names among" in answer(rules=["fill_hole"])
    assert "found 'PVs'" in answer(table_changes={"PVs": {"components": 4}})
    assert "table_changes: PV: found the field 'component'" in answer(table_changes={"PV": {"component": 4}})
    assert "--table_changes: found {'PV': 4}" in answer(table_changes={"PV": 4})
    assert "label_table: found 'public'; wanted one of" in answer(label_table="public")
    assert "found a setting of evaluate.json and not of this run" in answer(reference_dir="x")
    assert written(tmp_path / "out") == []


def test_references_that_do_not_fit_are_named_by_case_and_the_others_scored(
    cohort: Path, labels: Path, tmp_path: Path
) -> None:
    truth = Path(shutil.copytree(cohort / "truth", tmp_path / "truth"))
    out = tmp_path / "out"
    assert "--reference_dir: found '" in refusal(evaluate, out, tmp_path / "nowhere", dataset_dir=labels)
    assert "--world_size: found 2; wanted 1" in refusal(evaluate, out, truth, dataset_dir=labels, world_size=2)
    (truth / "phantom_000.nii.gz").unlink()
    array, affine = opened(truth / "phantom_001.nii.gz")
    write_label_map(truth / "phantom_001.nii.gz", array[1:], affine)
    message = refusal(evaluate, out, truth, dataset_dir=labels)
    assert f"phantom_000: {truth}: found no label map of case phantom_000" in message
    assert f"phantom_001: {truth}/phantom_001.nii.gz: found a grid of (31, 32, 32); wanted that of {out}" in message
    assert {line.split(",")[0] for line in (out / "scores.csv").read_text().splitlines()} == {"case", "phantom_002"}
    assert written(out) == NAMES


def test_a_case_of_background_and_one_of_a_single_structure_come_back(labels: Path, tmp_path: Path) -> None:
    array, affine = opened(labels / "phantom_000.nii.gz")
    write_label_map(labels / "phantom_000.nii.gz", np.zeros_like(array), affine)
    write_label_map(labels / "phantom_001.nii.gz", np.where(array == INDICES["LV"], array, 0), affine)
    fuse(tmp_path / "out", dataset_dir=labels)
    found = [np.unique(opened(tmp_path / "out" / "repaired" / f"{name}.nii.gz")[0]).tolist() for name in NAMES[:2]]
    assert found == [[0], [0, INDICES["LV"]]]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_ends_the_run_and_leaves_no_half_file(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuse(tmp_path / "out", dataset_dir=labels)
    before = (tmp_path / "out" / "repaired" / "phantom_001.nii.gz").read_bytes()
    whole = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if "phantom_001" in self.name:
            with open("/dev/full", "wb", buffering=0) as stream:
                return stream.write(content)
        return whole(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    message = refusal(fuse, tmp_path / "out", dataset_dir=labels, resume=False)
    assert "repaired/phantom_001.nii.gz: found a place that cannot be written (No space left on device)" in message
    assert (tmp_path / "out" / "repaired" / "phantom_001.nii.gz").read_bytes() == before
    assert [path.name for path in (tmp_path / "out").rglob("*.part")] == []
    assert not (tmp_path / "out" / "stamps" / "phantom_001.json").exists()


@pytest.mark.slow
def test_on_the_command_line_the_faults_are_one_line_and_the_exit_code_is_not_0(labels: Path, tmp_path: Path) -> None:
    (labels / "phantom_001.nii.gz").write_bytes(b"x")
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "infer", "--config_file"]
    command += [*bundle_configs("near_fusion", ["inference"]), "--dataset_dir", str(labels)]
    run = subprocess.run([*command, "--output_dir", str(tmp_path / "out")], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("error: 3 cases: found 1 at fault [phantom_001: ")
    assert "Traceback" not in run.stderr + run.stdout
    assert written(tmp_path / "out") == [NAMES[0], NAMES[2]]
