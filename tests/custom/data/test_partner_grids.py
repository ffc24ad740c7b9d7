"""A second file of a case: taken in any voxel order, refused on another grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.completion.score_handler import CompletionScoreHandler
from custom.data.label_maps import read_label_map, write_label_map
from custom.data.partner_grids import on_grid_of
from custom.data.scans import read_scan
from custom.errors import InputError
from custom.fusion.load_masks import find_inputs, load_masks
from custom.fusion.score_handler import LabelMapScoreHandler
from custom.fusion.stored_probabilities import Probabilities
from custom.near.output_grid import OutputGrids
from custom.near.save_masks import FromLabeld, LoadReferenced
from custom.near.threshold_calibration import ThresholdCalibrator
from custom.report.report_case import ReportCase
from custom.run.completion_measures import measure_case as measure_completion
from custom.run.repair_measures import measure_case
from custom.run.score_labels import score_case
from custom.space import Frame

SHAPE = (11, 13, 17)
AFFINE = np.array([[1.5, 0.1, 0, -20], [-0.1, 1.25, 0.2, 7], [0, -0.15, 2.0, 31], [0, 0, 0, 1]])
ORDERS = ("RAS", "LPS", "SLA", "PIR", "IPL", "ASR")


def labels(seed: int = 0) -> np.ndarray:
    found = np.zeros(SHAPE, np.uint8)
    found[2:7, 3:9, 4:12], found[7:10, 3 + seed : 10, 5:13] = 2, 3
    found[tuple(np.random.default_rng(seed).integers(0, size, 60) for size in SHAPE)] = 9
    return found


def write(path: Path, array: np.ndarray, order: str = "RAS", affine: np.ndarray = AFFINE) -> Path:
    """A volume of the same world in another voxel order."""
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(order))
    there = apply_orientation(array, turn)
    write_label_map(path, np.ascontiguousarray(there), affine @ inv_ornt_aff(turn, array.shape), array.dtype)
    return path


@pytest.mark.parametrize("order", ORDERS)
def test_a_partner_in_another_voxel_order_is_the_same_to_the_bit(order: str, tmp_path: Path) -> None:
    first = read_label_map(write(tmp_path / "first.nii.gz", labels()))
    other = on_grid_of(read_label_map(write(tmp_path / "other.nii.gz", labels(1), order)), first)
    assert np.array_equal(other.labels, labels(1))
    assert np.array_equal(other.affine, first.affine) and other.spacing_mm == first.spacing_mm


def score(tmp_path: Path, order: str, prediction: str = "RAS") -> object:
    table = PUBLIC_CARDIAC_CT
    found = write(tmp_path / f"p{prediction}.nii.gz", labels(), prediction)
    return score_case("a", found, write(tmp_path / f"{order}.nii.gz", labels(1), order), table, table, 1.0)


def measured(tmp_path: Path, order: str) -> object:
    before, after = write(tmp_path / "a.nii.gz", labels()), write(tmp_path / "b.nii.gz", labels(2))
    reference = str(write(tmp_path / f"{order}.nii.gz", labels(1), order))
    stages = {"fused": str(after), "unified": str(after)}
    return measure_case(
        "a", str(before), str(after), reference, stages, PUBLIC_CARDIAC_CT, tmp_path / f"{order}.json", "k"
    )


def reported(tmp_path: Path, order: str) -> object:
    before, after = write(tmp_path / "a.nii.gz", labels()), write(tmp_path / f"{order}_b.nii.gz", labels(2), order)
    case = ReportCase("a", before, after, truth=write(tmp_path / f"{order}.nii.gz", labels(1), order))
    truth = case.read_truth(PUBLIC_CARDIAC_CT)
    assert truth is not None
    return [array.tolist() for array in (*case.read(PUBLIC_CARDIAC_CT)[:2], truth)]


def scanned(tmp_path: Path, order: str) -> object:
    values = np.random.default_rng(5).normal(0, 300, SHAPE).astype(np.float32)
    label = write(tmp_path / "a-label.nii.gz", labels())
    image = write(tmp_path / order / "a-image.nii.gz", values, order)
    scan = read_scan(image, label, PUBLIC_CARDIAC_CT)
    return scan.image_hu.tolist(), scan.labels.tolist(), scan.affine.tolist()


def fused(tmp_path: Path, order: str) -> object:
    write(tmp_path / "labels" / "a.nii.gz", labels())
    masks = tmp_path / order / "masks"
    write(masks / "PV" / "a.nii.gz", (labels(1) == 9).astype(np.uint8), order)
    rough = np.random.default_rng(7).random(SHAPE, np.float32)
    write(masks / "PV" / "probability" / "a.nii.gz", rough, order)
    (inputs,) = find_inputs(tmp_path / "labels", masks)
    channels, grid = load_masks(inputs, PUBLIC_CARDIAC_CT)
    probability = Probabilities(masks, grids={"a": inputs.first})("a")
    return channels.tolist(), grid.affine.tolist(), {name: values.tolist() for name, values in probability.items()}


class Written:
    """A run whose label maps lie in a folder."""

    world_size, done = 1, frozenset({"a"})

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def repaired(self, case: str) -> Path:
        return self.folder / f"{case}.nii.gz"

    def blame(self, case: str, error: InputError) -> None:
        raise error


def scored_by_engine(tmp_path: Path, order: str) -> object:
    write(tmp_path / "maps" / "a.nii.gz", labels())
    write(tmp_path / order / "a.nii.gz", labels(1), order)
    scores = LabelMapScoreHandler(tmp_path, Written(tmp_path / "maps"), tmp_path / order)  # type: ignore[arg-type]
    return [asdict(row) for row in scores._rows_of("a")]


def referenced(tmp_path: Path, order: str) -> object:
    """The reference of a mask, and the mask that is taken from a label map."""
    write(tmp_path / order / "a.nii.gz", labels(1), order)
    mask = MetaTensor(torch.zeros(1, *SHAPE), affine=torch.from_numpy(AFFINE))
    item = {"pred": mask, "case": "a"}
    true = LoadReferenced("pred", tmp_path / order, "Coronary")(item)["label"]
    taken = FromLabeld("pred", "label", tmp_path / order, "Coronary")(item)["pred"]
    assert true.sum() > 20 and taken.sum() > 0
    return true.tolist(), taken.tolist()


def calibrated(tmp_path: Path, order: str) -> object:
    write(tmp_path / order / "a.nii.gz", labels(1), order)
    frame = Frame(AFFINE, SHAPE, (0, 0, 0), (10, 12, 16))
    return ThresholdCalibrator(tmp_path / "best.pt", OutputGrids([frame]), tmp_path / order).labels("a", 0).tolist()


def completed(tmp_path: Path, order: str) -> object:
    found = write(tmp_path / "maps" / "a.nii.gz", labels())
    sure = write(tmp_path / "sure.nii.gz", np.full(SHAPE, 0.5, np.float32))
    reference = write(tmp_path / order / "a.nii.gz", labels(1), order)
    sources = {structure.name: "given" for structure in PUBLIC_CARDIAC_CT}
    record = tmp_path / f"{order}.json"
    rows = measure_completion("a", found, sure, sources, reference, PUBLIC_CARDIAC_CT, 1.0, record, "k")
    evaluated = CompletionScoreHandler(tmp_path / "maps", tmp_path / order)._rows_of("a")
    return rows, evaluated


READERS: dict[str, Callable[[Path, str], object]] = {
    "score": score,
    "repair --reference": measured,
    "report": reported,
    "slices": scanned,
    "near_fusion": fused,
    "evaluate": scored_by_engine,
    "masks of one structure": referenced,
    "calibrate": calibrated,
    "complete --reference": completed,
}


@pytest.mark.parametrize("order", ORDERS[1:])
@pytest.mark.parametrize("name", READERS)
def test_a_partners_voxel_order_changes_no_bit_of_the_result(name: str, order: str, tmp_path: Path) -> None:
    assert repr(READERS[name](tmp_path, order)) == repr(READERS[name](tmp_path, "RAS"))


@pytest.mark.parametrize("order", ORDERS[1:])
def test_the_order_of_what_is_scored_changes_no_bit_either(order: str, tmp_path: Path) -> None:
    assert repr(score(tmp_path, "RAS", order)) == repr(score(tmp_path, "RAS"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (np.array([[1, 0, 0, 0.2], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "other places in the world"),
        (np.diag([1, 1, 1.1, 1]), "other axes or of another size"),
    ],
)
def test_really_different_grids_are_refused(change: np.ndarray, message: str, tmp_path: Path) -> None:
    first = read_label_map(write(tmp_path / "first.nii.gz", labels()))
    other = read_label_map(write(tmp_path / "other.nii.gz", labels(), affine=AFFINE @ change))
    with pytest.raises(InputError, match=f"other.nii.gz: found voxels a.*{message}"):
        on_grid_of(other, first)
    turned = read_label_map(write(tmp_path / "turned.nii.gz", labels(), "SLA", AFFINE @ change))
    with pytest.raises(InputError, match=r"turned.nii.gz: found a grid of .*wanted that of .*first.nii.gz"):
        on_grid_of(turned, first)
