"""Packages of trained hearts, of fitted ones that reach beyond their volume, and of many."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from custom.anatomy import table
from custom.data.label_maps import write_label_map
from custom.export.archive_layouts import published_dependencies
from custom.metrics.overlap import dice
from custom.models.near.near_field import NearField
from custom.package import load
from custom.package.manifest import MANIFEST, read_manifest
from custom.package.pack import run_pack
from custom.package.render import run_render
from custom.phantoms.write_cohort import make_cohort
from custom.space import Frame
from custom.training.checkpoint_file import save_atomically
from tests.bundles.export_helpers import clean_python, links_to
from tests.bundles.unified_helpers import calibrate, infer, train
from tests.custom.package.package_helpers import content_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
LARGE = [table()[name].index for name in ("LA", "LV", "RA", "RV")]
FIT = ["train", "smoke", "fit"]


@pytest.fixture(autouse=True)
def repository_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hearts in ``labels``; in ``cut`` the third, of which the upper third of its box has been cut off."""
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, cases=3, size=40)
    image = nib.load(folder / "labels" / "phantom_002.nii.gz")
    labels = np.asarray(image.dataobj)
    filled = np.flatnonzero(labels.any(axis=(0, 1)))
    top = filled[0] + 2 * (filled[-1] - filled[0]) // 3
    write_label_map(folder / "cut" / "phantom_002.nii.gz", labels[:, :, :top].copy(), image.affine)
    return folder


@pytest.fixture(scope="module")
def hearts(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a trained and calibrated run."""
    output_dir = tmp_path_factory.mktemp("hearts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        train(cohort / "labels", output_dir)
        calibrate(cohort / "labels", output_dir, amp=True)
    return output_dir


def maps_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.nii.gz"))}


@pytest.mark.parametrize("spacing_mm", [None, 1.7])
def test_trained_hearts_are_drawn_as_the_bundle_draws_them(
    spacing_mm: float | None, hearts: Path, cohort: Path, tmp_path: Path
) -> None:
    run_pack(hearts, tmp_path / "model", cohort / "labels")
    settings = {} if spacing_mm is None else {"spacing_mm": spacing_mm}
    infer(hearts, maps_dir=tmp_path / "bundle", amp=True, **settings)
    run_render(tmp_path / "model", "all", tmp_path / "package", spacing_mm)
    assert len(maps_in(tmp_path / "bundle")) == 3
    assert maps_in(tmp_path / "package") == maps_in(tmp_path / "bundle")
    assert len(set(read_manifest(tmp_path / "model" / MANIFEST).thresholds.values())) > 1
    drawn, labels = (
        np.asarray(nib.load(folder / "phantom_001.nii.gz").dataobj)
        for folder in (tmp_path / "package", cohort / "labels")
    )
    assert spacing_mm or np.mean([dice(drawn == index, labels == index) for index in LARGE]) > 0.7


def test_half_precision_costs_trained_hearts_next_to_nothing(hearts: Path, tmp_path: Path) -> None:
    for name, half in (("full", False), ("half", True)):
        run_pack(hearts, tmp_path / name, half=half)
    full, half_model = load(tmp_path / "full"), load(tmp_path / "half")
    for case in full.cases:
        one, other = full.render(case).labels, half_model.render(case).labels
        assert (one == other).mean() > 0.999
        assert min(dice(one == index, other == index) for index in LARGE) > 0.99


def test_a_heart_fitted_to_a_part_is_drawn_within_its_volume_as_the_bundle_draws_it(
    hearts: Path, cohort: Path, tmp_path: Path
) -> None:
    shared = {"checkpoint": hearts / "heart" / "best.pt", "run_dir": tmp_path / "fit", "max_epochs": 20}
    train(cohort / "cut", tmp_path, FIT, **shared, val_interval=20)
    run_pack(tmp_path / "fit" / "best.pt", tmp_path / "model")
    (frame,) = read_manifest(tmp_path / "model" / MANIFEST).frames
    assert frame.high_ijk[2] >= frame.shape[2]
    for spacing_mm in (None, 1.3):
        settings = {} if spacing_mm is None else {"spacing_mm": spacing_mm}
        infer(tmp_path, checkpoint=tmp_path / "fit" / "best.pt", maps_dir=tmp_path / "bundle", amp=True, **settings)
        run_render(tmp_path / "model", "all", tmp_path / "package", spacing_mm)
        assert maps_in(tmp_path / "package") == maps_in(tmp_path / "bundle")
    assert np.asarray(nib.load(tmp_path / "package" / "phantom_002.nii.gz").dataobj).any()


def test_what_the_package_depends_on_is_enough_to_draw_a_heart_somewhere_else(hearts: Path, tmp_path: Path) -> None:
    run_pack(hearts, tmp_path / "there" / "heart_model")
    run_render(tmp_path / "there" / "heart_model", "phantom_002", tmp_path / "here.nii.gz", device="cpu")
    (tmp_path / "published").mkdir()
    published = links_to(published_dependencies(), tmp_path / "published")
    (tmp_path / "there" / "custom").symlink_to(ROOT / "custom")
    typed = ["render", "heart_model", "--case", "phantom_002", "--output", "X.nii.gz", "--device", "cpu"]
    done = clean_python(published, ["-c", "from custom.cli.main import main; main()", *typed], tmp_path / "there")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "there" / "X.nii.gz").read_bytes() == (tmp_path / "here.nii.gz").read_bytes()


MEMORY = """
import resource, sys
from custom.package import load
model = load(sys.argv[1], "cpu")
model.render(model.cases[0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for case in model.cases:
    model.render(case)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_cases_drawn(tmp_path: Path) -> None:
    """120 codes of 1 MB; the growth is of the whole process, in kB."""
    network = {"trunk_channels": [8], "latent_size": 8, "code_side": 32, "widths": [8, 8, 8, 8], "outputs": 10}
    frames = {f"case_{row}": Frame(np.eye(4), (11, 13, 17), (0, 0, 0), (10, 12, 16)) for row in range(120)}
    field = NearField(len(frames), **network)
    save_atomically(content_of(frames, field, network), tmp_path / "heart" / "best.pt")
    packed = run_pack(tmp_path, tmp_path / "model")
    assert packed.sizes["code_bytes"] >= 8 * 32**3 * 4
    del field
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "model")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20_000
    assert torch.equal(load(tmp_path / "model").field.codes.table.weight, torch.zeros(1, 8 * 32**3))
