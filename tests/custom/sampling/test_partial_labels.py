"""What nobody has labelled is not answered: absent structures, the outside of the volume, slices between slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.sampling.partial_labels import UNKNOWN, LabelledSlicesd, RandLabelledPointsd
from custom.sampling.whole_heart_points import HeartPlacesd, RandHeartPointsd
from custom.space import Frame, unit_to_index

INDICES = PUBLIC_CARDIAC_CT.indices
LV, CORONARY = PUBLIC_CARDIAC_CT["LV"].index, PUBLIC_CARDIAC_CT["Coronary"].index
SHAPE = (11, 13, 17)


def heart() -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[2:8, 3:9, 4:11] = LV
    labels[1:10, 11, 14] = CORONARY
    return labels


def item_of(labels: np.ndarray, axis: int | None = None, inside: Any = None) -> dict[str, Any]:
    frame = Frame(np.eye(4), SHAPE[::-1], (0, 0, 0), tuple(size - 1 for size in SHAPE[::-1]))  # type: ignore[arg-type]
    counts = np.bincount(labels.ravel(), minlength=256)[list(INDICES)]
    item = {
        "label": torch.from_numpy(labels)[None],
        "label_frame": frame.to_dict(),
        "label_voxels": torch.from_numpy(counts),
        "label_extents": torch.zeros(len(INDICES), 2, 3),
        "label_inside": torch.tensor([[0, 0, 0], [size - 1 for size in SHAPE]] if inside is None else inside),
        "index": 3,
    }
    return HeartPlacesd("label")(LabelledSlicesd("label", axis)(item))


def sampling(**settings: Any) -> RandLabelledPointsd:
    return RandLabelledPointsd("label", 40, 0, 30, 20, seed=1, **settings)


def positions(drawn: dict[str, Any]) -> np.ndarray:
    return unit_to_index(drawn["image"].numpy().T.astype(np.float64), SHAPE)


def test_with_everything_known_it_draws_what_the_plain_one_draws() -> None:
    one, other = sampling()(item_of(heart())), RandHeartPointsd("label", 40, 0, 30, 20, seed=1)(item_of(heart()))
    assert torch.equal(one["image"], other["image"]) and torch.equal(one["label"], other["label"])


def test_nothing_but_points_targets_and_the_case_is_left() -> None:
    assert set(sampling()(item_of(heart()))) == {"image", "label", "index"}


def test_an_absent_structure_is_empty_or_unknown_as_the_setting_says() -> None:
    absent = [channel for channel, index in enumerate(INDICES) if index not in (LV, CORONARY)]
    empty, unknown = (
        sampling(missing_structures=word)(item_of(heart()))["label"][absent] for word in ("empty", "unknown")
    )
    assert (empty == 0).all()
    assert (unknown == UNKNOWN).all()


def test_a_present_structure_is_known_either_way() -> None:
    present = [INDICES.index(LV), INDICES.index(CORONARY)]
    one, other = (
        sampling(missing_structures=word)(item_of(heart()))["label"][present] for word in ("empty", "unknown")
    )
    assert torch.equal(one, other) and (one >= 0).all() and one.max() > 0.99


def test_a_structure_called_unlabelled_is_unknown_although_it_is_there() -> None:
    drawn = sampling(unlabelled=["coronary"])(item_of(heart()))["label"]
    assert (drawn[INDICES.index(CORONARY)] == UNKNOWN).all()
    assert (drawn[INDICES.index(LV)] >= 0).all()


def test_beyond_the_volume_nothing_is_known_of_any_structure() -> None:
    drawn = sampling()(item_of(heart(), inside=[[0, 0, 5], [10, 12, 16]]))
    beyond = positions(drawn)[:, 2] < 4.5
    assert 5 < beyond.sum() < len(beyond) - 5
    assert (drawn["label"][:, beyond] == UNKNOWN).all()
    assert (drawn["label"][:, ~beyond] >= 0).all()


def test_points_lie_in_labelled_slices_and_answer_what_is_drawn_there() -> None:
    """Voxel axis 2 runs along d: of eleven slices three are labelled, those between are not taken for background."""
    labels = heart()
    labels[[0, 1, 3, 4, 6, 7, 8, 9, 10]] = 0
    drawn = sampling()(item_of(labels, axis=2))
    at = positions(drawn)
    np.testing.assert_allclose(at[:, 0], np.rint(at[:, 0]), atol=1e-5)
    assert set(np.rint(at[:, 0]).astype(int)) == {2, 5}
    deep = ((at[:, 1:] > [3.6, 4.6]) & (at[:, 1:] < [7.4, 9.4])).all(axis=1)
    assert deep.sum() > 5
    np.testing.assert_allclose(drawn["label"].numpy()[INDICES.index(LV), deep], 1.0, atol=1e-5)


def test_a_box_of_background_has_no_labelled_slices_and_is_left_whole() -> None:
    item = item_of(np.zeros(SHAPE, dtype=np.uint8), axis=1)
    assert "label_slices" not in item and item["label"].shape == (1, *SHAPE)


def test_another_word_for_absent_is_refused() -> None:
    with pytest.raises(InputError, match="--missing_structures: found 'missing'; wanted one of empty, unknown"):
        sampling(missing_structures="missing")
