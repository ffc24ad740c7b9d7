"""A benchmark's run is named by what goes into it, and done once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.unified_runs import Hearts, Run, hearts_of, once, plain_settings, spread
from benchmarks.unified_scores import below_bar, grouped, lost, mean_dices
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import write_label_map
from custom.errors import InputError

LA, PV = PUBLIC_CARDIAC_CT["LA"].index, PUBLIC_CARDIAC_CT["PV"].index


def written(folder: Path, labels: np.ndarray, case: str = "one") -> Path:
    write_label_map(folder / f"{case}.nii.gz", labels, np.eye(4))
    return folder


def heart() -> np.ndarray:
    labels = np.zeros((7, 5, 11), np.uint8)
    labels[1:5, 1:4, 2:6] = LA
    return labels


def test_a_run_is_another_one_with_another_setting_label_or_teacher(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels", heart())
    hearts = Hearts(labels, labels)
    run = Run("a form", tmp_path, hearts, {"max_epochs": 3})
    assert run.folder == Run("a form", tmp_path, hearts, {"max_epochs": 3}).folder
    assert run.folder.name.startswith("a_form_")
    assert run.folder != Run("a form", tmp_path, hearts, {"max_epochs": 4}).folder
    assert run.folder != Run("a form", tmp_path, hearts, {"max_epochs": 3}, ("smoke",)).folder
    (tmp_path / "stage1" / "LA").mkdir(parents=True)
    (tmp_path / "stage1" / "LA" / "best.pt").write_bytes(b"weights")
    taught = Hearts(labels, labels, str(tmp_path / "stage1"))
    assert run.folder != Run("a form", tmp_path, taught, {"max_epochs": 3}).folder
    changed = heart()
    changed[6, 4, 10] = LA
    written(labels, changed)
    assert run.folder != Run("a form", tmp_path, hearts, {"max_epochs": 3}).folder


def test_what_is_given_lies_over_the_configs_and_an_overlay_between_them(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels", heart())
    run = Run("one", tmp_path, Hearts(labels, labels), {"max_epochs": 3}, ("smoke",))
    assert run.merged["max_epochs"] == 3
    assert run.merged["latent_size"] == plain_settings(("smoke",))["latent_size"]
    assert run.merged["seed"] == plain_settings()["seed"]


def test_a_part_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    asked = []

    def work() -> dict[str, int]:
        asked.append(1)
        return {"seconds": 7}

    answers = [once(tmp_path / "deep" / "part.json", work) for _ in range(3)]
    assert len(asked) == 1
    assert all(answer["seconds"] == 7 for answer in answers)


def test_a_part_that_failed_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        once(tmp_path / "part.json", lambda: {"seconds": 1 // 0})
    assert once(tmp_path / "part.json", lambda: {"seconds": 1})["seconds"] == 1


def test_a_repairs_fused_maps_have_their_teachers_beside_them_and_need_a_truth(tmp_path: Path) -> None:
    found = hearts_of(tmp_path, repair=str(tmp_path / "out"), truth=str(tmp_path / "truth"))
    assert found == Hearts(tmp_path / "out" / "repaired", tmp_path / "truth", str(tmp_path / "out" / "stage1"))
    (tmp_path / "out" / "fused").mkdir(parents=True)
    assert hearts_of(tmp_path, str(tmp_path / "out"), truth="t").labels == tmp_path / "out" / "fused"
    assert hearts_of(tmp_path, str(tmp_path / "out"), truth="t", no_teachers=True).teachers == ""
    assert hearts_of(tmp_path, fused="fused", truth="t") == Hearts(Path("fused"), Path("t"))
    with pytest.raises(InputError, match="--truth"):
        hearts_of(tmp_path, repair=str(tmp_path / "out"))


def test_items_come_back_in_their_order() -> None:
    assert spread(abs, [-3, 2, -1], workers=1) == [3, 2, 1]


def test_a_structure_that_neither_map_holds_is_left_out_of_its_mean(tmp_path: Path) -> None:
    half = heart()
    half[3:] = 0  # 2 of 4 slices: Dice 2 x 2 / (2 + 4)
    veined = heart()
    veined[6, 0, 0] = PV
    for case, found, wanted in (("one", heart(), heart()), ("two", half, veined)):
        written(tmp_path / "found", found, case)
        written(tmp_path / "wanted", wanted, case)
    dices = mean_dices(tmp_path / "found", tmp_path / "wanted")
    assert list(dices) == ["LA", "PV"]
    assert dices["LA"] == pytest.approx((1 + 2 / 3) / 2)
    assert dices["PV"] == 0


def test_bars_and_losses() -> None:
    dices = {"LA": 0.97, "RV": 0.969, "LAA": 0.93, "Coronary": 0.879}
    assert below_bar(dices) == ["RV", "Coronary"]
    assert lost({"LA": 0.90, "RV": 0.889}, {"LA": 0.909, "RV": 0.90}) == ["RV"]
    fine = grouped(dices)
    assert fine[:2] == [0.93, 0.879]
    assert np.isnan(fine[2])
    assert fine[3] == pytest.approx((0.97 + 0.969) / 2)
