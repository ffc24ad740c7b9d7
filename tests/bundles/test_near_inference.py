"""Masks and scores by the true configs: on the grid they came on, whatever its orientation, or on a finer one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt

from custom.anatomy import table
from custom.errors import InputError
from custom.metrics.case_scores import MEASURES, score_mask
from custom.metrics.overlap import dice
from custom.near.field_checkpoint import load_checkpoint
from custom.phantoms.write_cohort import make_cohort
from custom.training.preflight import root_cause
from tests.folder_entries import entries

LA = table()["LA"].index
ORIENTATIONS = {"phantom_000": "LAS", "phantom_001": "SPR", "phantom_002": "IRP"}

# A turn by about 12 degrees and a shear: no axis of the grid runs along an axis of the world, nor at right angles.
OBLIQUE = np.array([[0.98, -0.2, 0.05, 11.0], [0.21, 0.97, -0.04, -23.0], [0.03, 0.1, 0.99, 37.0], [0, 0, 0, 1]])


def image_at(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return np.asarray(image.dataobj), np.asarray(image.affine)


def flattened(image: Any) -> Any:
    """A label map with only every second slice: voxels twice as high as wide."""
    array = np.asarray(image.dataobj)[:, :, ::2]
    return nib.Nifti1Image(array, image.affine @ np.diag([1.0, 1.0, 2.0, 1.0]))


def turned(image: Any, codes: str) -> Any:
    """The same voxels along other axes, on an oblique and sheared grid."""
    start = nib.orientations.io_orientation(image.affine)
    there = nib.orientations.ornt_transform(start, axcodes2ornt(codes))
    other = image.as_reoriented(there)
    return nib.Nifti1Image(np.asarray(other.dataobj), OBLIQUE @ other.affine)


def turned_back(mask: np.ndarray, codes: str) -> np.ndarray:
    there = nib.orientations.ornt_transform(axcodes2ornt(codes), axcodes2ornt("RAS"))
    return np.asarray(nib.orientations.apply_orientation(mask, there))


def rewritten(source: Path, target: Path, change: Callable[[str, Any], Any]) -> Path:
    """A copy of a folder of label maps, each changed."""
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.nii.gz")):
        nib.save(change(path.name.split(".")[0], nib.load(path)), target / path.name)
    return target


@pytest.fixture(scope="module")
def straight(bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Anisotropic label maps, axes along the world's, and the output folder of their masks."""
    folder = tmp_path_factory.mktemp("straight")
    labels = rewritten(bundle.labels, folder / "labels", lambda name, image: flattened(image))
    bundle.train(folder / "output", dataset_dir=str(labels))
    bundle.infer(folder / "output")
    return labels, folder / "output"


