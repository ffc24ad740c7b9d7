"""Hearts completed by the true configs: on the grid they came on, given structures kept, scored apart."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from custom.anatomy import table
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.models.vecset.evaluate_distance_grid import labels_of
from custom.phantoms.write_cohort import make_cohort
from tests.bundles.completion_helpers import evaluate, infer, train

NAMES = table().names
VESSELS = [table()[name].index for name in ("Aorta", "PA", "PV")]


def opened(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return np.asarray(image.dataobj), np.asarray(image.affine)


def scored(folder: Path) -> list[tuple[str, str]]:
    """Cases and structures in the table of what was completed."""
    with open(folder / "scores_completed.csv", encoding="utf-8") as file:
        return [(row["case"], row["structure"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def clouded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clouded")
    make_cohort(folder, cases=2, size=32)
    return folder


@pytest.fixture(scope="module")
def trained(clouded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some seconds of training: enough that chambers and great vessels are found."""
    output_dir = tmp_path_factory.mktemp("trained")
    settings = {"octaves": 4, "learning_rate": 0.005, "rotation_deg": 0, "scale_share": 0, "shift_mm": 0}
    settings |= {"val_share": 0, "hidden_counts": [0, 3], "val_interval": 150, "max_epochs": 150}
    train(clouded, output_dir, **settings)
    return output_dir


def test_hidden_vessels_come_back_and_the_rest_stays_as_it_was(clouded: Path, trained: Path, tmp_path: Path) -> None:
    evaluate(clouded, trained, hide="no_great_vessels", maps_dir=tmp_path)
    for path in sorted(clouded.glob("truth/*.nii.gz")):
        (truth, affine), (drawn, found) = opened(path), opened(tmp_path / path.name)
        assert drawn.shape == truth.shape and drawn.dtype == np.uint8
        assert np.allclose(affine, found)
        kept = ~np.isin(truth, [0, *VESSELS])
        assert (drawn[kept] == truth[kept]).all()
        assert set(np.unique(drawn[~kept])) <= {0, *VESSELS}
        source, _ = opened(tmp_path / "source" / path.name)
        assert (source == np.where(drawn == 0, 0, np.where(kept, 1, 2))).all()
    means = json.loads((tmp_path / "completion.json").read_text())
    assert set(means["completed"]) == {"Aorta", "PA", "PV", "mean"}
    assert means["present"]["mean"]["dice"] == means["present"]["mean"]["iou"] == 1
    completed = means["completed"]["mean"]
    assert 0.2 < completed["iou"] < completed["dice"]
    assert set(completed) == {"iou", "dice", "hd95_mm", "surface_dice", "scored"}
    assert scored(tmp_path) == [(f"phantom_00{case}", name) for case in (0, 1) for name in ("Aorta", "PA", "PV")]


def test_a_number_hides_as_many_by_chance_and_the_same_ones_again(clouded: Path, trained: Path, tmp_path: Path) -> None:
    hidden = []
    for again in ("one", "two"):
        evaluate(clouded, trained, hide=4, maps_dir=tmp_path / again)
        hidden.append(scored(tmp_path / again))
    assert len(hidden[0]) == 8 and hidden[0] == hidden[1]
    assert {name for case, name in hidden[0] if case == "phantom_000"} != {
        name for case, name in hidden[0] if case == "phantom_001"
    }


def test_a_whole_heart_comes_back_as_it_is(clouded: Path, trained: Path, tmp_path: Path) -> None:
    infer(clouded, trained, only_cases="phantom_001", maps_dir=tmp_path)
    (written,) = tmp_path.glob("*.nii.gz")
    assert (opened(written)[0] == opened(clouded / "truth" / "phantom_001.nii.gz")[0]).all()


def test_distances_are_in_mm_and_their_inside_is_the_label(clouded: Path, trained: Path, tmp_path: Path) -> None:
    infer(
        clouded, trained, only_cases="phantom_000", maps_dir=tmp_path, save_distances=True, keep_given=False, stride=1
    )

    distances = [opened(tmp_path / name / "distance" / "phantom_000.nii.gz")[0] for name in NAMES]
    stacked = torch.from_numpy(np.stack(distances)).flatten(1)
    labels, _ = opened(tmp_path / "phantom_000.nii.gz")
    found = labels_of(stacked).numpy().reshape(labels.shape)
    least, second = stacked.sort(dim=0).values[:2].reshape(2, *labels.shape).numpy()
    clear = (np.abs(least) > 0.011) & (second - least > 0.011)  # else a hundredth of a mm, the rounding, may decide
    assert (found == labels)[clear].all() and clear.mean() > 0.99
    assert -40 < stacked.min() < -5 and stacked.max() > 20


def test_coarse_to_fine_gives_what_every_voxel_gives(clouded: Path, trained: Path, tmp_path: Path) -> None:
    for stride in (1, 4):
        settings = {"maps_dir": tmp_path / str(stride), "stride": stride, "keep_given": False}
        infer(clouded, trained, only_cases="phantom_000", **settings)
    one, four = (opened(tmp_path / stride / "phantom_000.nii.gz")[0] for stride in ("1", "4"))
    assert (one != four).sum() <= 0.002 * (one > 0).sum()


def test_a_cloud_is_completed_on_the_grid_it_was_made_from(clouded: Path, trained: Path, tmp_path: Path) -> None:
    infer(clouded, trained, dataset_dir=clouded / "clouds", hide="LV+RV", maps_dir=tmp_path, only_cases="phantom_000")
    truth, affine = opened(clouded / "truth" / "phantom_000.nii.gz")
    drawn, found = opened(tmp_path / "phantom_000.nii.gz")
    assert drawn.shape == truth.shape and np.allclose(affine, found)
    source, _ = opened(tmp_path / "source" / "phantom_000.nii.gz")
    assert set(np.unique(drawn[source == 2])) == {3, 5}
    assert (drawn[source == 1] > 0).all()


def refusal(clouded: Path, trained: Path, **settings: Any) -> str:
    with pytest.raises(InputError) as raised:
        infer(clouded, trained, **settings)
    return str(raised.value)


def test_what_cannot_be_completed_is_refused_by_name(clouded: Path, trained: Path, tmp_path: Path) -> None:
    everything = "+".join(NAMES)
    where = {"maps_dir": tmp_path}
    assert "phantom_000.nii.gz: found no structure to complete it from" in refusal(
        clouded, trained, hide=everything, **where
    )
    assert "'no_heart'" in refusal(clouded, trained, hide="no_heart", **where)
    assert "no case phantom_9" in refusal(clouded, trained, only_cases="phantom_9", **where)
    assert "no such file" in refusal(clouded, tmp_path / "elsewhere", **where)


def test_a_structure_that_a_reference_lacks_is_not_judged(clouded: Path, trained: Path, tmp_path: Path) -> None:
    references = tmp_path / "references"
    for path in clouded.glob("truth/*.nii.gz"):
        truth, affine = opened(path)
        write_label_map(references / path.name, np.where(np.isin(truth, [3, 5]), truth, 0).astype(np.uint8), affine)
    settings = {"reference_dir": references, "maps_dir": tmp_path / "maps", "hide": "LV+PV"}
    evaluate(clouded, trained, **settings)
    means = json.loads((tmp_path / "maps" / "completion.json").read_text())
    assert (set(means["present"]), set(means["completed"])) == ({"RV", "mean"}, {"LV", "mean"})
