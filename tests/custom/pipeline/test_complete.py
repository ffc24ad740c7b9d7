"""``corfield complete``: whole hearts on their grids, what was given kept, every fault named, stopped and gone on with.

The network of most tests answers everywhere that it is inside some structures and outside of all others: what it draws
is known beforehand. A trained one is asked in the last test.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.cli.main import main
from custom.cohort.label_maps import write_label_map
from custom.engines.checkpoint import save_atomically
from custom.engines.completion.checkpoint import FORMAT
from custom.errors import InputError
from custom.pipeline.complete import Outcome, run_complete
from custom.pipeline.completion_request import CompletionRequest
from custom.sets.parts import set_network
from custom.surfaces.frame import SCALE_MM
from tests.bundles.completing import train

NAMES = PUBLIC_CARDIAC_CT.names
LA, LV, AORTA, PA = (PUBLIC_CARDIAC_CT[name].index for name in ("LA", "LV", "Aorta", "PA"))
AFFINE = np.array([[-3.0, 0, 0, 40], [0, 4, 0, -20], [0, 0, 5, 7], [0, 0, 0, 1]])
SHAPE = (11, 13, 17)


def given(*indices: int) -> np.ndarray:
    """A block of each structure."""
    labels = np.zeros(SHAPE, np.uint8)
    for position, index in enumerate(indices):
        labels[2 + 3 * position : 4 + 3 * position, 3:9, 4:12] = index
    return labels


def constant(path: Path, drawn: Sequence[str], phase: str = "phase2", **more: Any) -> Path:
    """A checkpoint of a network that is inside these structures wherever it is asked, the first one the deepest."""
    size = {"variant": "channels", "classes": len(NAMES), "width": 16, "heads": 2, "depth": 1, "point_queries": 4}
    size |= {"class_tokens": 1, "latent_channels": 4, "octaves": 2}
    torch.manual_seed(0)
    network = set_network(**size)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.fill_(0.5)
        for rank, name in enumerate(drawn):
            network.head.bias[NAMES.index(name)] = -0.5 + 0.1 * rank
    settings = {"network": size, "frame": {"scale_mm": SCALE_MM, "centre_mm": []}, "surface_points": 64}
    settings |= {"hidden_counts": [0, 0] if phase == "phase1" else [2, 5]}
    content = {"format": FORMAT, "version": "0", "label_table": PUBLIC_CARDIAC_CT.name, "phase": phase}
    save_atomically({**content, "settings": settings, "model": network.state_dict(), **more}, path)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Two cases: one lacks all but LA and LV, the other has LA alone."""
    write_label_map(tmp_path / "labels" / "a.nii.gz", given(LA, LV), AFFINE)
    write_label_map(tmp_path / "labels" / "b.nii.gz", given(LA), AFFINE)
    return tmp_path / "labels"


def complete(labels: Path, output: Path, checkpoint: Path, **fields: Any) -> Outcome:
    asked = {"labels": labels, "output": output, "checkpoint": checkpoint, "workers": 1, "device": "cpu"}
    return run_complete(CompletionRequest(**{**asked, **fields}), lambda text: None)


def opened(path: Path) -> np.ndarray:
    image = nib.load(path)
    assert np.allclose(image.affine, AFFINE)
    return np.asarray(image.dataobj)


def table(output: Path) -> dict[tuple[str, str], dict[str, str]]:
    with open(output / "metrics.csv", encoding="utf-8", newline="") as file:
        return {(row["case"], row["structure"]): row for row in csv.DictReader(file)}


def times(output: Path) -> dict[str, int]:
    found = [*output.glob("completed/*"), *output.glob("source/*"), output / "report" / "index.html"]
    return {str(path): path.stat().st_mtime_ns for path in found}


def test_given_voxels_stay_missing_ones_are_drawn_and_the_source_says_which(labels: Path, tmp_path: Path) -> None:
    outcome = complete(labels, tmp_path / "out", constant(tmp_path / "best.pt", ["Aorta"]))
    assert outcome.faults == ()
    for case, indices in (("a", (LA, LV)), ("b", (LA,))):
        before, after = given(*indices), opened(tmp_path / "out" / "completed" / f"{case}.nii.gz")
        assert after.dtype == np.uint8
        assert (after == np.where(before > 0, before, AORTA)).all()
        source = opened(tmp_path / "out" / "source" / f"{case}.nii.gz")
        assert (source == np.where(before > 0, 1, 2)).all()
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
    complete(tmp_path / "whole.nii.gz", tmp_path / "out", constant(tmp_path / "best.pt", ["PA"]))
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
    assert [path.name for path in output.glob("completed/*")] == ["a.nii.gz"]
    assert times(output)[str(output / "completed" / "a.nii.gz")] != first[str(output / "completed" / "a.nii.gz")]
    assert (opened(output / "source" / "a.nii.gz") == np.where(given(LA, LV) > 0, 1, 2)).all()
    complete(labels, output, constant(network, ["PA"]))
    assert (opened(output / "completed" / "a.nii.gz")[given(LA, LV) == 0] == PA).all()


