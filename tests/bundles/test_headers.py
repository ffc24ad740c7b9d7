"""What comes back on the grid of a label map has the header of that label map, whatever that says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImaged

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_map_reader import LabelMapReader
from custom.data.label_maps import read_grid, read_label_map, write_label_map
from custom.near.output_grid import OutputGrids
from custom.near.save_heart import LabelsToGridd, SaveHeartProbabilitiesd
from custom.near.save_masks import FromLabeld, SaveGridd, ToGridd
from custom.package.pack import run_pack
from custom.package.render import run_render
from custom.rules.priority_decision import PriorityDecision
from custom.space import Frame
from custom.volumes.components import CleanComponentsd
from custom.volumes.heart_box import HeartBoxd
from custom.volumes.roi import StructureCubed
from custom.volumes.vessel_bridges import BridgeFragmentsd
from tests.bundles.fusion_helpers import fuse, write_masks
from tests.custom.header_variants import FORMS, grid_of, save_as, scaling_of
from tests.custom.package.package_helpers import save_run
from tests.custom.run.completion_run_helpers import LA as ATRIUM
from tests.custom.run.completion_run_helpers import complete, constant

LOAD = LoadImaged("label", reader=LabelMapReader(), dtype=np.uint8, ensure_channel_first=True)

AFFINE = np.array([[-1.0, 0, 0, 30], [0, 1.5, 0, -20], [0, 0, 1.25, 7], [0, 0, 0, 1]])
INDEX = {name: PUBLIC_CARDIAC_CT[name].index for name in ("LA", "PV", "LV", "Coronary")}


def heart() -> np.ndarray:
    """A left atrium with three veins, and a crumb."""
    labels = np.zeros((37, 41, 43), np.uint8)
    labels[10:27, 10:31, 10:33] = INDEX["LA"]
    for place in (np.s_[3:10, 18:22, 19:23], np.s_[27:34, 18:22, 19:23], np.s_[17:21, 31:38, 19:23]):
        labels[place] = INDEX["PV"]
    labels[1, 1, 1] = INDEX["LA"]
    return labels


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The heart repaired on a grid in mm."""
    folder = tmp_path_factory.mktemp("plain")
    write_label_map(folder / "in" / "a.nii.gz", heart(), AFFINE)
    fuse(folder / "out", dataset_dir=folder / "in")
    repaired = read_label_map(folder / "out" / "repaired" / "a.nii.gz").labels
    assert (repaired == INDEX["PV"]).sum() == 3 * 7 * 16 and not repaired[1, 1, 1]
    return repaired


@pytest.mark.parametrize("form", FORMS)
def test_a_repaired_map_has_the_header_that_came_in_and_lengths_are_mm(
    form: str, plain: np.ndarray, tmp_path: Path
) -> None:
    given = save_as(form, tmp_path / "in" / "a.nii.gz", heart(), AFFINE)
    fuse(tmp_path / "out", dataset_dir=tmp_path / "in")
    repaired = tmp_path / "out" / "repaired" / "a.nii.gz"
    assert grid_of(repaired) == grid_of(given) and scaling_of(repaired) == (1, 0)
    assert np.array_equal(read_label_map(repaired).labels, plain)
    again = tmp_path / "again"
    fuse(again, dataset_dir=tmp_path / "in")
    assert (again / "repaired" / "a.nii.gz").read_bytes() == repaired.read_bytes()


def test_masks_alone_give_their_header_too_and_may_lie_in_another_order(plain: np.ndarray, tmp_path: Path) -> None:
    given = save_as("good qform and sheared sform", tmp_path / "in" / "a.nii.gz", heart(), AFFINE)
    read = read_label_map(given)
    masks = write_masks(tmp_path / "in", tmp_path / "masks", {"PV": INDEX["PV"]})
    flip = np.diag([1.0, -1, 1, 1])
    flip[1, 3] = 40
    for name in ("LA", "PV"):
        mask = (read.labels == INDEX[name]).astype(np.uint8)
        write_label_map(masks / name / "a.nii.gz", mask, read.affine, header=read.header)
    write_label_map(masks / "PV" / "a.nii.gz", np.ascontiguousarray(mask[:, ::-1]), read.affine @ flip)
    fuse(tmp_path / "out", masks_dir=masks)
    repaired = tmp_path / "out" / "repaired" / "a.nii.gz"
    assert grid_of(repaired) == grid_of(given)
    assert np.array_equal(read_label_map(repaired).labels, plain)


def stored(frame: dict[str, Any]) -> Frame:
    """As it comes back from a checkpoint."""
    return Frame.from_dict(json.loads(json.dumps(frame)))


