"""The lists: a patient in one split, slices chosen by structure, axis and size."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.errors import InputError
from custom.slices.slice_datalist import CachedCase, find_slices, find_volumes, read_listing, write_listing


def case(name: str, patient: str) -> CachedCase:
    rows = tuple(
        (f"{name}/{name}-ax{axis}-00{k}.npz", axis, k, (k * 10, 0, 0, 0, 3)) for axis in range(3) for k in range(2)
    )
    return CachedCase(name, patient, f"{name}/{name}-sdf.npz", rows)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    cases = [case("s2", "anna"), case("s1", "anna"), case("s3", "berta")]
    write_listing(tmp_path, cases, {"anna": "training", "berta": "test"}, TOTALSEGMENTATOR_HEART)
    return tmp_path


def test_all_slices_of_all_cases_of_a_patient_are_in_its_split(cache: Path) -> None:
    _, lists = read_listing(cache)
    assert {split: sorted({item["case"] for item in items}) for split, items in lists.items()} == {
        "training": ["s1", "s2"],
        "validation": [],
        "test": ["s3"],
    }
    assert [item["case"] for item in find_volumes(cache, "training")] == ["s1", "s2"]
    assert Path(find_volumes(cache, "test")[0]["sdf"]) == cache.absolute() / "s3" / "s3-sdf.npz"
    with (cache / "datalist.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 18 and {(row["patient"], row["split"]) for row in rows} == {
        ("anna", "training"),
        ("berta", "test"),
    }
    assert rows[1]["pixels heart_atrium_left"] == "10"


def test_slices_are_chosen_by_structure_axis_and_pixels(cache: Path) -> None:
    assert len(find_slices(cache)) == 12
    chosen = find_slices(cache, structure="heart_atrium_left", axes=(1,))
    assert [(item["case"], item["axis"], item["slice_idx"]) for item in chosen] == [("s1", 1, 1), ("s2", 1, 1)]
    assert chosen[0]["structure"] == "heart_atrium_left"
    assert len(find_slices(cache, "test", structure=5, least_pixels=3)) == 6
    with pytest.raises(InputError, match="no slice for test .* of heart_myocardium"):
        find_slices(cache, "test", structure=5, least_pixels=4)
    for ask in (find_slices, find_volumes):
        with pytest.raises(InputError, match="no .* for validation"):
            ask(cache, "validation")
        with pytest.raises(InputError, match="split: found 'val'"):
            ask(cache, "val")


def test_a_list_with_a_patient_in_two_splits_or_none_at_all_is_refused(cache: Path) -> None:
    content = json.loads((cache / "datalist.json").read_text())
    content["validation"] = content["training"][:1]
    (cache / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="the patient 'anna' in training and in validation"):
        read_listing(cache)
    (cache / "datalist.json").write_text("[]")
    with pytest.raises(InputError, match="something else"):
        read_listing(cache)
    with pytest.raises(InputError, match="no such file"):
        read_listing(cache / "nowhere")
