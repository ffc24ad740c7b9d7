"""Scores of those who complete hearts, their tables, and the whole benchmark at its smallest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.completion_benchmark import Study
from benchmarks.completion_quality import BUNDLE, OURS, Trained, listed, main
from benchmarks.completion_scores import (
    Rows,
    completed_dice,
    mean_dice,
    pooled,
    reconstructed_dice,
    score,
    scored,
    table_of,
    table_of_schemes,
    verdict,
)
from benchmarks.partial_hearts import INDICES, NAMES, REDRAWN, WHOLE, Heart, Part
from custom.run.presets import read_settings
from custom.training.run_bundle import bundle_configs
from tests.folder_entries import entries

LA, RA, PV = (INDICES[NAMES.index(name)] for name in ("LA", "RA", "PV"))


def heart() -> Heart:
    labels = np.zeros((5, 7, 11), np.uint8)
    labels[1, 2:6, 3], labels[3, 2:4, 3] = LA, RA
    return Heart("one", labels, np.eye(4), (1.0, 1.0, 1.0))


def parts(one: Heart, index: int) -> list[Part]:
    without_la = np.isin(NAMES, ["RA"])
    return [Part(WHOLE, one.present, anew=True), Part("1 missing", without_la), Part(REDRAWN, without_la, anew=True)]


def half(given: np.ndarray, affine: np.ndarray, shown: np.ndarray, anew: bool) -> np.ndarray:
    """Draws half of LA and all of RA, whatever is given; PV too, which no heart here has."""
    labels = heart().labels.copy()
    labels[1, 4:6, 3] = 0
    labels[4, 6, 10] = PV
    return labels


def test_given_and_completed_structures_are_scored_apart_and_only_what_was_asked_for() -> None:
    rows = score(half, [heart()], parts)
    found = {name: {row.structure: round(row.dice, 4) for row in own} for name, own in rows.items()}
    assert found == {
        f"{WHOLE}: given": {"LA": 0.6667, "RA": 1.0},
        "1 missing: completed": {"LA": 0.6667},
        f"{REDRAWN}: given": {"RA": 1.0},
        f"{REDRAWN}: completed": {"LA": 0.6667},
    }
    assert reconstructed_dice(rows) == pytest.approx(5 / 6)
    assert completed_dice(rows) == pytest.approx(2 / 3)


def test_who_completes_sees_nothing_of_what_is_missing() -> None:
    seen = []

    def watch(given: np.ndarray, affine: np.ndarray, shown: np.ndarray, anew: bool) -> np.ndarray:
        seen.append(set(np.unique(given).tolist()))
        return given

    score(watch, [heart()], parts)
    assert seen == [{0, LA, RA}, {0, RA}, {0, RA}]


def test_a_structure_counts_as_much_as_another_however_often_it_is_missing() -> None:
    rows = score(half, [heart()], parts)
    both = rows["1 missing: completed"] * 3 + rows[f"{REDRAWN}: given"]
    assert mean_dice(both) == pytest.approx((2 / 3 + 1) / 2)
    assert np.isnan(mean_dice(pooled(rows, ["2 missing"])))


def test_scores_are_kept_and_made_again_for_other_settings(tmp_path: Path) -> None:
    calls = []

    def made() -> object:
        calls.append(1)
        return half

    asked = {"rate": 0.1}
    first = scored(tmp_path / "one.json", made, [heart()], parts, asked)
    assert scored(tmp_path / "one.json", made, [heart()], parts, asked) == first
    assert len(calls) == 1
    scored(tmp_path / "one.json", made, [heart()], parts, {"rate": 0.2})
    assert len(calls) == 2


def test_the_bars_are_said_to_be_met_or_missed() -> None:
    rows = score(half, [heart()], parts)
    worse: Rows = {name: [] for name in rows} | {
        "1 missing: completed": score(lambda *_: np.zeros((5, 7, 11), np.uint8), [heart()], parts)[
            "1 missing: completed"
        ]
    }
    text = verdict({"ours": rows, "theirs": worse, "same": rows}, "ours")
    assert text.splitlines() == [
        "Reconstruction: mean Dice 0.833, bar 0.90: missed.",
        "Completion: 0.667, theirs 0.000 (+0.667): met.",
        "Completion: 0.667, same 0.667 (+0.000): missed.",
    ]
    line = table_of({"ours": rows}).splitlines()[2].split("|")
    assert [cell.strip() for cell in line[2:5]] == ["0.833", "0.667", "nan"]
    assert "3 missing, all drawn anew: given" in table_of_schemes({"ours": rows})


def test_a_list_is_what_the_command_line_makes_of_it() -> None:
    assert listed("phase1, phase2") == ["phase1", "phase2"]
    assert listed((1, 2)) == [1, 2] and listed(0.5) == [0.5] and listed("") == []


def test_a_training_lies_where_its_settings_say(tmp_path: Path) -> None:
    study = Study(tmp_path, {"train": 2, "dev": 1, "test": 1}, {"train": 1, "dev": 2, "test": 3}, 32)
    one = Trained(study, "tiny", ["phase2"], [3])
    assert one.folder.name.startswith("tiny_phase2_")
    assert one.folder == Trained(study, "tiny", ["phase2"], [3]).folder
    assert one.folder != Trained(study, "tiny", ["phase2"], [4]).folder
    assert one.folder != Trained(study, "tiny", ["phase2"], [3], settings={"width": 32}).folder
    assert one.merged["width"] == read_settings(tuple(bundle_configs(BUNDLE, ["sizes/tiny"])))["width"]
    assert Trained(study, "tiny", ["phase2"], [3], settings={"width": 32}).merged["width"] == 32


@pytest.mark.slow
def test_the_smallest_benchmark_trains_completes_and_does_nothing_twice(tmp_path: Path) -> None:
    small = read_settings(tuple(bundle_configs(BUNDLE, ["smoke"])))
    small = {key: value for key, value in small.items() if key not in ("max_epochs", "cloud_points")}
    asked = {"size": "", "epochs": 2, "budget_s": 1.0, "cases": (2, 1, 1), "seeds": (1, 2, 3), "side": 32}
    asked |= {"unet_sides": (16, 32), "unet_rates": (0.001, 0.003), "unet_trial_s": 0.5, "cloud_points": 20000}
    outside = tmp_path / "out" / "dev_2_32" / "truth"
    main(str(tmp_path / "out"), real=str(outside), **asked, **small)
    found = json.loads((tmp_path / "out" / "quality_test.json").read_text())
    names = list(found["results"])
    assert names[0] == OURS and names[1].startswith("mean shape") and names[3].startswith("U-Net")
    assert found["results"]["constant"]["completed"] == 0 == found["results"]["constant"]["reconstruction"]
    assert found["results"]["nearest heart"]["completed"] > 0.2
    assert found["training"]["phase2"]["cpu_seconds"] > 1
    assert set(found["outside"]["nearest heart"]["by_part"]) >= {"without LA: completed", f"{WHOLE}: given"}
    text = (tmp_path / "out" / "quality_test.md").read_text()
    assert "outside, completed from all others" in text and "U-Net, 0.5 CPU s" in text
    files = {path: path.stat().st_mtime_ns for path in entries((tmp_path / "out").rglob("*")) if path.is_file()}
    main(str(tmp_path / "out"), real=str(outside), **asked, **small)
    again = {path for path, time in files.items() if path.stat().st_mtime_ns != time}
    assert {path.name for path in again} == {"quality_test.md", "quality_test.json"}
    assert json.loads((tmp_path / "out" / "quality_test.json").read_text()) == found
