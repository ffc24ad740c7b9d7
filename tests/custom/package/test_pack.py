"""From a run to a package: whole, the same bytes every time, and never over anything else."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.near.field_checkpoint import load_checkpoint
from custom.package import load, pack
from custom.package.manifest import CODES_FILE, FIELD, FILES, MANIFEST, read_manifest
from custom.package.pack import find_checkpoint, run_pack
from custom.training.checkpoint_file import save_atomically
from tests.custom.package.package_helpers import CASES, FRAMES, content_of, lively, save_run
from tests.folder_entries import entries


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(entries(folder.iterdir()))}


def save_maps(folder: Path, suffix: str = ".nii.gz") -> Path:
    for name in CASES:
        write_label_map(folder / f"{name}{suffix}", np.zeros(FRAMES[name].shape, np.uint8), FRAMES[name].affine)
    return folder


def test_weights_and_codes_are_those_of_the_checkpoint(run: Path, packed: Path) -> None:
    model = load_checkpoint(run / "heart" / "best.pt")["model"]
    assert sorted(path.name for path in entries(packed.iterdir())) == sorted([*FILES, MANIFEST])
    codes = load_file(packed / CODES_FILE)
    assert set(codes) == {"codes"} and codes["codes"].shape == (4, 3, 5, 5, 5)
    assert torch.equal(codes["codes"].reshape(4, -1), model.pop("codes.table.weight"))
    weights = load_file(packed / FIELD)
    assert set(weights) == set(model)
    assert all(torch.equal(weights[name], model[name]) for name in model)


def test_files_are_those_that_safetensors_writes_itself(packed: Path) -> None:
    for name in (FIELD, CODES_FILE):
        assert save(load_file(packed / name)) == (packed / name).read_bytes()


def test_the_same_run_gives_the_same_bytes(run: Path, packed: Path, tmp_path: Path) -> None:
    run_pack(run, tmp_path / "again")
    assert bytes_in(tmp_path / "again") == bytes_in(packed)


def test_who_may_read_a_new_file_may_read_every_file_of_a_package(packed: Path) -> None:
    (packed.parent / "new").touch()
    wanted = (packed.parent / "new").stat().st_mode
    assert {path.stat().st_mode for path in entries(packed.iterdir())} == {wanted}
    assert packed.stat().st_mode & stat.S_IXUSR


def test_the_readme_says_how_to_draw_and_under_which_terms(packed: Path) -> None:
    text = (packed / "README.md").read_text()
    for words in (
        "# 4 hearts as one",
        "corfield render HERE --case 007 --output 007.nii.gz",
        "9 Coronary",
        "Not for clin",
    ):
        assert words in text
    assert "stay under the terms of those" in text and "float32" in text
    assert max(map(len, text.splitlines())) <= 120


def test_half_codes_are_the_nearest_of_half_precision_and_draw_nearly_the_same(
    run: Path, packed: Path, tmp_path: Path
) -> None:
    run_pack(run, tmp_path / "half", half=True)
    full, half = (load_file(folder / CODES_FILE)["codes"] for folder in (packed, tmp_path / "half"))
    assert half.dtype == torch.float16 and torch.equal(half, full.half())
    assert "float16" in (tmp_path / "half" / "README.md").read_text()
    for case in ("007", "beyond", "patient_a"):
        one, other = (load(folder).render(case).labels for folder in (packed, tmp_path / "half"))
        # Steep where trained fields are level: their agreement is above 0.9997.
        assert (one == other).mean() > 0.99


def test_codes_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    field = lively(4)
    with torch.no_grad():
        field.codes.table.weight[2, 5] = 70000
    save_atomically(content_of(FRAMES, field), tmp_path / "heart" / "best.pt")
    with pytest.raises(InputError, match="best.pt: found codes beyond what float16 holds; .* Leave --half out."):
        run_pack(tmp_path, tmp_path / "model", half=True)
    assert not (tmp_path / "model").exists()
    run_pack(tmp_path, tmp_path / "model")


def test_without_calibration_every_threshold_is_one_half_and_that_is_said(tmp_path: Path) -> None:
    packed = run_pack(save_run(tmp_path / "run", calibrated=False), tmp_path / "model")
    assert "thresholds: one half; run calibrate.json" in packed.text
    assert read_manifest(tmp_path / "model" / MANIFEST).thresholds == {}
    assert load(tmp_path / "model").decision.thresholds == (0.5,) * 10


def test_the_best_checkpoint_goes_before_the_latest_and_a_run_lies_where_a_repair_leaves_it(tmp_path: Path) -> None:
    places = ["unified_run/heart/last.pt", "unified_run/heart/best.pt", "heart/last.pt", "heart/best.pt"]
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"")
        assert find_checkpoint(tmp_path) == tmp_path / place
    assert find_checkpoint(tmp_path / places[0]) == tmp_path / places[0]


def test_what_holds_no_whole_heart_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no such file or folder; wanted what `corfield repair`"):
        run_pack(tmp_path / "nowhere", tmp_path / "model")
    with pytest.raises(InputError, match="found a folder without heart/best.pt"):
        run_pack(tmp_path, tmp_path / "model")
    content = load_checkpoint(run / "heart" / "best.pt")
    save_atomically(content | {"structure": "LA"}, tmp_path / "la.pt")
    with pytest.raises(InputError, match="found a field of LA alone; wanted a field of the whole heart"):
        run_pack(tmp_path / "la.pt", tmp_path / "model")
    with pytest.raises(InputError, match="Give --label_table public_cardiac_ct."):
        run_pack(run, tmp_path / "model", label_table=TOTALSEGMENTATOR_HEART.name)
    assert sorted(path.name for path in entries(tmp_path.iterdir())) == ["la.pt"]


def test_sizes_are_told_beside_those_of_the_label_maps(run: Path, tmp_path: Path) -> None:
    labels = save_maps(tmp_path / "labels")
    packed = run_pack(run, tmp_path / "model", labels)
    maps = sum(path.stat().st_size for path in entries(labels.iterdir()))
    sizes = {name: (tmp_path / "model" / name).stat().st_size for name in FILES}
    assert packed.sizes == {
        "field_bytes": sizes[FIELD],
        "code_bytes": round(sizes[CODES_FILE] / 4),
        "case_bytes": round(sum(sizes.values()) / 4),
        "label_map_bytes": round(maps / 4),
        "ratio": round(sum(sizes.values()) / maps, 4),
    }
    assert packed.sizes["code_bytes"] == pytest.approx(4 * 3 * 5**3, rel=0.05)
    assert read_manifest(tmp_path / "model" / MANIFEST).sizes == packed.sizes
    assert f"{packed.sizes['ratio']:.3g} times as large as its gzip label map of" in packed.text


def test_maps_that_are_not_compressed_count_as_gzip_makes_them(run: Path, tmp_path: Path) -> None:
    labels = save_maps(tmp_path / "labels", ".nii")
    packed = run_pack(run, tmp_path / "model", labels)
    wanted = sum(len(gzip.compress(path.read_bytes(), 6)) for path in entries(labels.iterdir()))
    assert packed.sizes["label_map_bytes"] == pytest.approx(wanted / 4, abs=2)


def test_a_package_smaller_than_its_maps_is_told_so(run: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 11, (90, 100, 110)).astype(np.uint8)
    for name in CASES:
        write_label_map(tmp_path / "labels" / f"{name}.nii.gz", noise, np.eye(4))
    packed = run_pack(run, tmp_path / "model", tmp_path / "labels")
    assert packed.sizes["ratio"] < 0.1
    assert f"{1 / packed.sizes['ratio']:.3g} times smaller than its gzip label map" in packed.text


@pytest.mark.parametrize("place", ["run/fused", "fused"])
def test_maps_that_a_repair_has_left_are_found(place: str, tmp_path: Path) -> None:
    save_run(tmp_path / "run")
    assert "ratio" not in run_pack(tmp_path / "run", tmp_path / "model").sizes
    save_maps(tmp_path / place)
    assert run_pack(tmp_path / "run", tmp_path / "model", overwrite=True).sizes["ratio"] > 0


def test_label_maps_of_other_cases_are_refused(run: Path, tmp_path: Path) -> None:
    (save_maps(tmp_path / "labels") / "empty.nii.gz").unlink()
    with pytest.raises(InputError, match="found no label map of empty; wanted one for every case"):
        run_pack(run, tmp_path / "model", tmp_path / "labels")
    with pytest.raises(InputError, match="nowhere: found no such file or folder"):
        run_pack(run, tmp_path / "model", tmp_path / "nowhere")


def test_a_package_is_replaced_only_if_asked(run: Path, packed: Path, tmp_path: Path) -> None:
    save_run(tmp_path / "other", calibrated=False)
    run_pack(tmp_path / "other", tmp_path / "model")
    before = bytes_in(tmp_path / "model")
    with pytest.raises(InputError, match="found a package; wanted a new folder. .* or add --overwrite."):
        run_pack(run, tmp_path / "model")
    assert bytes_in(tmp_path / "model") == before
    run_pack(run, tmp_path / "model", overwrite=True)
    assert bytes_in(tmp_path / "model") == bytes_in(packed)
    assert sorted(path.name for path in entries(tmp_path.iterdir())) == ["model", "other"]


def test_a_folder_of_anything_else_is_never_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="found a folder that holds notes.txt"):
        run_pack(run, tmp_path, overwrite=True)
    with pytest.raises(InputError, match="notes.txt: found a file; wanted a folder to write"):
        run_pack(run, tmp_path / "notes.txt", overwrite=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("mine")
    with pytest.raises(InputError, match="found a folder that holds README.md"):
        run_pack(run, tmp_path / "docs", overwrite=True)
    (tmp_path / "free").mkdir()
    run_pack(run, tmp_path / "free")
    assert load(tmp_path / "free").cases == CASES


def test_a_link_to_a_package_stays_a_link(run: Path, tmp_path: Path) -> None:
    run_pack(run, tmp_path / "model")
    (tmp_path / "link").symlink_to("model")
    run_pack(run, tmp_path / "link", half=True, overwrite=True)
    assert (tmp_path / "link").is_symlink() and "F16" in str((tmp_path / "model" / CODES_FILE).read_bytes()[:99])


def test_what_fails_on_the_way_leaves_what_was_there(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_pack(run, tmp_path / "model")
    before = bytes_in(tmp_path / "model")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pack, "described", full)
    with pytest.raises(InputError, match=r"a place that cannot be written \(No space left on device\)"):
        run_pack(run, tmp_path / "model", overwrite=True)
    with pytest.raises(InputError, match="No space left"):
        run_pack(run, tmp_path / "new")
    monkeypatch.undo()
    moves = iter([os.rename, full, os.rename])
    monkeypatch.setattr(os, "rename", lambda one, other: next(moves)(one, other))
    with pytest.raises(InputError, match="No space left"):
        run_pack(run, tmp_path / "model", overwrite=True)
    assert bytes_in(tmp_path / "model") == before
    assert [path.name for path in entries(tmp_path.iterdir())] == ["model"]


def test_what_a_killed_process_has_left_is_cleared_away(run: Path, tmp_path: Path) -> None:
    alive = f".model.{os.getppid()}.corfield-part"
    for name in (
        ".model.999999999.corfield-part",
        ".model.old.999999998.corfield-part",
        alive,
        ".model.notes",
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / FIELD).write_text("half")
    run_pack(run, tmp_path / "model")
    left = {path.name for path in entries(tmp_path.iterdir())}
    assert left == {"model", alive, ".model.notes"}


def test_a_place_below_a_file_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="found a place that cannot be written"):
        run_pack(run, tmp_path / "file" / "model")
