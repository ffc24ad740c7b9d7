"""What may be wrong with label maps, through the true configs: one line that names the file, or a run that bears it."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from custom.anatomy import table
from custom.data.case_list import find_cases
from custom.phantoms.write_cohort import make_cohort
from tests.bundles.refusal_helpers import evaluate, infer, refusal, train

LA = table()["LA"].index
LEARNING: dict[str, Any] = {"max_epochs": 60, "bias_milestones": [30, 50], "val_interval": 30}
NAMES = ["phantom_000", "phantom_001"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, cases=2, size=32)
    return folder


@pytest.fixture
def labels(cohort: Path, tmp_path: Path) -> Path:
    """A copy of the label maps, to be spoilt."""
    return Path(shutil.copytree(cohort / "labels", tmp_path / "in"))


def opened(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return np.asarray(image.dataobj), np.asarray(image.affine)


def voxels(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    return opened(folder / "phantom_000.nii.gz")


def save(folder: Path, array: np.ndarray, affine: np.ndarray | None = None, name: str = "bad.nii.gz") -> None:
    nib.save(
        nib.Nifti1Image(array, np.diag([-2.0, 3, 5, 1]) if affine is None else affine, dtype=array.dtype), folder / name
    )


def with_affine(folder: Path, entry: tuple[int, int], value: float) -> None:
    """A label map with one entry of its affine spoilt; nibabel itself would not write some of them."""
    array, affine = voxels(folder)
    content = bytearray(nib.Nifti1Image(array, affine).to_bytes())
    content[252:256] = struct.pack("<hh", 0, 1)  # qform_code, sform_code
    offset = 280 + 16 * entry[0] + 4 * entry[1]  # srow_x and those behind it
    content[offset : offset + 4] = struct.pack("<f", value)
    (folder / "bad.nii.gz").write_bytes(gzip.compress(bytes(content)))


def cut(folder: Path, share: float) -> None:
    content = (folder / "phantom_000.nii.gz").read_bytes()
    (folder / "bad.nii.gz").write_bytes(content[: int(len(content) * share)])


def colours(folder: Path) -> None:
    save(folder, np.zeros((5, 6, 7), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])))


FAULTS: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "no gzip": (
        lambda at: (at / "bad.nii.gz").write_bytes(b"x"),
        "cannot be opened (",
        "a NIfTI file. Export it again",
    ),
    "no NIfTI": (lambda at: (at / "bad.nii").write_bytes(b"x" * 999), "cannot be opened (", "a NIfTI file. Export it"),
    "empty file": (lambda at: (at / "bad.nii.gz").write_bytes(b""), "Empty file", "a NIfTI file. Export it again"),
    "cut in the voxels": (lambda at: cut(at, 0.7), "voxels that cannot be read (", "a complete file. Copy or export"),
    "cut in the header": (lambda at: cut(at, 0.01), "cannot be opened (", "a NIfTI file. Export it again"),
    "2-D": (lambda at: save(at, voxels(at)[0][:, :, 5]), "2 axes (32, 32)", "exactly 3 axes (i, j, k). Save one 3-D"),
    "4-D": (lambda at: save(at, np.stack([voxels(at)[0]] * 2, -1)), "4 axes (32, 32, 32, 2)", "exactly 3 axes"),
    "halves": (lambda at: save(at, voxels(at)[0] / 2), "no whole number, such as 0.5", "labels. Give label maps, not"),
    "NaN": (lambda at: save(at, np.full((5, 7, 9), np.nan)), "315 voxels that are NaN", "a label at every voxel. Set"),
    "unknown": (lambda at: save(at, np.full((5, 7, 9), 13, np.uint8)), "the label values 13", "0 (background) or an"),
    "negative": (lambda at: save(at, np.full((5, 7, 9), -2, np.int16)), "the label values -2", "0 (background) or an"),
    "huge": (
        lambda at: save(at, np.full((5, 7, 9), 2**60, np.uint64)),
        "the label values 1152921504606846976",
        "0 (ba",
    ),
    "colours": (colours, "voxels of type [('R'", "one whole number a voxel. Save the labels as unsigned"),
    "complex": (lambda at: save(at, np.ones((5, 7, 9), np.complex64)), "type complex64", "one whole number a voxel"),
    "NaN affine": (lambda at: with_affine(at, (1, 3), float("nan")), "an affine with NaN", "a finite one. Write the"),
    "flat affine": (lambda at: with_affine(at, (2, 2), 0.0), "a singular affine (voxel edges 4.5, 4.5, 0 mm)", "three"),
    "link to nowhere": (lambda at: (at / "bad.nii.gz").symlink_to("/nowhere"), "no such file", "a label map. Check"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_label_map_is_refused_by_name(fault: str, labels: Path, tmp_path: Path) -> None:
    spoil, found, wanted = FAULTS[fault]
    spoil(labels)
    message = refusal(train, labels, tmp_path / "out")
    assert re.search(
        rf"{labels}/bad\.nii(\.gz)?: found [^;]*{re.escape(found)}[^;]*; wanted {re.escape(wanted)}", message
    )
    assert not list((tmp_path / "out").rglob("*.pt*"))


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user whom permissions bind."""
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)


