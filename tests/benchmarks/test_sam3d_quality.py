"""What the benchmark of hearts from one slice asks, writes down and calls a bar met."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.sam3d_quality import BARS, RECIPE, bars, main, overlays, parted, report
from custom.anatomy import TOTALSEGMENTATOR_HEART

MEASURES = {"dice": 0.8, "hd95_mm": 6.0, "asked": 30, "empty": 0}
OTHERS = {"untuned_base": 0.7, "mean_shape": 0.8, "nearest_case": 0.9, "extruded_slice": 0.6, "codec_ceiling": 0.95}


def content(**dices: float) -> dict:
    methods = {"lora": 0.8, **OTHERS, **dices}
    against = {"dice_gain": 0.012, "better_in": 7, "patients": 12}
    return {
        "banner": "",
        "settings": {
            "training_cases": 42,
            "patients": 12,
            "split": "test",
            "spacing_mm": 9.0,
            "adapter_parameters": 29,
            "flow_parameters": 1000,
            "adapter_share": 0.029,
        },
        "overall": {name: {**MEASURES, "dice": dice} for name, dice in methods.items()},
        "structures": {"heart_atrium_left": {name: {"dice": dice} for name, dice in methods.items()}},
        "against": {name: against for name in methods if name != "lora"},
    }


def test_settings_go_to_their_stage_to_the_evaluation_or_to_all_stages() -> None:
    of = parted({"vae_max_epochs": 3, "lora_lora_rank": 4, "eval_draws": 2, "eval_axes": [0], "width": 64})
    assert of["vae"] == {"max_epochs": 3} and of["base"] == {}
    assert of["lora"] == {"lora_rank": 4}
    assert of["eval"] == {"draws": 2, "eval_axes": [0]}
    assert of["all"] == {"width": 64}


def test_the_base_of_the_recipe_lacks_what_the_adapters_are_to_learn() -> None:
    of = parted(RECIPE)
    assert of["base"]["structures"] == [name for name in TOTALSEGMENTATOR_HEART.names if name != "heart_myocardium"]
    assert "structures" not in of["lora"] and "structures" not in of["eval"] and not of["all"]


def test_sizes_lie_below_what_the_stage_sets() -> None:
    assert overlays("base", "tiny") == ["train", "sizes/tiny", "base"]
    assert overlays("lora", "") == ["train"]


def test_a_bar_is_met_above_it_and_not_at_it() -> None:
    text = bars(content())
    assert "lora 0.800 is above untuned_base 0.700: +0.012 a patient, better in 7 of 12 patients" in text
    assert "is NOT above mean_shape 0.800" in text and "is NOT above nearest_case 0.900" in text
    assert "above extruded_slice 0.600 (no bar)" in text and "codec_ceiling" not in text
    assert f"Bars met: 1 of {len(BARS)}." in text
    assert "Bars met: 3 of 3." in bars(content(lora=0.91))


def test_the_report_says_who_was_asked_how_large_the_adapters_are_and_what_it_cost() -> None:
    text = report(content(), {"data": 10.2, "vae": 100.0}, 60)
    assert "60 phantoms, 42 for training, 12 patients of the test split, 30 questions, voxels of 9 mm." in text
    assert "Adapters: 29 of 1000 parameters of the flow (2.90 %)." in text
    cells = [cell.strip() for cell in text.splitlines()[-1].strip("|").split("|")]
    assert cells == ["", "10", "100", "110"]


@pytest.mark.slow
def test_the_smallest_form_trains_three_stages_and_asks_patients_held_out(tmp_path: Path) -> None:
    main(str(tmp_path), cases=10, quick=True)
    found = json.loads((tmp_path / "quality.json").read_text())
    run = tmp_path / found["run"]
    assert list(found["overall"])[:2] == ["lora", "untuned_base"]
    assert set(BARS) < set(found["overall"])
    assert found["banner"] == ""
    assert found["settings"]["patients"] == 2
    assert 0 < found["settings"]["adapter_share"] < 0.1
    assert found["overall"]["mean_shape"]["dice"] > 0.5
    assert "Bars met: " in (tmp_path / "quality.md").read_text()
    assert len(list(run.glob("evaluation_*/predictions/*.nii.gz"))) == 30
    best = run / "lora" / "best.pt"
    before = best.stat().st_mtime_ns
    main(str(tmp_path), cases=10, quick=True)
    assert best.stat().st_mtime_ns == before
