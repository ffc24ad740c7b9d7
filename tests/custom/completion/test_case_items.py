"""Which cases are trained on, which are held out, and what is labelled in each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.anatomy import table
from custom.completion.case_items import completion_items, split
from custom.data.label_maps import write_label_map
from custom.errors import InputError

NAMES = table().names


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    for name in "abcde":
        write_label_map(tmp_path / f"{name}.nii.gz", np.ones((3, 5, 7), np.uint8), np.eye(4))
    return tmp_path


def listing(folder: Path, content: Any) -> Path:
    path = folder / "cases.json"
    path.write_text(json.dumps(content))
    return path


def test_in_a_folder_everything_may_be_labelled_and_a_share_is_held_out(labels: Path) -> None:
    items = completion_items(labels)
    assert [item["case"] for item in items] == list("abcde")
    assert all(item["labelled"] == [True] * 10 for item in items)
    training, validation = split(items, 0.4, seed=3)
    assert (len(training), len(validation)) == (3, 2)
    assert {item["case"] for item in training + validation} == set("abcde")
    assert split(items, 0.4, seed=3) == (training, validation)
    assert len({str(split(items, 0.4, seed)) for seed in range(9)}) > 3


def test_a_list_says_what_is_labelled_and_what_is_held_out(labels: Path) -> None:
    content = {
        "training": [{"label": "a.nii.gz"}, {"label": "b.nii.gz", "labelled": ["lv", "Myocardium"]}],
        "validation": [{"label": "e.nii.gz", "labelled": ["PV"]}],
    }
    items = completion_items(listing(labels, content))
    assert [(item["case"], item["index"]) for item in items] == [("a", 0), ("b", 1), ("e", 2)]
    told = [{name for name, there in zip(NAMES, item["labelled"], strict=True) if there} for item in items]
    assert told == [set(NAMES), {"LV", "Myocardium"}, {"PV"}]
    training, validation = split(items, 0.5)
    assert [[item["case"] for item in part] for part in (training, validation)] == [["a", "b"], ["e"]]


def test_with_one_case_or_a_share_of_0_all_are_for_both(labels: Path) -> None:
    items = completion_items(labels)
    assert split(items[:1], 0.5) == (items[:1], items[:1])
    assert split(items, 0) == (items, items)


def test_at_least_one_is_held_out_and_at_least_one_is_left(labels: Path) -> None:
    items = completion_items(labels)[:2]
    for share in (0.01, 0.9):
        assert [len(part) for part in split(items, share)] == [1, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"label": "a.nii.gz", "labelled": []}], r"labelled = \[\] of a.nii.gz"),
        ([{"label": "a.nii.gz", "labelled": "LV"}], "labelled = 'LV'"),
        ([{"label": "a.nii.gz", "labelled": ["LW"]}], "'LW'"),
        ({"training": ["a.nii.gz"], "validation": ["a.nii.gz"]}, "a in both groups"),
        ({"training": ["a.nii.gz"], "validation": ["z.nii.gz"]}, "z.nii.gz"),
    ],
)
def test_a_faulty_list_is_refused(labels: Path, content: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        completion_items(listing(labels, content))