def test_what_may_not_be_read_is_refused_by_name(cohort: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, case = Path(name), Path(name) / "phantom_000.nii.gz"
        folder.chmod(0o755)
        shutil.copy(cohort / "labels" / case.name, case)
        case.chmod(0)
        with unprivileged():
            message = refusal(find_cases, folder)
        assert f"{case}: found no permission to read it; wanted a readable file. Check who may read it." in message
        folder.chmod(0)
        with unprivileged():
            assert "found no permission to read it" in refusal(find_cases, folder)
            assert "found no permission to read it" in refusal(find_cases, case)
        folder.chmod(0o755)


def test_no_case_is_refused_with_what_is_there_instead(tmp_path: Path) -> None:
    (tmp_path / "in" / "folder.nii.gz").mkdir(parents=True)
    (tmp_path / "in" / "notes.txt").write_text("")
    message = refusal(train, tmp_path / "in", tmp_path / "out")
    assert message.startswith(f"{tmp_path}/in: found no *.nii or *.nii.gz in it or in its sub-folder labels, among 1 ")
    assert "found no such file or folder" in refusal(train, tmp_path / "nowhere", tmp_path / "out")
    assert "found the suffix '.txt'" in refusal(train, tmp_path / "in" / "notes.txt", tmp_path / "out")


def test_two_cases_of_one_name_are_refused_with_both_paths(labels: Path, tmp_path: Path) -> None:
    (labels / "phantom_001.nii").write_bytes(gzip.decompress((labels / "phantom_001.nii.gz").read_bytes()))
    message = refusal(train, labels, tmp_path / "out")
    assert f"'phantom_001': {labels}/phantom_001.nii and {labels}/phantom_001.nii.gz" in message


@pytest.mark.parametrize("content", ["{", "[]", '{"test": [{"label": "a.nii"}]}', '[{"image": "a.nii"}]', "\0"])
def test_a_data_list_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(content)
    message = refusal(train, tmp_path / "list.json", tmp_path / "out")
    assert message.startswith(f"{tmp_path}/list.json: found ")
    assert 'wanted {"training": [{"label": "path"}, ...]}' in message


def masks(output: Path) -> dict[str, np.ndarray]:
    return {path.name: opened(path)[0] for path in sorted((output / "masks" / "LA").glob("*.nii.gz"))}


@pytest.mark.parametrize("which", ["a file", "a data list", "a folder with labels in it"])
def test_a_file_a_data_list_and_a_folder_of_labels_are_data_sets(which: str, cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps({"training": [{"label": f"{cohort}/labels/phantom_001.nii.gz"}]}))
    given, names = {
        "a file": (cohort / "labels" / "phantom_000.nii.gz", NAMES[:1]),
        "a data list": (tmp_path / "list.json", NAMES[1:]),
        "a folder with labels in it": (cohort, NAMES),
    }[which]
    train(given, tmp_path / "out")
    infer(tmp_path / "out")
    assert list(masks(tmp_path / "out")) == [f"{name}.nii.gz" for name in names]


def test_a_structure_in_no_case_is_refused_and_in_some_is_named_in_the_log(
    labels: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def without(name: str) -> None:
        array, affine = opened(labels / f"{name}.nii.gz")
        save(labels, np.where(array == LA, 0, array).astype(np.uint8), affine, f"{name}.nii.gz")

    without(NAMES[1])
    train(labels, tmp_path / "out", **LEARNING)
    assert "phantom_001: no LA in it; skipped, its mask will be empty" in caplog.messages
    infer(tmp_path / "out")
    assert {name: mask.any() for name, mask in masks(tmp_path / "out").items()} == {
        "phantom_000.nii.gz": True,
        "phantom_001.nii.gz": False,
    }
    without(NAMES[0])
    message = refusal(train, labels, tmp_path / "none")
    assert message.startswith(
        f"{labels}: found no voxel of LA in any of 2 cases; wanted at least one case that holds it"
    )


def test_cases_of_different_grids_and_names_of_all_kinds_get_masks_on_their_own_grids(
    labels: Path, tmp_path: Path
) -> None:
    array, affine = voxels(labels)
    folder = labels.rename(tmp_path / "Größe 心 & (1)")
    sheared = affine @ np.array([[1, 0.2, 0, 3], [0, -1, 0.1, 0], [0, 0, 1, 5], [0, 0, 0, 1.0]])
    (folder / "phantom_001.nii.gz").rename(folder / "ID.img.nii.gz")
    save(folder, array[3:, 2:, ::2], affine @ np.diag([1, 1, 2, 1.0]), "coarse slices.nii")
    save(folder, (array * 2).astype(np.int16), sheared, "scaled.nii")
    content = bytearray((folder / "scaled.nii").read_bytes())
    content[112:120] = struct.pack("<ff", 0.5, 0)  # scl_slope, scl_inter
    (folder / "scaled.nii").write_bytes(content)
    train(folder, tmp_path / "aus gabe", **LEARNING)
    infer(tmp_path / "aus gabe")
    written = masks(tmp_path / "aus gabe")
    shapes = {name: mask.shape for name, mask in written.items()}
    cube = (32, 32, 32)
    names = ["ID.img.nii.gz", "coarse slices.nii.gz", "phantom_000.nii.gz", "scaled.nii.gz"]
    assert shapes == dict(zip(names, [cube, (29, 30, 16), cube, cube], strict=True))
    assert all(mask.any() and not mask.all() for mask in written.values())
    found = opened(tmp_path / "aus gabe" / "masks" / "LA" / "scaled.nii.gz")[1]
    assert np.allclose(found, sheared, atol=1e-4)


def shell() -> np.ndarray:
    array = np.full((11, 13, 17), LA, np.uint8)
    array[1:-1, 1:-1, 1:-1] = 0
    return array


def voxel(at: tuple[int, int, int]) -> np.ndarray:
    array = np.zeros((11, 13, 17), np.uint8)
    array[at] = LA
    return array


SHAPES = {
    "on all borders": shell(),
    "one voxel": voxel((3, 4, 5)),
    "one voxel in the corner": voxel((0, 12, 16)),
    "one slice": np.pad(np.full((5, 7, 1), LA, np.uint8), ((2, 2), (3, 3), (0, 0))),
    "one voxel alone": np.full((1, 1, 1), LA, np.uint8),
}


@pytest.mark.parametrize("margin", [0, 10])
@pytest.mark.parametrize("shape", SHAPES)
def test_extreme_shapes_get_a_mask_of_their_grid(shape: str, margin: int, labels: Path, tmp_path: Path) -> None:
    save(labels, SHAPES[shape], name="extreme.nii.gz")
    train(labels, tmp_path / "out", margin=margin)
    infer(tmp_path / "out")
    assert masks(tmp_path / "out")["extreme.nii.gz"].shape == SHAPES[shape].shape
    evaluate(tmp_path / "out", labels)
    assert (tmp_path / "out" / "masks" / "LA" / "scores.csv").is_file()


def test_a_structure_that_fills_everything_comes_back_full(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in", np.full((11, 13, 17), LA, np.uint8), name="full.nii.gz")
    train(tmp_path / "in", tmp_path / "out", **LEARNING)
    infer(tmp_path / "out")
    assert masks(tmp_path / "out")["full.nii.gz"].all()