@pytest.fixture(scope="module")
def oblique(bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same label maps, each in an orientation of its own."""
    folder = tmp_path_factory.mktemp("oblique")
    labels = rewritten(
        bundle.labels, folder / "labels", lambda name, image: turned(flattened(image), ORIENTATIONS[name])
    )
    bundle.train(folder / "output", dataset_dir=str(labels))
    bundle.infer(folder / "output")
    return labels, folder / "output"


def test_a_mask_has_the_grid_of_its_label_map_and_only_0_and_1(oblique: tuple[Path, Path]) -> None:
    labels_dir, output = oblique
    shapes = set()
    for name in ORIENTATIONS:
        labels, affine = image_at(labels_dir / f"{name}.nii.gz")
        mask, found = image_at(output / "masks" / "LA" / f"{name}.nii.gz")
        assert mask.shape == labels.shape
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 1}
        assert np.allclose(found, affine, atol=1e-5, rtol=0)
        shapes.add(labels.shape)
    assert shapes == {(40, 40, 20), (20, 40, 40)}


def test_the_orientation_of_a_label_map_does_not_change_its_mask(
    straight: tuple[Path, Path], oblique: tuple[Path, Path]
) -> None:
    for name, codes in ORIENTATIONS.items():
        labels, _ = image_at(straight[0] / f"{name}.nii.gz")
        masks = [image_at(output / "masks" / "LA" / f"{name}.nii.gz")[0] for _, output in (straight, oblique)]
        here, there = masks[0] == 1, turned_back(masks[1], codes) == 1
        assert dice(here, labels == LA) > 0.8
        assert dice(here, there) > 0.995


def test_a_finer_grid_has_the_spacing_asked_for_over_the_same_part_of_the_world(
    bundle: Any, oblique: tuple[Path, Path], tmp_path: Path
) -> None:
    labels_dir, output = oblique
    bundle.infer(output, spacing_mm=1.5, masks_dir=str(tmp_path))
    for name in ORIENTATIONS:
        labels, affine = image_at(labels_dir / f"{name}.nii.gz")
        native, _ = image_at(output / "masks" / "LA" / f"{name}.nii.gz")
        fine, found = image_at(tmp_path / "LA" / f"{name}.nii.gz")
        spacing = nib.affines.voxel_sizes(affine)
        assert np.allclose(nib.affines.voxel_sizes(found), 1.5, atol=1e-4)
        middles = [
            nib.affines.apply_affine(a, (np.array(one.shape) - 1) / 2) for one, a in ((labels, affine), (fine, found))
        ]
        assert np.allclose(*middles, atol=1e-4)
        over_mm = np.array(fine.shape) * 1.5 - np.array(labels.shape) * spacing
        assert (over_mm > -1e-3).all() and (over_mm < 1.5).all()
        volumes = [abs(np.linalg.det(grid[:3, :3])) * mask.sum() for grid, mask in ((affine, native), (found, fine))]
        assert volumes[1] == pytest.approx(volumes[0], rel=0.06)
        centres = [
            nib.affines.apply_affine(grid, np.argwhere(mask).mean(axis=0))
            for grid, mask in ((affine, native), (found, fine))
        ]
        assert np.linalg.norm(centres[0] - centres[1]) < 0.5


def test_probabilities_of_two_decimals_lie_between_0_and_1_and_above_a_half_in_the_mask(
    bundle: Any, trained: Path, tmp_path: Path
) -> None:
    bundle.infer(trained, save_probability=True, masks_dir=str(tmp_path))
    for name in ORIENTATIONS:
        probability, _ = image_at(tmp_path / "LA" / "probability" / f"{name}.nii.gz")
        mask, _ = image_at(tmp_path / "LA" / f"{name}.nii.gz")
        assert probability.dtype == np.float32
        assert 0 <= probability.min() < 0.1 and 0.9 < probability.max() <= 1
        assert np.array_equal(probability, (np.rint(probability * 100) / 100).astype(np.float32))
        assert (probability[mask == 1] >= 0.5).all()
        assert (mask[probability > 0.5] == 1).mean() > 0.9


def test_the_coarse_pass_changes_no_voxel_of_a_mask(bundle: Any, trained: Path, tmp_path: Path) -> None:
    for stride in (1, 4):
        bundle.infer(trained, stride=stride, masks_dir=str(tmp_path / str(stride)))
    for name in ORIENTATIONS:
        masks = [image_at(tmp_path / str(stride) / "LA" / f"{name}.nii.gz")[0] for stride in (1, 4)]
        assert np.array_equal(*masks)


def test_half_precision_moves_hardly_a_voxel(bundle: Any, trained: Path, tmp_path: Path) -> None:
    for amp in (False, True):
        bundle.infer(trained, amp=amp, masks_dir=str(tmp_path / str(amp)))
    for name in ORIENTATIONS:
        masks = [image_at(tmp_path / str(amp) / "LA" / f"{name}.nii.gz")[0] == 1 for amp in (False, True)]
        assert dice(*masks) > 0.99


def test_only_the_cases_asked_for_are_written(bundle: Any, trained: Path, tmp_path: Path) -> None:
    bundle.infer(trained, only_cases=["phantom_001"], masks_dir=str(tmp_path / "one"))
    bundle.infer(trained, masks_dir=str(tmp_path / "all"))
    assert [path.name for path in entries((tmp_path / "one" / "LA").iterdir())] == ["phantom_001.nii.gz"]
    assert len(list(entries((tmp_path / "all" / "LA").iterdir()))) == 3
    one, every = (image_at(tmp_path / which / "LA" / "phantom_001.nii.gz")[0] for which in ("one", "all"))
    assert np.array_equal(one, every)


def test_a_case_without_a_code_is_refused_by_name(bundle: Any, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as raised:
        bundle.infer(trained, only_cases=["phantom_007"], masks_dir=str(tmp_path))
    cause = root_cause(raised.value)
    assert isinstance(cause, InputError)
    assert "phantom_007" in str(cause)


def test_a_case_that_lacks_the_structure_gets_an_empty_mask(bundle: Any, tmp_path: Path) -> None:
    def without(name: str, image: Any) -> Any:
        array = np.asarray(image.dataobj).copy()
        if name == "phantom_001":
            array[array == LA] = 0
        return nib.Nifti1Image(array, image.affine)

    labels = rewritten(bundle.labels, tmp_path / "labels", without)
    bundle.train(tmp_path / "output", dataset_dir=str(labels), max_epochs=25)
    for spacing_mm, shape in ((None, (40, 40, 40)), (5.0, (29, 29, 29))):
        bundle.infer(tmp_path / "output", spacing_mm=spacing_mm)
        masks = {name: image_at(tmp_path / "output" / "masks" / "LA" / f"{name}.nii.gz")[0] for name in ORIENTATIONS}
        assert {mask.shape for mask in masks.values()} == {shape}
        assert [bool(mask.any()) for mask in masks.values()] == [True, False, True]


def test_evaluation_writes_what_scoring_says_of_the_masks_it_would_write(
    bundle: Any, trained: Path, tmp_path: Path
) -> None:
    workflow = bundle.evaluate(trained, masks_dir=str(tmp_path))
    with open(tmp_path / "LA" / "scores.csv", newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(ORIENTATIONS)
    bundle.infer(trained, masks_dir=str(tmp_path))
    for name, row in rows.items():
        mask, _ = image_at(tmp_path / "LA" / f"{name}.nii.gz")
        truth, affine = image_at(bundle.truth / f"{name}.nii.gz")
        i, j, k = (float(size) for size in nib.affines.voxel_sizes(affine))
        wanted = asdict(score_mask(mask == 1, truth == LA, (i, j, k), 1.0))
        assert row["structure"] == "LA"
        assert {measure: float(row[measure]) for measure in MEASURES} == pytest.approx(
            {measure: float(wanted[measure]) for measure in MEASURES}, rel=1e-5
        )
        assert 0.7 < float(row["dice"]) < 1
    means = json.loads((tmp_path / "LA" / "scores.json").read_text())["LA"]
    assert means["cases"] == 3
    for measure in MEASURES:
        assert means[measure] == pytest.approx(np.mean([float(row[measure]) for row in rows.values()]))
    metrics = workflow.evaluator.state.metrics
    assert metrics["mean_dice"] == pytest.approx(means["dice"])
    assert metrics["val_dice"] == pytest.approx(means["dice"], abs=1e-4)


def test_masks_of_a_folder_per_structure_serve_as_references_too(bundle: Any, trained: Path, tmp_path: Path) -> None:
    bundle.infer(trained, masks_dir=str(tmp_path / "masks"))
    bundle.evaluate(trained, reference_dir=str(tmp_path / "masks"), masks_dir=str(tmp_path / "scores"))
    means = json.loads((tmp_path / "scores" / "LA" / "scores.json").read_text())["LA"]
    assert (means["dice"], means["hd95_mm"], means["surface_dice"]) == (1.0, 0.0, 1.0)


def test_an_unseen_case_is_fitted_by_its_code_alone_and_better_than_by_the_mean_code(
    bundle: Any, trained: Path, tmp_path: Path
) -> None:
    make_cohort(tmp_path / "cohort", cases=4, size=40)
    unseen = tmp_path / "unseen"
    unseen.mkdir()
    (tmp_path / "cohort" / "labels" / "phantom_003.nii.gz").rename(unseen / "phantom_003.nii.gz")
    fit = tmp_path / "fit"
    shared = {"checkpoint": str(trained / "LA" / "best.pt"), "run_dir": str(fit), "dataset_dir": str(unseen)}
    bundle.train(tmp_path, ["train", "smoke", "fit"], **shared, max_epochs=100, bias_milestones=[])
    before, after = load_checkpoint(shared["checkpoint"]), load_checkpoint(fit / "best.pt")
    assert after["cases"] == ["phantom_003"]
    moved = {key for key, value in after["model"].items() if not torch.equal(value, before["model"][key])}
    assert moved == {"codes.table.weight"}
    mean = before["model"]["codes.table.weight"].mean(dim=0, keepdim=True)
    torch.save({**after, "model": {**after["model"], "codes.table.weight": mean}}, fit / "mean.pt")
    labels, _ = image_at(unseen / "phantom_003.nii.gz")
    scores = {}
    for which in ("mean", "best"):
        bundle.infer(tmp_path, checkpoint=str(fit / f"{which}.pt"), masks_dir=str(tmp_path / which))
        scores[which] = dice(image_at(tmp_path / which / "LA" / "phantom_003.nii.gz")[0] == 1, labels == LA)
    assert scores["best"] > scores["mean"] + 0.03
    assert scores["best"] > 0.7
