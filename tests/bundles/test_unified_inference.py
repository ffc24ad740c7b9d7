"""Whole hearts drawn by the true configs: on the grid they came on or another, decided, calibrated and scored."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from custom.anatomy import table
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.files import write_file
from custom.metrics.case_scores import MEASURES, score_labels
from custom.metrics.overlap import dice
from custom.near.field_checkpoint import load_checkpoint
from custom.near.heart_checkpoint import load_heart_checkpoint
from tests.bundles.conftest import Bundle
from tests.bundles.unified_helpers import calibrate, evaluate, infer, train
from tests.folder_entries import entries

CASES = ["phantom_000", "phantom_001", "phantom_002"]
ORIENTATIONS = {"phantom_000": "LAS", "phantom_001": "SPR", "phantom_002": "IRP"}
OBLIQUE = np.array([[0.98, -0.2, 0.05, 11.0], [0.21, 0.97, -0.04, -23.0], [0.03, 0.1, 0.99, 37.0], [0, 0, 0, 1]])
LARGE = [table()[name].index for name in ("LA", "LV", "RA", "RV")]


def opened(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return np.asarray(image.dataobj), np.asarray(image.affine)


@pytest.fixture(scope="module")
def turned(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each label map in an orientation of its own, on an oblique and sheared grid, every second slice left out."""
    folder = tmp_path_factory.mktemp("turned")
    for name, codes in ORIENTATIONS.items():
        labels, affine = opened(bundle.labels / f"{name}.nii.gz")
        labels, affine = labels[:, :, ::2], affine @ np.diag([1.0, 1.0, 2.0, 1.0])
        there = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
        other = OBLIQUE @ affine @ inv_ornt_aff(there, labels.shape)
        write_label_map(folder / f"{name}.nii.gz", apply_orientation(labels, there), other)
    return folder


