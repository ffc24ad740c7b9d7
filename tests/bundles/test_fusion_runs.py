"""Masks or label maps in, repaired label maps and their ledgers out, by the true configs of near_fusion."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from custom.anatomy import table
from custom.data.label_maps import write_label_map
from custom.metrics.case_scores import MEASURES, score_labels
from custom.phantoms.write_cohort import make_cohort
from custom.rules.ledger import read_ledger
from tests.bundles.fusion_helpers import evaluate, files_of, fuse, opened, write_masks
from tests.folder_entries import entries

NAMES = ["phantom_000", "phantom_001", "phantom_002"]
INDICES = {structure.name: structure.index for structure in table()}
OBLIQUE = np.array([[0.98, -0.2, 0.05, 11.0], [0.21, 0.97, -0.04, -23.0], [0.03, 0.1, 0.99, 37.0], [0, 0, 0, 1]])


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


def test_a_repaired_map_has_the_grid_of_its_label_map_and_lost_its_crumbs(labels: Path, repaired: Path) -> None:
    for name in NAMES:
        before, affine = opened(labels / f"{name}.nii.gz")
        after, found = opened(repaired / "repaired" / f"{name}.nii.gz")
        assert (after.shape, after.dtype) == (before.shape, np.uint8)
        assert np.array_equal(found, affine)
        assert set(np.unique(after)) <= {0, *INDICES.values()}
        assert 0 < (after != before).sum() < 0.1 * (before > 0).sum()


def test_every_case_has_its_ledger_and_all_of_them_are_gathered(repaired: Path) -> None:
    header, *lines = (repaired / "ledger.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in lines} == set(NAMES)
    for name in NAMES:
        own = [line for line in lines if line.startswith(f"{name},")]
        assert (repaired / "ledger" / f"{name}.csv").read_text().splitlines() == [header, *own]
    assert sorted(path.name for path in entries(repaired.iterdir())) == ["ledger", "ledger.csv", "repaired", "stamps"]


def test_the_ledger_adds_up_to_what_each_structure_gained_and_lost(labels: Path, repaired: Path) -> None:
    changes = read_ledger(repaired / "ledger.csv")
    for name in NAMES:
        (before, affine), (after, _) = opened(labels / f"{name}.nii.gz"), opened(repaired / f"repaired/{name}.nii.gz")
        for structure, index in INDICES.items():
            gained = sum(one.after_mm3 - one.before_mm3 for one in changes[name] if one.structure == structure)
            voxels = int((after == index).sum()) - int((before == index).sum())
            assert gained == pytest.approx(voxels * abs(np.linalg.det(affine[:3, :3])), abs=1.0)


def test_the_bundle_changes_nothing_in_what_it_has_written(repaired: Path, tmp_path: Path) -> None:
    fuse(tmp_path, dataset_dir=repaired / "repaired")
    for name in NAMES:
        assert (tmp_path / "repaired" / f"{name}.nii.gz").read_bytes() == (
            repaired / "repaired" / f"{name}.nii.gz"
        ).read_bytes()
    # What was spared is named again, but nothing is changed.
    noted = [change for changes in read_ledger(tmp_path / "ledger.csv").values() for change in changes]
    assert [change for change in noted if change.volume_mm3 > 0] == []


def test_masks_by_structure_give_what_their_label_map_gives(labels: Path, repaired: Path, tmp_path: Path) -> None:
    masks = write_masks(labels, tmp_path / "masks", INDICES)
    fuse(tmp_path / "out", masks_dir=masks)
    assert files_of(tmp_path / "out") == files_of(repaired)


def test_a_structure_without_masks_is_taken_from_the_label_map(labels: Path, repaired: Path, tmp_path: Path) -> None:
    some = {name: INDICES[name] for name in ("LV", "Coronary", "PA")}
    fuse(tmp_path / "out", masks_dir=write_masks(labels, tmp_path / "masks", some), dataset_dir=labels)
    assert files_of(tmp_path / "out") == files_of(repaired)


def test_masks_of_a_few_structures_alone_make_a_heart_of_these(labels: Path, tmp_path: Path) -> None:
    some = {name: INDICES[name] for name in ("LV", "LA")}
    fuse(tmp_path / "out", masks_dir=write_masks(labels, tmp_path / "masks", some))
    for name in NAMES:
        after, _ = opened(tmp_path / "out" / "repaired" / f"{name}.nii.gz")
        assert set(np.unique(after)) == {0, INDICES["LV"], INDICES["LA"]}


def test_overlapping_masks_are_fused_by_rank(labels: Path, tmp_path: Path) -> None:
    masks = write_masks(labels, tmp_path / "masks", {name: INDICES[name] for name in ("LV", "Myocardium")})
    case = f"{NAMES[0]}.nii.gz"
    (ventricle, affine), (wall, _) = (opened(masks / name / case) for name in ("LV", "Myocardium"))
    write_label_map(masks / "Myocardium" / case, wall | ventricle, affine)
    fuse(tmp_path / "out", masks_dir=masks, rules=["drop_crumbs"])
    after, _ = opened(tmp_path / "out" / "repaired" / case)
    assert (after[ventricle == 1] == INDICES["LV"]).mean() > 0.98


def turned(array: np.ndarray, affine: np.ndarray, codes: str) -> tuple[np.ndarray, np.ndarray]:
    there = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    return apply_orientation(array, there), affine @ inv_ornt_aff(there, array.shape)


@pytest.mark.parametrize(("codes", "world"), [("LAS", np.eye(4)), ("SPR", np.eye(4)), ("RAS", OBLIQUE)])
def test_a_repaired_map_comes_back_on_its_grid_whatever_its_orientation(
    codes: str, world: np.ndarray, labels: Path, repaired: Path, tmp_path: Path
) -> None:
    array, affine = opened(labels / f"{NAMES[0]}.nii.gz")
    given, there = turned(array[:, :30, 1:], affine, codes)
    straight, _ = turned(array[:, :30, 1:], affine, "RAS")
    write_label_map(tmp_path / "in" / "a.nii.gz", np.ascontiguousarray(given), world @ there)
    write_label_map(tmp_path / "plain" / "a.nii.gz", np.ascontiguousarray(straight), affine)
    for which in ("in", "plain"):
        fuse(tmp_path / f"{which}_out", dataset_dir=tmp_path / which)
    (after, found), (plain, _) = (opened(tmp_path / f"{which}_out/repaired/a.nii.gz") for which in ("in", "plain"))
    assert after.shape == given.shape
    assert np.allclose(found, world @ there, atol=1e-4)
    if np.array_equal(world, np.eye(4)):
        assert np.array_equal(after, turned(plain, affine, codes)[0])
    else:
        assert (after != plain).mean() < 0.001


def rules_of(output: Path) -> set[str]:
    return {change.rule for changes in read_ledger(output / "ledger.csv").values() for change in changes}


def test_the_rules_can_be_chosen(labels: Path, repaired: Path, tmp_path: Path) -> None:
    assert rules_of(repaired) > {"bridge_gaps", "fill_holes", "keep_expected"}
    fuse(tmp_path, dataset_dir=labels, rules=["fill_holes"])
    assert rules_of(tmp_path) == {"fill_holes"}


@pytest.fixture
def three_veins(tmp_path: Path) -> Path:
    """A left atrium with three veins, each on a side of its own, no two of them near each other."""
    labels = np.zeros((37, 41, 43), np.uint8)
    labels[10:27, 10:31, 10:33] = INDICES["LA"]
    for place in (np.s_[3:10, 18:22, 19:23], np.s_[27:34, 18:22, 19:23], np.s_[17:21, 31:38, 19:23]):
        labels[place] = INDICES["PV"]
    write_label_map(tmp_path / "in" / "veins.nii.gz", labels, np.diag([1.0, 1, 1, 1]))
    return tmp_path / "in"


def veins_left(folder: Path, output: Path, **settings: Any) -> int:
    fuse(output, dataset_dir=folder, **settings)
    after, _ = opened(output / "repaired" / "veins.nii.gz")
    return int((after == INDICES["PV"]).sum()) // 112


def test_a_third_vein_in_contact_is_spared_unless_the_table_is_taken_to_the_letter_and_says_two(
    three_veins: Path, tmp_path: Path
) -> None:
    assert veins_left(three_veins, tmp_path / "out") == 3
    assert veins_left(three_veins, tmp_path / "out", strict_components=True) == 2
    assert veins_left(three_veins, tmp_path / "out", spare_fraction=1.0) == 3
    changes = {"PV": {"components": 3}}
    assert veins_left(three_veins, tmp_path / "out", strict_components=True, table_changes=changes) == 3


def test_a_stored_probability_leads_a_bridge(tmp_path: Path) -> None:
    vessel = np.zeros((29, 23, 31), np.uint8)
    vessel[3:10, 10:13, 10:13] = 1
    vessel[17:26, 10:13, 10:13] = 1
    probability = 0.9 * vessel.astype(np.float32)
    probability[9:18, 10:13, 13:16] = 1.0  # beside the straight way
    affine = np.diag([1.0, 1, 1, 1])
    write_label_map(tmp_path / "masks" / "Coronary" / "a.nii.gz", vessel, affine)
    settings = {"masks_dir": tmp_path / "masks", "rules": ["bridge_gaps"]}
    settings["table_changes"] = {"Coronary": {"components": 1}}
    fuse(tmp_path / "without", **settings)
    folder = tmp_path / "masks" / "Coronary" / "probability"
    write_label_map(folder / "a.nii.gz", probability, affine, np.float32)
    fuse(tmp_path / "with", **settings)
    for which, led in (("without", False), ("with", True)):
        after, _ = opened(tmp_path / which / "repaired" / "a.nii.gz")
        bridge = (after == INDICES["Coronary"]) & (vessel == 0)
        assert bridge.any()
        assert bool(bridge[13, :, 13:].sum() > bridge[13, :, :13].sum()) is led


def test_another_table_serves_another_label_set(labels: Path, tmp_path: Path) -> None:
    array, affine = opened(labels / f"{NAMES[0]}.nii.gz")
    write_label_map(tmp_path / "in" / "a.nii.gz", np.where(array > 5, 0, array), affine)
    fuse(tmp_path / "out", dataset_dir=tmp_path / "in", label_table="totalsegmentator_heart")
    after, _ = opened(tmp_path / "out" / "repaired" / "a.nii.gz")
    assert set(np.unique(after)) == set(range(6))


def test_evaluation_scores_the_maps_that_it_has_written(
    cohort: Path, repaired: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "custom"):
        evaluate(tmp_path, cohort / "truth", dataset_dir=cohort / "labels", tolerance_mm=2.0)
    assert files_of(tmp_path) == files_of(repaired)
    with open(tmp_path / "scores.csv", newline="") as file:
        rows = {(row["case"], row["structure"]): row for row in csv.DictReader(file)}
    assert len(rows) == 3 * 10
    for name in NAMES:
        after, affine = opened(tmp_path / "repaired" / f"{name}.nii.gz")
        truth, _ = opened(cohort / "truth" / f"{name}.nii.gz")
        i, j, k = (float(step) for step in np.diag(affine)[:3])
        for wanted in score_labels(name, after, truth, (abs(i), abs(j), abs(k)), table(), 2.0):
            row = rows[name, wanted.structure]
            assert [float(row[measure]) for measure in MEASURES] == pytest.approx(
                [float(getattr(wanted, measure)) for measure in MEASURES], rel=1e-5
            )
    assert json.loads((tmp_path / "scores.json").read_text())["mean"]["cases"] == 3
    assert any("| Coronary " in message for message in caplog.messages)
