"""What is taken from unseen hearts, and what their completion is compared with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.mean_shape_baselines import DrawnHearts, MeanHeart, boxes_of, nearest_labels
from benchmarks.unified_unseen_hearts import PARTS, WAYS, Part, main, table_of
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.space import Frame

LA, PV, RV = (PUBLIC_CARDIAC_CT[name].index for name in ("LA", "PV", "RV"))


def box(shift: int = 0) -> np.ndarray:
    labels = np.zeros((13, 17, 19), np.uint8)
    labels[2 + shift : 7 + shift, 3:9, 4:12] = LA
    labels[8 + shift : 11 + shift, 5:12, 5:9] = RV
    return labels


def test_structures_and_slices_are_taken_away() -> None:
    labels = box()
    labels[0, 0, 0] = PV
    without = Part(("LA", "PV")).of(labels)
    assert set(np.unique(without)) == {0, RV}
    np.testing.assert_array_equal(Part().of(labels), labels)
    sliced = Part(every=4, axis=1).of(labels)
    assert np.flatnonzero(sliced.any(axis=(0, 2))).tolist() == [6, 10]
    np.testing.assert_array_equal(sliced[:, 6], labels[:, 6])


def test_all_parts_name_structures_and_take_none_two_or_four() -> None:
    for part in PARTS.values():
        assert len({PUBLIC_CARDIAC_CT[name].index for name in part.removed}) in (0, 2, 4)


def test_the_mean_of_one_heart_is_that_heart() -> None:
    mean = MeanHeart([box()], side=64)
    drawn = mean.labels([np.linspace(-1, 1, count) for count in box().shape])
    assert (drawn == box()).mean() > 0.99


def test_the_mean_of_two_is_between_them_and_another_grid_is_as_good() -> None:
    drawn = MeanHeart([box(), box(2)]).labels([np.linspace(-1, 1, 2 * count - 1) for count in box().shape])
    assert drawn.shape == (25, 33, 37)
    held = np.flatnonzero((drawn == LA).any(axis=(1, 2))) / 2
    assert 2 <= held[0] <= 4 and 6 <= held[-1] <= 8


def test_the_nearest_heart_is_the_one_that_agrees_with_what_is_given() -> None:
    frame = Frame(np.eye(4), (25, 27, 29), (3, 4, 5), (21, 20, 17))
    content = {"cases": ["a"], "frames": {"a": frame.to_dict()}}
    boxes = [box(2), box()]
    hearts = DrawnHearts(boxes, content)
    whole = hearts.whole(0, box())
    given = np.where(whole == RV, 0, whole)  # the right ventricle is not given
    found = hearts.nearest(0, given)
    np.testing.assert_array_equal(found, whole)
    np.testing.assert_array_equal(boxes_of({"a": whole}, content)[0], box())
    np.testing.assert_array_equal(nearest_labels(box(), [np.linspace(-1, 1, n) for n in box().shape]), box())
    assert hearts.mean_labels(0).shape == (25, 27, 29)


def test_given_and_removed_structures_are_shown_apart() -> None:
    dices = dict.fromkeys(PUBLIC_CARDIAC_CT.names, 0.9) | {"LAA": 0.2, "PV": 0.4}
    result = {"name": "2 removed: LAA PV", **dict.fromkeys(WAYS, dices)}
    given, removed = table_of([result]).splitlines()[2:]
    assert given.split("|")[2].strip() == "given" and given.split("|")[3].strip() == "0.900"
    assert removed.split("|")[2].strip() == "removed" and removed.split("|")[3].strip() == "0.300"


def test_unseen_hearts_are_completed_and_compared(tmp_path: Path) -> None:
    parts = ["2 removed: RV PA", "one slice in six"]
    sizes = {"cases": 3, "unseen": 1, "size": 32, "epochs": 40, "fit_epochs": 5}
    main(str(tmp_path), parts=parts, quick=True, **sizes)
    found = json.loads((tmp_path / "unseen.json").read_text())
    assert [one["name"] for one in found["parts"]] == parts
    removed = found["parts"][0]
    for way in WAYS:
        assert set(removed[way]) <= set(PUBLIC_CARDIAC_CT.names)
    assert removed["mean_labels"]["RV"] > 0.3
    assert removed["nearest"]["RV"] > 0.3
    (given,) = tmp_path.glob("as_configured_*/2_removed_RV_PA_5_*/given/*.nii.gz")
    before = given.stat().st_mtime_ns
    main(str(tmp_path), parts=parts, quick=True, **sizes)
    assert given.stat().st_mtime_ns == before
    assert json.loads((tmp_path / "unseen.json").read_text())["parts"] == found["parts"]
    with pytest.raises(KeyError):
        main(str(tmp_path), form="sphere", **sizes)
