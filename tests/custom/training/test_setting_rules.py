"""Which values a setting may have: every number of every config has a rule, and every rule refuses something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.errors import InputError
from custom.training.setting_rules import RULES, check_settings, is_expression

CONFIGS = [
    path
    for path in sorted((Path(__file__).resolve().parents[3] / "bundles").glob("*/configs/**/*.json"))
    if path.name != "metadata.json"
]


def refusal(**config: Any) -> str:
    with pytest.raises(InputError) as raised:
        check_settings(config)
    return str(raised.value)


def test_every_number_list_and_flag_at_the_top_of_a_config_has_a_rule() -> None:
    swept = set()
    for path in CONFIGS:
        for key, value in json.loads(path.read_text()).items():
            values = value if isinstance(value, list) else [value]
            if values and all(isinstance(one, (bool, int, float)) for one in values):
                swept.add(key)
    assert len(CONFIGS) > 10
    assert {"resolution", "learning_rate", "threshold", "resume", "tolerance_mm"} <= swept
    assert swept - set(RULES) == set()


def test_every_config_obeys_the_rules() -> None:
    for path in CONFIGS:
        check_settings(json.loads(path.read_text()))


@pytest.mark.parametrize("key", sorted(RULES))
def test_every_rule_refuses_an_object_and_says_what_it_wants(key: str) -> None:
    text = refusal(**{key: object()})
    assert text.startswith(f"--{key}: found <object")
    assert f"wanted {RULES[key].wanted}. " in text


@pytest.mark.parametrize(
    "key", ["max_epochs", "batch_size", "points_per_case", "latent_size", "stride", "val_interval"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, "7", True, None])
def test_a_count_is_a_whole_number_of_at_least_1(key: str, value: Any) -> None:
    assert refusal(**{key: value}) == (
        f"--{key}: found {value!r}; wanted a whole number of at least 1. "
        "Correct it; docs/README.md of the bundle lists the settings."
    )
    check_settings({key: 1})
    check_settings({key: np.int64(1)})


@pytest.mark.parametrize("key", ["resume", "codes_on_disk"])
def test_a_flag_in_the_spelling_of_json_is_answered_by_that_of_a_command_line(key: str) -> None:
    assert "on a command line True or False" in refusal(**{key: "false"})


@pytest.mark.parametrize(
    ("key", "refused", "taken"),
    [
        ("resolution", [1, 0, -3, 24.0], [2, 128]),
        ("margin", [-1, 0.5], [0, 10]),
        ("band_radius", [0], [1]),
        ("code_side", [-1], [0, 16]),
        ("seed", [-1, 1.5], [0]),
        ("learning_rate", [0, -1, float("nan"), float("inf"), "fast"], [1e-9, 1]),
        ("latent_weight", [-1e-9, float("nan")], [0, 0.1]),
        ("threshold", [-0.1, 1.1, float("nan")], [0, 0.5, 1]),
        ("tolerance_mm", [0], [0.1]),
        ("spacing_mm", [0, -1, 0.01, "fine"], [None, 0.05, 1]),
        ("loss", ["mse", None], ["bce", "dice_focal"]),
        ("resume", ["no", 0, None], [True, False]),
        ("output_dir", [2024, None], ["2024", Path("out")]),
        ("device", ["gpu", "cudaa", 1.5], ["cpu"]),
        ("bias_ratios", [0.5, [], [1.1], [-0.1], ["a"]], [[0.5], (0, 1)]),
        ("bias_milestones", [3, [5, 2], [0], [1.5]], [[], [5, 5], (2, 9)]),
        ("trunk_channels", [16, [], [0], [-8], [8.0]], [[8], [13, 7]]),
        ("mlp_widths", [[8, 8], [], [8, 8, 8, 0], [8] * 5], [[8, 7, 6, 5]]),
    ],
)
def test_what_is_refused_and_what_is_taken(key: str, refused: list[Any], taken: list[Any]) -> None:
    for value in refused:
        assert refusal(**{key: value}).startswith(f"--{key}: found {value!r}; wanted ")
    for value in taken:
        check_settings({key: value})


def test_one_ratio_more_than_milestones_is_wanted() -> None:
    text = refusal(bias_ratios=[0.5, 0.1], bias_milestones=[10, 20])
    assert "found 2 ratios and 2 milestones; wanted one ratio more" in text
    assert "Give 1 --bias_milestones, or 3 --bias_ratios." in text
    check_settings({"bias_ratios": [0.5, 0.3, 0.1], "bias_milestones": [10, 20]})


def test_channels_are_multiples_of_8_only_where_they_are_normalised_in_groups() -> None:
    assert "found [16, 12]; wanted multiples of 8" in refusal(trunk_channels=[16, 12], code_side=0)
    check_settings({"trunk_channels": [16, 12], "code_side": 8})


def test_what_is_still_to_be_computed_is_passed_over() -> None:
    config = {
        "max_epochs": "$2 * 3",
        "learning_rate": "@rate",
        "device": "$torch.device('x')",
        "seed": {"_target_": "x"},
    }
    assert all(map(is_expression, config.values()))
    check_settings(config)
