"""``corfield complete``: whole hearts on their grids, what was given kept, stopped and gone on with.

The network of most tests answers everywhere that it is inside some structures and outside of all others: what it draws
is known beforehand. A trained one is asked in the last test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import write_label_map
from tests.bundles.completion_helpers import train
from tests.custom.run.completion_run_helpers import (
    AFFINE,
    AORTA,
    LA,
    LV,
    PA,
    complete,
    constant,
    given,
    opened,
    table,
    times,
    two_cases,
)
from tests.folder_entries import entries


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return two_cases(tmp_path / "labels")


def test_given_voxels_stay_missing_ones_are_drawn_and_the_source_says_which(labels: Path, tmp_path: Path) -> None:
    outcome = complete(labels, tmp_path / "out", constant(tmp_path / "best.pt", ["Aorta"]))
    assert outcome.faults == ()
    for case, indices in (("a", (LA, LV)), ("b", (LA,))):
        before, after = given(*indices), opened(tmp_path / "out" / "completed" / f"{case}.nii.gz")
        assert after.dtype == np.uint8
        assert (after == np.where(before > 0, before, AORTA)).all()
        source = opened(tmp_path / "out" / "source" / f"{case}.nii.gz")
        assert (source == np.where(before > 0, 1, 2)).all()
        confidence = opened(tmp_path / "out" / "confidence" / f"{case}.nii.gz")
        assert not confidence[before > 0].any() and confidence[before == 0] == pytest.approx(1)
    rows = table(tmp_path / "out")
    assert (rows["a", "LV"]["source"], rows["b", "LV"]["source"]) == ("given", "completed")
    assert float(rows["b", "LA"]["volume_mm3"]) == 2 * 6 * 8 * 60 and rows["b", "LA"]["dice"] == ""
    assert "NOT DRAWN: PV in 2 cases, among them a, b" in outcome.text
    assert "NOT DRAWN: LV in 1 cases, among them b" in outcome.text and "NOT DRAWN: Aorta" not in outcome.text


def test_only_the_structures_asked_for_are_completed(labels: Path, tmp_path: Path) -> None:
    network = constant(tmp_path / "best.pt", ["Aorta", "PA"])
    outcome = complete(labels, tmp_path / "out", network, structures=("PA",))
    after = opened(tmp_path / "out" / "completed" / "b.nii.gz")
    assert set(np.unique(after)) == {LA, PA}
    assert {row.structure for row in outcome.rows if row.case == "b"} == {"LA", "PA"}


def test_smoothed_structures_are_drawn_by_the_network_too(labels: Path, tmp_path: Path) -> None:
    network = constant(tmp_path / "best.pt", ["LA", "Aorta"])
    complete(labels / "a.nii.gz", tmp_path / "out", network, smooth_given=True)
    assert (opened(tmp_path / "out" / "completed" / "a.nii.gz") == LA).all()
    assert (opened(tmp_path / "out" / "source" / "a.nii.gz") == 1).all()


def test_a_whole_heart_comes_back_as_it_is(tmp_path: Path) -> None:
    whole = np.zeros((23, 5, 7), np.uint8)
    for position, structure in enumerate(PUBLIC_CARDIAC_CT):
        whole[2 * position : 2 * position + 2, 1:4, 2:6] = structure.index
    write_label_map(tmp_path / "whole.nii.gz", whole, AFFINE)
    outcome = complete(tmp_path / "whole.nii.gz", tmp_path / "out", constant(tmp_path / "best.pt", ["PA"]))
    assert "NOTHING TO COMPLETE: no case lacks a structure; the label maps are copied as they are" in outcome.text
    assert outcome.faults == () and not opened(tmp_path / "out" / "confidence" / "whole.nii.gz").any()
    assert (opened(tmp_path / "out" / "completed" / "whole.nii.gz") == whole).all()


def test_with_a_reference_given_and_completed_are_scored_apart_and_the_page_shows_the_truth(
    labels: Path, tmp_path: Path
) -> None:
    truth = given(LA, LV)
    truth[truth == 0] = AORTA
    truth[10] = 0
    write_label_map(tmp_path / "truth" / "a.nii.gz", truth, AFFINE)
    network = constant(tmp_path / "best.pt", ["Aorta"])
    outcome = complete(labels, tmp_path / "out", network, reference=tmp_path / "truth")
    rows = table(tmp_path / "out")
    found, wanted = 11 * 13 * 17 - 2 * 96, 10 * 13 * 17 - 2 * 96
    assert float(rows["a", "Aorta"]["dice"]) == pytest.approx(2 * wanted / (found + wanted))
    assert float(rows["a", "Aorta"]["iou"]) == pytest.approx(wanted / found)
    assert float(rows["a", "LA"]["dice"]) == 1 and rows["a", "PA"]["dice"] == ""
    assert float(rows["a", "Aorta"]["right_if_sure"]) == pytest.approx(wanted / found)
    assert rows["a", "Aorta"]["right_if_unsure"] == rows["a", "LA"]["confidence"] == ""
    assert [fault for fault in outcome.faults if "no label map of case b" in fault] == list(outcome.faults)
    page = (tmp_path / "out" / "report" / "index.html").read_text(encoding="utf-8")
    assert "mean Dice, completed" in page and page.count('data-version="truth"') == 1
    assert page.count("axial slice, truth") == 1 and page.count("axial slice, whole") == 2
    assert "ledger" not in page.partition("<main>")[2].partition('id="library"')[0].lower().replace(
        "spots", ""
    ).replace("a spot at each entry of the ledger", "")


def test_what_is_up_to_date_stays_what_changed_is_made_anew_and_what_is_gone_goes(labels: Path, tmp_path: Path) -> None:
    output, network = tmp_path / "out", constant(tmp_path / "best.pt", ["Aorta"])
    complete(labels, output, network)
    first = times(output)
    complete(labels, output, network)
    assert times(output) == first
    (output / "source" / "a.nii.gz").unlink()
    (labels / "b.nii.gz").unlink()
    complete(labels, output, network)
    assert [path.name for path in entries(output.glob("completed/*"))] == ["a.nii.gz"]
    assert times(output)[str(output / "completed" / "a.nii.gz")] != first[str(output / "completed" / "a.nii.gz")]
    assert (opened(output / "source" / "a.nii.gz") == np.where(given(LA, LV) > 0, 1, 2)).all()
    complete(labels, output, constant(network, ["PA"]))
    assert (opened(output / "completed" / "a.nii.gz")[given(LA, LV) == 0] == PA).all()


def test_stopped_between_two_cases_it_goes_on_and_ends_with_the_same_files(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, output = constant(tmp_path / "best.pt", ["Aorta"]), tmp_path / "out"
    complete(labels, tmp_path / "unbroken", network)
    from custom.run import complete_hearts as module

    usual = module.run_bundle

    def stopped(*arguments: Any, **settings: Any) -> Any:
        if settings["dataset_dir"].endswith("b.nii.gz"):
            raise KeyboardInterrupt
        return usual(*arguments, **settings)

    monkeypatch.setattr(module, "run_bundle", stopped)
    with pytest.raises(KeyboardInterrupt):
        complete(labels, output, network)
    assert not (output / "metrics.csv").exists()
    kept = (output / "completed" / "a.nii.gz").stat().st_mtime_ns
    monkeypatch.setattr(module, "run_bundle", usual)
    complete(labels, output, network)
    assert (output / "completed" / "a.nii.gz").stat().st_mtime_ns == kept
    for name in ("completed/a.nii.gz", "completed/b.nii.gz", "source/b.nii.gz", "confidence/b.nii.gz", "metrics.csv"):
        assert (output / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


@pytest.mark.slow
def test_a_trained_network_brings_hidden_vessels_back(hearts: Path, tmp_path: Path) -> None:
    settings = {"octaves": 4, "learning_rate": 0.005, "rotation_deg": 0, "scale_share": 0, "shift_mm": 0}
    settings |= {"val_share": 0, "hidden_counts": [0, 3], "val_interval": 150, "max_epochs": 150}
    settings["clouds_dir"] = tmp_path / "clouds"
    train(hearts, tmp_path / "run", **settings)
    vessels = [PUBLIC_CARDIAC_CT[name].index for name in ("Aorta", "PA", "PV")]
    for path in (hearts / "truth").glob("*.nii.gz"):
        image = nib.load(path)
        labels = np.asarray(image.dataobj)
        partial = np.where(np.isin(labels, vessels), 0, labels).astype(np.uint8)
        write_label_map(tmp_path / "partial" / path.name, partial, image.affine)
    network = tmp_path / "run" / "phase1" / "best.pt"
    outcome = complete(tmp_path / "partial", tmp_path / "out", network, reference=hearts / "truth", workers=2)
    completed = [row for row in outcome.rows if row.source == "completed"]
    assert {row.structure for row in completed} == {"Aorta", "PA", "PV"} and len(completed) == 6
    assert np.mean([row.dice for row in completed if row.dice is not None]) > 0.3
    assert all(row.dice == 1 for row in outcome.rows if row.source == "given")
