"""What of stage 1 is up to date, and what a change makes anew."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.run import stage1_structures
from custom.run.check_label_map import CheckedCase
from custom.run.input_cases import read_input_cases
from custom.run.presets import PRESETS
from custom.run.process_pool import ProcessPool
from custom.run.stage1_structures import StructureJob, do_job, escape_monai, make_job, state_of
from custom.training import run_bundle
from tests.folder_entries import entries

LAA = PUBLIC_CARDIAC_CT["LAA"]
COMMON = {"label_table": "public_cardiac_ct", "seed": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def cases(hearts: Path, tmp_path_factory: pytest.TempPathFactory) -> Sequence[CheckedCase]:
    return read_input_cases(
        hearts / "labels", tmp_path_factory.mktemp("taken"), PUBLIC_CARDIAC_CT, ProcessPool(1)
    ).cases


def job(cases: Sequence[CheckedCase], output: Path, changes: dict[str, Any], **common: Any) -> StructureJob:
    return make_job(LAA, PRESETS["standard"], cases, output, COMMON | common, changes)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of the bundle's runs were begun, noted beside running them."""
    noted: list[str] = []

    def run(config_file: Sequence[str], run_id: str, **overrides: Any) -> Any:
        noted.append(run_id)
        return run_bundle.run_bundle(config_file, run_id, **overrides)

    monkeypatch.setattr(stage1_structures, "run_bundle", run)
    return noted


def test_the_key_of_a_field_changes_with_its_own_voxels_alone(cases: Sequence[CheckedCase], tmp_path: Path) -> None:
    first, second = cases
    before = job(cases, tmp_path, {})
    other = replace(first, structures=first.structures | {"LA": "edited"}, path="/copied", fingerprint="touched")
    assert job([other, second], tmp_path, {}).train_key == before.train_key
    own = replace(first, structures=first.structures | {"LAA": "edited"})
    assert job([own, second], tmp_path, {}).train_key != before.train_key
    absent = replace(first, structures={})
    assert job([absent, second], tmp_path, {}).train_key not in (
        before.train_key,
        job([own, second], tmp_path, {}).train_key,
    )


def test_the_keys_change_with_cases_and_settings_and_not_with_where_and_how_fast(
    cases: Sequence[CheckedCase], tmp_path: Path
) -> None:
    before = job(cases, tmp_path, {})
    assert job(cases[:1], tmp_path, {}).train_key != before.train_key
    assert job(cases, tmp_path, {"max_epochs": 3}).train_key != before.train_key
    assert job(cases, tmp_path, {}, seed=1).train_key != before.train_key
    threshold = job(cases, tmp_path, {"threshold": 0.4})
    assert (threshold.train_key == before.train_key, threshold.mask_key == before.mask_key) == (True, False)
    assert job(cases, tmp_path / "moved", {"cpu_threads": 5}, device="cuda").mask_key == before.mask_key


@pytest.mark.parametrize(
    "value", ["/data/#1/@x", "@x", "%y", "$1+1", ["a\\@b#", "\u00fc 'q'", "%z", "$1+1"], ["a"], "b"]
)
def test_no_path_or_name_means_anything_to_monai(value: Any) -> None:
    parser = ConfigParser({"x": 1, "y": 2, "z": 3, "given": escape_monai(value)})
    parser.parse()
    assert parser.get_parsed_content("given") == value


def test_a_job_is_done_once_and_begun_anew_when_what_it_depends_on_changes(
    cases: Sequence[CheckedCase], hearts: Path, tmp_path: Path, tiny: dict[str, Any], runs: list[str]
) -> None:
    read_input_cases(hearts / "labels", tmp_path, PUBLIC_CARDIAC_CT, ProcessPool(1))
    given = job(cases, tmp_path, tiny)
    assert state_of(given) == "new"
    assert do_job(given) == []
    assert (state_of(given), runs) == ("done", ["training", "infer"])
    assert sorted(path.name for path in entries(given.run_dir.iterdir())) == ["best.pt", "run.json", "tensorboard"]
    assert do_job(given) == []
    assert len(runs) == 2

    mask = given.masks_dir / "phantom_001.nii.gz"
    first = mask.read_bytes()
    other = given.masks_dir / "phantom_000.nii.gz"
    untouched = other.stat().st_mtime_ns
    mask.unlink()
    assert state_of(given) == "trained"
    do_job(given)
    assert (runs[2:], mask.read_bytes() == first, other.stat().st_mtime_ns) == (["infer"], True, untouched)

    lower = job(cases, tmp_path, tiny | {"threshold": 0.1})
    assert state_of(lower) == "trained"
    do_job(lower)
    assert (runs[3:], mask.read_bytes() == first) == (["infer"], False)

    longer = job(cases, tmp_path, tiny | {"max_epochs": 6})
    assert state_of(longer) == "new"
    do_job(longer)
    assert (runs[4:], state_of(longer), state_of(given)) == (["training", "infer"], "done", "new")


def test_a_broken_off_training_goes_on_and_that_of_others_does_not(
    cases: Sequence[CheckedCase], hearts: Path, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_input_cases(hearts / "labels", tmp_path, PUBLIC_CARDIAC_CT, ProcessPool(1))
    given = job(cases, tmp_path, tiny)

    def broken(config_file: Sequence[str], run_id: str, **overrides: Any) -> Any:
        if run_id == "infer":
            raise KeyboardInterrupt
        return run_bundle.run_bundle(config_file, run_id, **overrides)

    with monkeypatch.context() as patched:
        patched.setattr(stage1_structures, "run_bundle", broken)
        patched.setattr(stage1_structures, "write_record", lambda path, content: None)
        with pytest.raises(KeyboardInterrupt):
            do_job(given)
    assert state_of(given) == "new"  # nothing says whose last.pt it is
    stage1_structures.write_record(given.record, {"train_key": given.train_key})
    assert state_of(given) == "begun"
    shutil.copytree(tmp_path / "stage1", tmp_path / "copy")
    do_job(given)
    assert state_of(given) == "done"
    stage1_structures.write_record(given.record, {"train_key": "of other cases"})
    (given.run_dir / "last.pt").write_bytes((tmp_path / "copy" / "LAA" / "last.pt").read_bytes())
    assert state_of(given) == "new"
    do_job(given)
    assert state_of(given) == "done"