@pytest.fixture(scope="module")
def hearts(turned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a calibrated run with maps, probabilities and surfaces; not to be written to."""
    output_dir = tmp_path_factory.mktemp("hearts")
    train(turned, output_dir)
    calibrate(turned, output_dir)
    infer(output_dir, save_probability=True, save_meshes=True)
    return output_dir


def test_a_map_has_the_grid_of_its_label_map_and_its_chambers(turned: Path, hearts: Path) -> None:
    shapes = set()
    for name in CASES:
        labels, affine = opened(turned / f"{name}.nii.gz")
        drawn, found = opened(hearts / "maps" / f"{name}.nii.gz")
        assert (drawn.shape, drawn.dtype) == (labels.shape, np.uint8)
        assert np.allclose(found, affine, atol=1e-5, rtol=0)
        assert np.mean([dice(drawn == index, labels == index) for index in LARGE]) > 0.7
        shapes.add(labels.shape)
    assert len(shapes) == 2


def test_the_map_is_what_the_probabilities_and_the_thresholds_decide_by_priority(hearts: Path) -> None:
    thresholds = load_heart_checkpoint(hearts / "heart" / "best.pt")["thresholds"]
    for name in CASES:
        drawn, _ = opened(hearts / "maps" / f"{name}.nii.gz")
        wanted, near = np.zeros(drawn.shape, np.uint8), np.zeros(drawn.shape, bool)
        for structure in reversed(table().by_rank):
            path = hearts / "maps" / structure.name / "probability" / f"{name}.nii.gz"
            probability, _ = opened(path)
            assert probability.dtype == np.float32 and probability.min() >= 0 and probability.max() <= 1
            wanted[probability >= thresholds[structure.name]] = structure.index
            near |= np.abs(probability - thresholds[structure.name]) <= 0.005  # rounded to two decimals
        assert np.array_equal(drawn[~near], wanted[~near])
        assert near.mean() < 0.05


def test_calibration_keeps_the_field_and_adds_a_threshold_for_every_structure(
    turned: Path, hearts: Path, tmp_path: Path
) -> None:
    thresholds = load_heart_checkpoint(hearts / "heart" / "best.pt")["thresholds"]
    assert set(thresholds) == set(table().names)
    assert all(0.2 <= value <= 0.8 for value in thresholds.values()) and len(set(thresholds.values())) > 1
    copy = tmp_path / "heart" / "best.pt"
    write_file(copy, (hearts / "heart" / "best.pt").read_bytes())
    before = load_checkpoint(copy)
    calibrate(turned, tmp_path)
    after = load_checkpoint(copy)
    assert after["thresholds"] == thresholds
    assert set(after) == set(before)
    assert all(bool((after["model"][key] == before["model"][key]).all()) for key in before["model"])


def test_calibrated_maps_are_no_worse_than_those_decided_at_one_half(
    turned: Path, hearts: Path, tmp_path: Path
) -> None:
    infer(hearts, thresholds=dict.fromkeys(table().names, 0.5), maps_dir=tmp_path)
    means = []
    for folder in (hearts / "maps", tmp_path):
        pairs = [(opened(folder / f"{name}.nii.gz")[0], opened(turned / f"{name}.nii.gz")[0]) for name in CASES]
        means.append(np.mean([dice(a == s.index, b == s.index) for a, b in pairs for s in table()]))
    assert means[0] > means[1] - 0.01


def test_calibration_wants_the_label_maps_trained_on(bundle: Bundle, hearts: Path, tmp_path: Path) -> None:
    before = (hearts / "heart" / "best.pt").read_bytes()
    with pytest.raises(InputError, match="wanted that of the label map trained on"):
        calibrate(bundle.labels, hearts)
    assert (hearts / "heart" / "best.pt").read_bytes() == before


def test_surfaces_lie_around_their_structure_in_the_world(turned: Path, hearts: Path) -> None:
    for name in CASES:
        drawn, affine = opened(hearts / "maps" / f"{name}.nii.gz")
        there = {path.stem for path in (hearts / "maps" / "meshes" / name).glob("*.ply")}
        assert there == {structure.name for structure in table() if (drawn == structure.index).any()}
        for index in LARGE:
            vertices = vertices_of(hearts / "maps" / "meshes" / name / f"{table()[index].name}.ply")
            voxels = nib.affines.apply_affine(affine, np.argwhere(drawn == index))
            edge = np.linalg.norm(affine[:3, :3], axis=0).max()
            assert (np.abs(vertices.min(axis=0) - voxels.min(axis=0)) < edge).all()
            assert (np.abs(vertices.max(axis=0) - voxels.max(axis=0)) < edge).all()


def vertices_of(path: Path) -> np.ndarray:
    header, body = path.read_bytes().split(b"end_header\n", 1)
    count = int(header.split(b"element vertex ")[1].split()[0])
    vertex = np.dtype([("at", "<f4", 3), ("color", "u1", 3)])
    return np.frombuffer(body[: count * vertex.itemsize], vertex)["at"].astype(np.float64)


def test_a_finer_grid_and_another_images_grid_show_the_same_heart(turned: Path, hearts: Path, tmp_path: Path) -> None:
    case = CASES[1]
    infer(hearts, spacing_mm=2.0, maps_dir=tmp_path / "fine", only_cases=[case])
    image = turned / f"{CASES[0]}.nii.gz"
    straight = np.diag([3.0, 2.5, 2.0, 1.0])
    native, grid = opened(hearts / "maps" / f"{case}.nii.gz")
    middle = nib.affines.apply_affine(grid, (np.array(native.shape) - 1) / 2)
    straight[:3, 3] = middle - [3 * 35, 2.5 * 40, 2 * 50]
    write_label_map(tmp_path / "grid.nii.gz", np.zeros((71, 81, 101), np.uint8), straight)
    infer(hearts, grid_from=tmp_path / "grid.nii.gz", maps_dir=tmp_path / "other", only_cases=case)
    assert image.is_file()
    for folder in ("fine", "other"):
        drawn, affine = opened(tmp_path / folder / f"{case}.nii.gz")
        assert (folder == "fine") == bool(np.allclose(nib.affines.voxel_sizes(affine), 2.0, atol=1e-4))
        for index in LARGE:
            volumes = [abs(np.linalg.det(a[:3, :3])) * (m == index).sum() for m, a in ((drawn, affine), (native, grid))]
            assert volumes[0] == pytest.approx(volumes[1], rel=0.12)
            centres = [
                nib.affines.apply_affine(a, np.argwhere(m == index).mean(axis=0))
                for m, a in ((drawn, affine), (native, grid))
            ]
            assert np.linalg.norm(centres[0] - centres[1]) < 1.0
    assert opened(tmp_path / "other" / f"{case}.nii.gz")[0].shape == (71, 81, 101)


def test_from_coarse_to_fine_the_same_labels_come_out_as_from_asking_everywhere(hearts: Path, tmp_path: Path) -> None:
    infer(hearts, stride=1, maps_dir=tmp_path)
    for name in CASES:
        everywhere, fast = (opened(folder / f"{name}.nii.gz")[0] for folder in (tmp_path, hearts / "maps"))
        assert (everywhere == fast).mean() > 0.9999


def test_the_fallback_to_the_best_fills_and_removes_nothing(hearts: Path, tmp_path: Path) -> None:
    high: dict[str, Any] = {"thresholds": dict.fromkeys(table().names, 0.9)}
    for fallback in ("background", "best"):
        infer(hearts, fallback=fallback, maps_dir=tmp_path / fallback, **high)
    for name in CASES:
        plain, filled = (opened(tmp_path / which / f"{name}.nii.gz")[0] for which in ("background", "best"))
        assert np.array_equal(plain[plain > 0], filled[plain > 0])
        assert (filled > 0).sum() > 1.05 * (plain > 0).sum()


def test_surfaces_as_stl_and_only_the_cases_asked_for(hearts: Path, tmp_path: Path) -> None:
    infer(hearts, save_meshes=True, mesh_format="stl", only_cases=["phantom_002"], maps_dir=tmp_path)
    assert [path.name for path in sorted(entries(tmp_path.iterdir()))] == ["meshes", "phantom_002.nii.gz"]
    assert (tmp_path / "meshes" / "phantom_002" / "LV.stl").stat().st_size > 84


def test_evaluation_writes_what_scoring_says_of_the_maps(turned: Path, hearts: Path, tmp_path: Path) -> None:
    workflow = evaluate(turned, hearts, maps_dir=tmp_path)
    with open(tmp_path / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * len(table())
    for name in CASES:
        (drawn, affine), (labels, _) = opened(tmp_path / f"{name}.nii.gz"), opened(turned / f"{name}.nii.gz")
        i, j, k = (float(size) for size in nib.affines.voxel_sizes(affine))
        for wanted in score_labels(name, drawn, labels, (i, j, k), table(), 1.0):
            (row,) = [one for one in rows if (one["case"], one["structure"]) == (name, wanted.structure)]
            assert {key: float(row[key]) for key in MEASURES} == pytest.approx(
                {key: float(asdict(wanted)[key]) for key in MEASURES}, rel=1e-4
            )
    assert workflow.evaluator.state.metrics["LV_dice"] > 0.7


def test_a_case_without_a_reference_ends_the_evaluation(turned: Path, hearts: Path, tmp_path: Path) -> None:
    (tmp_path / "references").mkdir()
    for name in CASES[:2]:
        (tmp_path / "references" / f"{name}.nii.gz").symlink_to(turned / f"{name}.nii.gz")
    with pytest.raises(InputError, match="no label map of case phantom_002"):
        evaluate(tmp_path / "references", hearts, maps_dir=tmp_path / "maps")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"thresholds": {"PV": 1.5}}, "threshold of PV"),
        ({"fallback": "any"}, "--fallback"),
        ({"mesh_format": "obj"}, "--mesh_format"),
        ({"only_cases": ["phantom_007"]}, "no code for phantom_007"),
        ({"label_table": "totalsegmentator_heart"}, "--label_table public_cardiac_ct"),
    ],
)
def test_what_cannot_be_drawn_is_refused(hearts: Path, tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        infer(hearts, maps_dir=tmp_path, **settings)
