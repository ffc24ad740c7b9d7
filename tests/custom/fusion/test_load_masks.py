"""The masks of one case as channels: where its files are looked for, and what they may be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.anatomy import table
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.fusion.load_masks import LoadMasksd, changed_table, find_inputs, label_maps, load_masks
from custom.fusion.stored_probabilities import Probabilities

SHAPE = (5, 7, 11)
AFFINE = np.array([[-2.0, 0, 0, 30], [0, 3.0, 0, -20], [0, 0, 5.0, 10], [0, 0, 0, 1]])
TABLE = table()
LA, LV, PV = (TABLE[name].index for name in ("LA", "LV", "PV"))


def labels_with(**places: tuple[int, int, int]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for name, place in places.items():
        labels[place] = TABLE[name].index
    return labels


def write(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    write_label_map(path, array, affine, array.dtype)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A folder of two label maps, ``a`` and ``b``; LA at one voxel, LV at another."""
    for case in "ab":
        write(tmp_path / "labels" / f"{case}.nii.gz", labels_with(LA=(1, 2, 3), LV=(4, 6, 10)))
    return tmp_path / "labels"


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """A folder of masks of LA, of cases ``a`` and ``b``, elsewhere than in the label maps."""
    for case in "ab":
        write(tmp_path / "masks" / "LA" / f"{case}.nii.gz", (labels_with(LA=(2, 3, 4)) == LA).astype(np.uint8))
    return tmp_path / "masks"


def refusal(action: Any, *arguments: Any) -> str:
    with pytest.raises(InputError) as raised:
        action(*arguments)
    return str(raised.value)


def places_of(channels: np.ndarray, name: str) -> list[list[int]]:
    return np.argwhere(channels[sorted(TABLE.indices).index(TABLE[name].index)]).tolist()


def test_every_structure_of_a_label_map_becomes_a_channel_in_the_order_of_the_indices(labels: Path) -> None:
    first, second = find_inputs(labels)
    assert (first.case, second.case) == ("a", "b")
    channels, grid = load_masks(first, TABLE)
    assert channels.shape == (10, *SHAPE)
    assert channels.dtype == np.uint8
    assert np.argwhere(channels).tolist() == [[LA - 1, 1, 2, 3], [LV - 1, 4, 6, 10]]
    assert np.array_equal(grid.affine, AFFINE)


def test_a_structure_with_a_folder_of_masks_is_taken_from_it_and_the_others_from_the_label_map(
    labels: Path, masks: Path
) -> None:
    channels, _ = load_masks(find_inputs(labels, masks)[0], TABLE)
    assert places_of(channels, "LA") == [[2, 3, 4]]
    assert places_of(channels, "LV") == [[4, 6, 10]]
    assert channels.sum() == 2


def test_masks_alone_are_cases_too_and_structures_without_a_folder_are_absent(masks: Path) -> None:
    write(masks / "PV" / "b.nii.gz", (labels_with(PV=(0, 0, 10)) == PV).astype(np.uint8))
    write(masks / "PV" / "c.nii.gz", np.zeros(SHAPE, np.uint8))
    (masks / "LA" / "scores.csv").write_text("")
    inputs = find_inputs("", masks)
    assert [one.case for one in inputs] == ["a", "b", "c"]
    channels, grid = load_masks(inputs[1], TABLE)
    assert places_of(channels, "LA") == [[2, 3, 4]]
    assert places_of(channels, "PV") == [[0, 0, 10]]
    assert channels.sum() == 2
    assert np.array_equal(grid.affine, AFFINE)
    assert refusal(inputs[0].check).startswith(f"{masks}/PV/a.nii.gz: found no such file")
    assert refusal(inputs[2].check).startswith(f"{masks}/LA/c.nii.gz: found no such file")
    inputs[1].check()


def test_a_mask_that_is_not_packed_is_taken_too(masks: Path) -> None:
    (masks / "LA" / "a.nii.gz").unlink()
    write(masks / "LA" / "a.nii", np.ones(SHAPE, np.uint8))
    channels, _ = load_masks(find_inputs("", masks)[0], TABLE)
    assert channels[LA - 1].all() and channels.sum() == channels[0].size


def test_the_order_of_the_channels_is_that_of_the_indices_whatever_that_of_the_table(labels: Path) -> None:
    turned = type(TABLE)("turned", TABLE.structures[::-1])
    channels, _ = load_masks(find_inputs(labels, "", turned)[0], turned)
    assert np.argwhere(channels).tolist() == [[LA - 1, 1, 2, 3], [LV - 1, 4, 6, 10]]


@pytest.mark.parametrize("value", [2, 255])
def test_a_mask_of_other_values_than_0_and_1_is_refused(value: int, masks: Path) -> None:
    write(masks / "LA" / "a.nii.gz", np.full(SHAPE, value, np.uint8))
    message = refusal(load_masks, find_inputs("", masks)[0], TABLE)
    assert message.startswith(f"{masks}/LA/a.nii.gz: found the label values {value}; wanted 0 (background) or")