@pytest.mark.parametrize("form", FORMS)
def test_masks_of_stage_1_have_the_header_of_the_label_map(form: str, tmp_path: Path) -> None:
    labels = heart()
    labels[12:20, 3, 5] = INDEX["Coronary"]
    given = save_as(form, tmp_path / "in" / "a.nii.gz", labels, AFFINE)
    item = {"label": str(given), "case": "a", "index": 0}
    load = Compose([LOAD, StructureCubed("label", "Coronary", resolution=8, margin=2)])
    frame = stored(load(item)["label_frame"])
    np.testing.assert_array_equal(frame.affine, read_grid(given).affine)
    for spacing_mm in (None, 0.8):
        box = torch.ones(1, *(frame.regridded(spacing_mm) if spacing_mm else frame).unit_shape)
        out = tmp_path / str(spacing_mm)
        mask_from = "field" if spacing_mm else "label"
        Compose(
            [
                ToGridd("pred", [frame], spacing_mm),
                SaveGridd("pred", out / "probability", "float32", 2),
                FromLabeld("pred", mask_from, tmp_path / "in", "Coronary"),
                CleanComponentsd("pred", "Coronary"),
                BridgeFragmentsd("pred", "Coronary"),
                SaveGridd("pred", out),
            ]
        )({"pred": box, "case": "a", "index": 0})
        for path in (out / "a.nii.gz", out / "probability" / "a.nii.gz"):
            assert scaling_of(path) == (1, 0) and read_grid(path).shape == np.asarray(nib.load(path).dataobj).shape
            if spacing_mm is None:
                assert grid_of(path) == grid_of(given)
            else:
                header = nib.load(path).header
                assert header.get_xyzt_units()[0] == "mm" and int(header["sform_code"]) == 1
                np.testing.assert_allclose(header.get_zooms(), 0.8, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_drawn_heart_and_a_package_have_the_header_of_the_label_map(form: str, tmp_path: Path) -> None:
    labels = heart()
    labels[12:18, 14:20, 12:20] = INDEX["LV"]
    given = save_as(form, tmp_path / "in" / "a.nii.gz", labels, AFFINE)
    item = Compose([LOAD, HeartBoxd("label")])({"label": str(given), "case": "a"})
    frame = stored(item["label_frame"])
    canvases, decision = OutputGrids([frame]), PriorityDecision()
    answer = torch.zeros(11, *frame.box_shape)
    drawn = {"pred": answer, "case": "a", "index": 0}
    SaveHeartProbabilitiesd("pred", tmp_path / "maps", canvases, decision)(drawn)
    SaveGridd("pred", tmp_path / "maps")(LabelsToGridd("pred", canvases)(drawn))
    run = save_run(tmp_path / "run", frames={"a": frame})
    run_pack(run, tmp_path / "model")
    run_render(tmp_path / "model", "a", tmp_path / "x.nii.gz")
    run_render(tmp_path / "model", "a", tmp_path / "drawn", form="probability")
    probability = Path("LA") / "probability" / "a.nii.gz"
    for path in ("maps/a.nii.gz", Path("maps") / probability, "x.nii.gz", Path("drawn") / probability):
        assert grid_of(tmp_path / path) == grid_of(given), path
    run_render(tmp_path / "model", "a", tmp_path / "fine.nii.gz", 3.0)
    assert nib.load(tmp_path / "fine.nii.gz").header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(nib.load(tmp_path / "fine.nii.gz").header.get_zooms(), 3.0, rtol=1e-5)
    elsewhere = OutputGrids([frame], grid_from=given)
    assert elsewhere[0].header == read_grid(given).header


@pytest.mark.parametrize("form", FORMS)
def test_a_completed_heart_has_the_header_that_came_in_and_lengths_are_mm(form: str, tmp_path: Path) -> None:
    labels = np.zeros((11, 13, 17), np.uint8)
    labels[2:4, 3:9, 4:12] = ATRIUM
    given = save_as(form, tmp_path / "in" / "a.nii.gz", labels, np.diag([-3.0, 4, 5, 1]))
    outcome = complete(given, tmp_path / "out", constant(tmp_path / "best.pt", ["Aorta"]))
    assert outcome.faults == ()
    for folder in ("completed", "source", "confidence"):
        path = tmp_path / "out" / folder / "a.nii.gz"
        assert grid_of(path) == grid_of(given) and scaling_of(path) == (1, 0), folder
    assert set(np.unique(read_label_map(tmp_path / "out" / "completed" / "a.nii.gz").labels)) == {
        ATRIUM,
        PUBLIC_CARDIAC_CT["Aorta"].index,
    }