def test_faulty_and_empty_label_maps_are_named_and_the_others_are_done(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (labels / "text.nii").write_text("no image")
    write_label_map(labels / "empty.nii.gz", np.zeros(SHAPE, np.uint8), AFFINE)
    network, output = constant(tmp_path / "best.pt", ["Aorta"]), tmp_path / "out"
    arguments = [str(labels), str(output), str(network), "--workers=1", "--device=cpu", "--structures=Aorta"]
    with pytest.raises(SystemExit) as ended:
        main(["complete", *arguments])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "text.nii: found a file that cannot be opened" in said.err
    assert "empty.nii.gz: found no structure to complete it from" in said.err and "2 faults; the rest" in said.err
    assert "cases       2 good, 2 faulty and left out; 0 up to date" in said.out
    assert "to complete Aorta in 2" in said.out and "warning" not in said.out
    assert sorted(path.name for path in (output / "completed").iterdir()) == ["a.nii.gz", "b.nii.gz"]


def test_a_network_that_draws_nothing_is_a_fault_of_every_case(labels: Path, tmp_path: Path) -> None:
    outcome = complete(labels, tmp_path / "out", constant(tmp_path / "best.pt", []))
    assert len(outcome.faults) == 2
    assert all("found that the network draws no voxel of Myocardium, " in fault for fault in outcome.faults)
    assert (opened(tmp_path / "out" / "completed" / "a.nii.gz") == given(LA, LV)).all()


def test_what_no_completion_can_use_is_refused_before_anything_is_written(labels: Path, tmp_path: Path) -> None:
    output, network = tmp_path / "out", constant(tmp_path / "best.pt", ["Aorta"])
    untrained = constant(tmp_path / "last.pt", ["Aorta"], epoch=0)
    for fields, words in (
        ({"checkpoint": tmp_path / "nothing.pt"}, "nothing.pt: found no such file; wanted a checkpoint"),
        ({"checkpoint": untrained}, "last.pt: found a network that was never trained"),
        ({"label_table": "totalsegmentator_heart"}, "Give --label_table public_cardiac_ct"),
        ({"structures": ("LAB",)}, "found 'LAB'"),
        ({"workers": -1}, "--workers: found -1"),
        ({"device": "abacus"}, "--device: found 'abacus'"),
        ({"reference": tmp_path / "nowhere"}, "nowhere: found no such folder"),
        ({"reference": output / "completed"}, "completed: found no such folder"),
    ):
        with pytest.raises(InputError) as raised:
            complete(labels, output, **{"checkpoint": network, **fields})
        assert words in str(raised.value)
        assert not output.exists()


def test_label_maps_of_background_alone_and_own_outputs_are_refused(labels: Path, tmp_path: Path) -> None:
    network, output = constant(tmp_path / "best.pt", ["Aorta"]), tmp_path / "out"
    write_label_map(tmp_path / "empty.nii.gz", np.zeros(SHAPE, np.uint8), AFFINE)
    with pytest.raises(InputError, match="no label map with a structure in it"):
        complete(tmp_path / "empty.nii.gz", tmp_path / "other", network)
    complete(labels, output, network)
    with pytest.raises(InputError, match="an output of an earlier completion"):
        complete(output / "completed", output, network)


def test_a_network_that_was_only_taught_to_give_back_is_said_to_be_one(labels: Path, tmp_path: Path) -> None:
    said: list[str] = []
    network = constant(tmp_path / "best.pt", ["Aorta"], phase="phase1")
    asked = CompletionRequest(labels=labels, output=tmp_path / "out", checkpoint=network, workers=1, device="cpu")
    run_complete(asked, said.append)
    assert "warning     this network was trained to give back what it sees" in said[0]


def test_stopped_between_two_cases_it_goes_on_and_ends_with_the_same_files(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, output = constant(tmp_path / "best.pt", ["Aorta"]), tmp_path / "out"
    complete(labels, tmp_path / "unbroken", network)
    from custom.pipeline import complete as module

    usual = module.run_bundle

    def stopped(*arguments: Any, **settings: Any) -> Any:
        if settings["dataset_dir"].endswith("b.nii.gz"):
            raise KeyboardInterrupt
        return usual(*arguments, **settings)

    monkeypatch.setattr(module, "run_bundle", stopped)
    with pytest.raises(KeyboardInterrupt):
        complete(labels, output, network)
    kept = (output / "completed" / "a.nii.gz").stat().st_mtime_ns
    monkeypatch.setattr(module, "run_bundle", usual)
    complete(labels, output, network)
    assert (output / "completed" / "a.nii.gz").stat().st_mtime_ns == kept
    for name in ("completed/a.nii.gz", "completed/b.nii.gz", "source/b.nii.gz", "metrics.csv"):
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
