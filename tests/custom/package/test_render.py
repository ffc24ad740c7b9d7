"""From a package to files: the bytes that the bundle writes, where they are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.package import load
from custom.package.pack import AMP, STRIDE
from custom.package.render import run_render
from tests.bundles.unified_helpers import BUNDLE, infer
from tests.custom.package.package_helpers import CASES, FRAMES
from tests.folder_entries import entries


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(entries(folder.rglob("*")))
        if path.is_file()
    }


@pytest.mark.parametrize("settings", [{}, {"spacing_mm": 1.1}])
def test_all_cases_are_the_files_that_the_bundle_writes(
    settings: dict[str, Any], run: Path, packed: Path, tmp_path: Path
) -> None:
    infer(run, maps_dir=tmp_path / "bundle", amp=True, save_probability=True, save_meshes=True, **settings)
    run_render(packed, "all", tmp_path / "package", meshes=True, **settings)
    run_render(packed, "all", tmp_path / "package", form="probability", **settings)
    wanted, found = files_in(tmp_path / "bundle"), files_in(tmp_path / "package")
    assert len([name for name in wanted if name.endswith(".ply")]) > 20
    assert set(found) == set(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []


def test_the_bundle_draws_with_the_settings_that_a_package_notes() -> None:
    config = json.loads((BUNDLE / "configs" / "inference.json").read_text())
    assert (config["stride"], config["amp"], config["fallback"]) == (STRIDE, AMP, "background")


def test_one_case_goes_to_the_file_that_is_named(packed: Path, tmp_path: Path) -> None:
    rendered = run_render(packed, "beyond", tmp_path / "deep" / "x.nii.gz")
    image = nib.load(tmp_path / "deep" / "x.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), load(packed).render("beyond").labels)
    assert np.allclose(image.affine, FRAMES["beyond"].affine, atol=1e-5)
    assert rendered.cases == ("beyond",) and "1 case on the label map's own grid" in rendered.text
    assert list(files_in(tmp_path)) == ["deep/x.nii.gz"]


def test_meshes_lie_beside_the_file_that_is_named(packed: Path, tmp_path: Path) -> None:
    run_render(packed, "007", tmp_path / "x.nii", 2, meshes=True)
    there = {int(value) for value in np.unique(np.asarray(nib.load(tmp_path / "x.nii").dataobj))} - {0}
    names = {PUBLIC_CARDIAC_CT[index].name for index in there}
    assert set(files_in(tmp_path)) == {"x.nii", *(f"meshes/007/{name}.ply" for name in names)}


def test_one_case_or_all_go_to_a_folder(packed: Path, tmp_path: Path) -> None:
    run_render(packed, "007", tmp_path / "one")
    assert list(files_in(tmp_path / "one")) == ["007.nii.gz"]
    assert "4 cases on a grid of 3 mm" in run_render(packed, "all", tmp_path / "v1.2", 3).text
    assert set(files_in(tmp_path / "v1.2")) == {f"{name}.nii.gz" for name in CASES}
    run_render(packed, "007", tmp_path / "v1.2")


def test_one_file_that_was_edited_does_not_keep_the_others_from_being_drawn(packed: Path, tmp_path: Path) -> None:
    run_render(packed, "all", tmp_path)
    (tmp_path / "beyond.nii.gz").write_bytes(b"by hand")
    (tmp_path / "patient_a.nii.gz").unlink()
    drawn = run_render(packed, "all", tmp_path)
    assert (tmp_path / "patient_a.nii.gz").is_file() and "beyond" not in drawn.cases
    assert len(drawn.faults) == 1 and "beyond.nii.gz: found a file that was changed" in drawn.faults[0]
    assert (tmp_path / "beyond.nii.gz").read_bytes() == b"by hand"


@pytest.mark.parametrize(
    ("case", "output", "form", "said"),
    [
        ("all", "x.nii.gz", "label", "--output: found the file .* for all cases; wanted a folder"),
        ("007", "x.nii", "probability", "--output: found the file .* for a volume for every structure"),
        ("007", "x.nrrd", "label", "--output: found the suffix '.nrrd'; wanted a name that ends in .nii.gz or .nii"),
        ("007", "x.gz", "label", "--output: found the suffix '.gz'"),
        ("007", "x", "mesh", "--format: found 'mesh'; wanted one of label, probability"),
        ("070", "x", "label", "--case: found '070'; wanted .* Did you mean 007"),
        ("007", "file/x.nii", "label", "found a place that cannot be written"),
        ("007", "file", "label", "found a place that cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(
    case: str, output: str, form: str, said: str, packed: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=said):
        run_render(packed, case, tmp_path / output, form=form)
    assert list(files_in(tmp_path)) == ["file"]
