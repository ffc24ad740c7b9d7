"""Presets: what they train with, and how long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT, TOTALSEGMENTATOR_HEART, Structure
from custom.errors import InputError
from custom.run.presets import (
    PRESETS,
    Preset,
    heart_configs,
    heart_inference_settings,
    heart_training_settings,
    inference_settings,
    overlay_of,
    preset_named,
    read_settings,
    stage1_configs,
    training_settings,
)

LA, LAA, CORONARY = (PUBLIC_CARDIAC_CT[name] for name in ("LA", "LAA", "Coronary"))


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="--preset: found 'fast'; wanted one of quick, standard, full"):
        preset_named("fast")


@pytest.mark.parametrize(("own", "epochs"), [(400, 200), (150, 100), (100, 100), (60, 60)])
def test_a_share_of_the_epochs_is_trained_but_not_fewer_than_the_least(own: int, epochs: int) -> None:
    assert Preset("p", "", share=0.5, least_epochs=100).epochs(own) == epochs


def test_quick_trains_three_quarters_of_a_structures_own_epochs_and_validates_at_the_last() -> None:
    for structure in PUBLIC_CARDIAC_CT:
        configs = stage1_configs(PRESETS["quick"], structure, "train")
        settings = read_settings(configs) | training_settings(PRESETS["quick"], structure, {})
        own = read_settings(configs)["max_epochs"]
        assert abs(settings["max_epochs"] - max(100, 0.75 * own)) <= 2
        assert settings["max_epochs"] % settings["val_interval"] == 0


def test_standard_leaves_a_structures_own_settings_as_they_are() -> None:
    assert training_settings(PRESETS["standard"], CORONARY, {}) == {"structure": "Coronary", "cpu_threads": 1}
    configs = stage1_configs(PRESETS["standard"], CORONARY, "train")
    assert [path.rsplit("/", 1)[1] for path in configs] == ["train.json", "coronary.json"]


def test_full_is_the_published_field_for_every_structure() -> None:
    configs = stage1_configs(PRESETS["full"], CORONARY, "train")
    assert len(configs) == 1
    settings = read_settings(configs) | training_settings(PRESETS["full"], CORONARY, {})
    assert (settings["max_epochs"], settings["resolution"], settings["code_side"]) == (300, 128, 0)
    assert sum(settings["trunk_channels"]) + 3 == 323


def test_a_shortened_run_has_shorter_phases_too() -> None:
    settings = training_settings(Preset("p", "", overlays=False, share=0.5), LA, {})
    assert settings == {
        "structure": "LA",
        "cpu_threads": 1,
        "max_epochs": 152,
        "val_interval": 38,
        "bias_milestones": [50, 100],
    }


def test_changes_stand_over_the_preset_and_each_goes_to_the_run_that_knows_it() -> None:
    changes = {"max_epochs": 7, "threshold": 0.3, "seed": 5}
    training = training_settings(PRESETS["quick"], LA, changes)
    assert (training["max_epochs"], training["seed"], "threshold" in training) == (7, 5, False)
    inference = inference_settings(PRESETS["quick"], LA, changes)
    assert (inference["threshold"], "max_epochs" in inference, "seed" in inference) == (0.3, False, False)


def test_where_a_run_works_is_told_to_training_and_inference_alike() -> None:
    given = {"device": "cuda:1"}
    assert training_settings(PRESETS["quick"], LA, given)["device"] == "cuda:1"
    assert inference_settings(PRESETS["quick"], LA, given)["device"] == "cuda:1"
    assert heart_training_settings(PRESETS["quick"], given)["device"] == "cuda:1"
    assert heart_inference_settings(given)["device"] == "cuda:1"


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_whole_heart_is_trained_by_settings_its_bundle_has_and_validated_at_the_last_epoch(preset: Preset) -> None:
    own = read_settings(heart_configs("train"))
    settings = own | heart_training_settings(preset, {})
    assert set(settings) == set(own)
    assert settings["max_epochs"] % settings["val_interval"] == 0


def test_quick_trains_a_whole_heart_for_fewer_epochs() -> None:
    quick, standard = (heart_training_settings(PRESETS[name], {}) for name in ("quick", "standard"))
    assert standard == {}
    assert quick["max_epochs"] < read_settings(heart_configs("train"))["max_epochs"]


def test_changes_of_a_whole_heart_stand_over_the_preset_and_each_goes_to_the_run_that_knows_it() -> None:
    changes = {"max_epochs": 7, "fallback": "best"}
    training = heart_training_settings(PRESETS["quick"], changes)
    assert (training["max_epochs"], "fallback" in training) == (7, False)
    assert heart_inference_settings(changes) == {"cpu_threads": 1, "save_probability": False, "fallback": "best"}


@pytest.mark.parametrize(("structure", "kept"), [(LA, False), (LAA, True), (CORONARY, True)])
def test_probabilities_are_kept_of_thin_structures_alone(structure: Structure, kept: bool) -> None:
    assert inference_settings(PRESETS["standard"], structure, {})["save_probability"] is kept


def test_masks_are_left_uncleaned_for_the_stage_that_has_a_ledger() -> None:
    given = inference_settings(PRESETS["standard"], CORONARY, {})
    cleaning = ("spare_fraction", "reach_mm", "bridge_mm", "min_volume_mm3")
    assert [given[name] for name in cleaning] == [0.0, 0.0, 0.0, 0.0]
    known = read_settings(stage1_configs(PRESETS["standard"], CORONARY, "inference"))
    assert set(cleaning) <= set(known)


def test_a_structure_without_settings_of_its_own_has_those_of_one_like_it() -> None:
    assert overlay_of(CORONARY) == "Coronary"
    assert {overlay_of(structure) for structure in TOTALSEGMENTATOR_HEART} == {"LA"}


def test_settings_are_read_without_what_is_built_or_computed(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps({"imports": [], "a": 1, "b": "$1 + 1", "c": "@a", "d": {"_target_": "x"}, "e": [2]}))
    second.write_text(json.dumps({"a": 3}))
    assert read_settings((str(first), str(second))) == {"a": 3, "e": [2]}
