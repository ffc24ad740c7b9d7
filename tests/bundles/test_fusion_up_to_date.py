"""Which cases near_fusion repairs: those asked for, those of its share, those that are not up to date."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from custom.data.label_maps import read_label_map, write_label_map
from custom.fusion import case_states as module
from custom.phantoms.write_cohort import make_cohort
from custom.training.run_bundle import bundle_configs
from tests.bundles.fusion_helpers import files_of, fuse
from tests.folder_entries import entries

NAMES = ["phantom_000", "phantom_001", "phantom_002"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, cases=3, size=32)
    return folder


@pytest.fixture(scope="module")
def labels(cohort: Path) -> Path:
    return cohort / "labels"


@pytest.fixture(scope="module")
def repaired(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run over the label maps; not to be written to."""
    output = tmp_path_factory.mktemp("repaired")
    fuse(output, dataset_dir=labels)
    return output


def test_only_the_cases_asked_for_are_written(labels: Path, repaired: Path, tmp_path: Path) -> None:
    fuse(tmp_path, dataset_dir=labels, only_cases=NAMES[1])
    assert [path.name for path in entries((tmp_path / "repaired").iterdir())] == [f"{NAMES[1]}.nii.gz"]
    fuse(tmp_path, dataset_dir=labels)
    assert files_of(tmp_path) == files_of(repaired)


def test_several_processes_write_what_one_writes(labels: Path, repaired: Path, tmp_path: Path) -> None:
    for rank in (2, 0, 3, 1):
        fuse(tmp_path, dataset_dir=labels, rank=rank, world_size=4)
    assert files_of(tmp_path) == files_of(repaired)


class Cut(BaseException):
    """Ends a run from the inside, as Control-C does: an error would be the fault of the case."""


def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cases that are saved from here on."""
    saved: list[str] = []
    save = module.CaseStates.save

    def watched(self: Any, case: str, *arguments: Any) -> None:
        saved.append(case)
        save(self, case, *arguments)

    monkeypatch.setattr(module.CaseStates, "save", watched)
    return saved


def test_a_case_is_repaired_anew_only_if_its_file_or_the_settings_have_changed(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(labels, tmp_path / "in"))
    output, saved = tmp_path / "out", seen(monkeypatch)

    def again(**settings: Any) -> list[str]:
        saved.clear()
        fuse(output, dataset_dir=folder, **settings)
        return list(saved)

    assert again() == NAMES
    before = files_of(output)
    assert again() == []
    os.utime(folder / f"{NAMES[1]}.nii.gz", ns=(7, 7))
    assert again() == []
    edited = read_label_map(folder / f"{NAMES[1]}.nii.gz")
    write_label_map(edited.path, edited.labels[::-1], edited.affine)
    assert again() == NAMES[1:2]
    shutil.copy(labels / f"{NAMES[1]}.nii.gz", folder)
    assert again() == NAMES[1:2]
    assert again(strict_components=True) == NAMES
    assert again(table_changes={"PV": {"components": 4}}) == NAMES
    assert again() == NAMES
    assert again(resume=False) == NAMES
    assert files_of(output) == before


def test_a_run_broken_off_goes_on_and_ends_with_the_same_bytes(
    labels: Path, repaired: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = seen(monkeypatch)
    with monkeypatch.context() as broken:
        write = module.write_ledger

        def cut(path: Path, changes: Any) -> None:
            if NAMES[1] in changes:
                raise Cut
            write(path, changes)

        broken.setattr(module, "write_ledger", cut)
        with pytest.raises(Cut):
            fuse(tmp_path, dataset_dir=labels)
    assert saved == NAMES[:2]
    saved.clear()
    fuse(tmp_path, dataset_dir=labels)
    assert saved == NAMES[1:]
    assert files_of(tmp_path) == files_of(repaired)


@pytest.mark.slow
def test_a_killed_process_started_again_by_the_same_command_ends_with_the_same_bytes(
    labels: Path, repaired: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "infer", "--config_file"]
    command += [*bundle_configs("near_fusion", ["inference"]), "--dataset_dir", str(labels)]
    command += ["--output_dir", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    first = tmp_path / "out" / "stamps" / f"{NAMES[0]}.json"
    deadline = time.monotonic() + 120
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.exists()
    assert not (tmp_path / "out" / "ledger.csv").exists()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert files_of(tmp_path / "out") == files_of(repaired)


def changes_of(output: Path, rule: str) -> int:
    ledger = read_ledger(output / "ledger.csv").values()
    return sum(change.rule == rule for changes in ledger for change in changes)