def test_files_of_one_case_lie_on_one_grid(labels: Path, masks: Path) -> None:
    write(masks / "LA" / "a.nii.gz", np.ones((5, 7, 12), np.uint8))
    message = refusal(load_masks, find_inputs(labels, masks)[0], TABLE)
    assert message == (
        f"{masks}/LA/a.nii.gz: found a grid of (5, 7, 12); wanted that of {labels}/a.nii.gz, (5, 7, 11). "
        "Give files of one case on one grid."
    )
    moved = AFFINE + np.array([[0, 0, 0, 1.0], [0] * 4, [0] * 4, [0] * 4])
    write(masks / "LA" / "b.nii.gz", np.ones(SHAPE, np.uint8), moved)
    message = refusal(load_masks, find_inputs(labels, masks)[1], TABLE)
    assert "b.nii.gz: found voxels at other places in the world (origin [31.0, -20.0, 10.0] mm)" in message
    write(masks / "LA" / "b.nii.gz", np.ones(SHAPE, np.uint8), AFFINE + 1e-4)
    load_masks(find_inputs(labels, masks)[1], TABLE)


def test_probabilities_are_those_of_thin_structures_and_read_when_asked_for(labels: Path, masks: Path) -> None:
    half, empty = np.full(SHAPE, 0.5, np.float32), np.zeros(SHAPE, np.uint8)
    write(masks / "PV" / "a.nii.gz", empty)
    write(masks / "PV" / "b.nii.gz", empty)
    for name in ("PV", "LA"):
        write(masks / name / "probability" / "a.nii.gz", half)
    ask = Probabilities(masks, TABLE)
    assert {name: values.tolist() for name, values in ask("a").items()} == {"PV": half.tolist()}
    assert ask("b") == {}
    assert Probabilities("", TABLE)("a") == {}
    inputs = find_inputs(labels, masks)
    assert [dict(one.probabilities) for one in inputs] == [{"PV": masks / "PV" / "probability" / "a.nii.gz"}, {}]
    assert list(inputs[0].fingerprints()) == ["labels", "mask LA", "mask PV", "probability PV"]
    load_masks(inputs[0], TABLE)
    write(masks / "PV" / "probability" / "a.nii.gz", half[1:])
    assert "probability/a.nii.gz: found a grid of (4, 7, 11)" in refusal(load_masks, inputs[0], TABLE)


def test_the_transform_puts_masks_and_affine_in(labels: Path) -> None:
    load = LoadMasksd("image", find_inputs(labels), TABLE)
    item = load({"case": "b", "image": None})
    assert item["case"] == "b"
    assert np.argwhere(item["image"].numpy()).tolist() == [[LA - 1, 1, 2, 3], [LV - 1, 4, 6, 10]]
    assert np.array_equal(item["image"].affine.numpy(), AFFINE)


def test_a_data_list_and_one_file_are_data_sets_and_faulty_files_are_listed_too(labels: Path, tmp_path: Path) -> None:
    (labels / "c.nii.gz").write_bytes(b"x")
    (tmp_path / "list.json").write_text(json.dumps({"training": [{"label": "labels/b.nii.gz"}]}))
    assert list(label_maps(labels)) == ["a", "b", "c"]
    assert label_maps(tmp_path / "list.json") == {"b": labels / "b.nii.gz"}
    assert label_maps(labels / "a.nii.gz") == {"a": labels / "a.nii.gz"}
    assert "c.nii.gz: found a file that cannot be opened" in refusal(find_inputs(labels)[2].check)
    (labels / "a.nii").write_bytes(b"x")
    assert "found 1 case names used twice ('a': " in refusal(label_maps, labels)


def test_a_folder_without_masks_is_refused(labels: Path, tmp_path: Path) -> None:
    assert f"{labels}: found no folder of a structure in it; wanted at least one" in refusal(find_inputs, "", labels)
    assert "nowhere: found no such folder" in refusal(find_inputs, labels, tmp_path / "nowhere")
    assert "nowhere: found no such file or folder" in refusal(find_inputs, tmp_path / "nowhere")


def test_fingerprints_change_with_the_files_content_and_with_nothing_else(labels: Path, tmp_path: Path) -> None:
    (first, _) = find_inputs(labels)
    before = first.fingerprints()
    assert list(before) == ["labels"]
    (labels / "a.nii.gz").touch()
    shutil.copytree(labels, tmp_path / "moved")
    assert first.fingerprints() == find_inputs(tmp_path / "moved")[0].fingerprints() == before
    write(labels / "a.nii.gz", np.zeros(SHAPE, np.uint8))
    assert first.fingerprints() != before


def test_a_table_is_changed_by_what_a_user_writes() -> None:
    assert changed_table("public_cardiac_ct", {}) == TABLE
    assert changed_table("public_cardiac_ct", {"PV": {"components": 4}})["PV"].components == 4
    for changes in ({"PV": 4}, ["PV"], "PV", 3):
        assert refusal(changed_table, "public_cardiac_ct", changes).startswith("--table_changes: found ")
