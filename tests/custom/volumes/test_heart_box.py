"""A label map becomes the box of its whole heart, its own voxels, in unit order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.space import Frame
from custom.volumes.heart_box import HeartBoxd

SHAPE = (23, 29, 31)
LV, PA, PV = (PUBLIC_CARDIAC_CT[name].index for name in ("LV", "PA", "PV"))


def heart() -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[5:12, 6:17, 7:20] = LV
    labels[9:14, 10:15, 20:26] = PA
    return labels


def item_of(labels: np.ndarray, affine: np.ndarray | None = None) -> dict[str, Any]:
    grid = np.diag([2.0, 1.5, 1.0, 1.0]) if affine is None else affine
    return {"label": MetaTensor(torch.from_numpy(labels)[None], affine=torch.from_numpy(grid)), "case": "one"}


def test_the_box_is_that_of_all_structures_and_the_margin_with_the_voxels_themselves() -> None:
    labels = heart()
    item = HeartBoxd("label", margin=2)(item_of(labels))
    frame = Frame.from_dict(item["label_frame"])
    assert (frame.low_ijk, frame.high_ijk) == ((3, 4, 5), (15, 18, 27))
    assert item["label"].dtype == torch.uint8
    assert np.array_equal(item["label"][0].numpy(), labels[3:16, 4:19, 5:28].transpose(2, 1, 0))


def test_counts_and_extents_are_those_of_the_table_in_its_order() -> None:
    item = HeartBoxd("label", margin=0)(item_of(heart()))
    counts = dict(zip(PUBLIC_CARDIAC_CT.names, item["label_voxels"].tolist(), strict=True))
    assert counts == dict.fromkeys(PUBLIC_CARDIAC_CT.names, 0) | {"LV": 7 * 11 * 13, "PA": 5 * 5 * 6}
    extents = dict(zip(PUBLIC_CARDIAC_CT.names, item["label_extents"].numpy(), strict=True))
    # The box is i 5..13, j 6..16, k 7..25: LV starts at its corner and ends at i 11, j 16, k 19.
    np.testing.assert_allclose(extents["LV"], [[-1, -1, -1], [0.5, 1, 2 * 12 / 18 - 1]], atol=1e-6)
    assert np.isnan(extents["PV"]).all()


def test_a_case_that_lacks_a_structure_is_boxed_where_a_whole_heart_would_lie() -> None:
    """Without PA the heart ends at the ventricle's roof; the usual heart goes on above it."""
    complete = HeartBoxd("label", margin=0)(item_of(heart()))
    usual = dict(zip(PUBLIC_CARDIAC_CT.names, complete["label_extents"].tolist(), strict=True))
    known = {name: usual[name] for name in ("LV", "PA")}
    lacking = np.where(heart() == PA, 0, heart()).astype(np.uint8)
    own = HeartBoxd("label", margin=0)(item_of(lacking))
    expected = HeartBoxd("label", margin=0, typical_extents=known)(item_of(lacking))
    assert own["label_frame"]["high_ijk"][2] == 19
    assert expected["label_frame"] == complete["label_frame"]


def test_with_every_usual_structure_there_the_box_is_its_own() -> None:
    usual = {"LV": [[-0.1] * 3, [0.1] * 3], "PA": [[-0.1] * 3, [0.1] * 3]}
    with_usual, without = (HeartBoxd("label", typical_extents=given)(item_of(heart())) for given in (usual, None))
    assert with_usual["label_frame"] == without["label_frame"]


def test_what_is_called_unlabelled_counts_as_background() -> None:
    item = HeartBoxd("label", margin=0, unlabelled=["pa"])(item_of(heart()))
    assert item["label_frame"]["high_ijk"] == [11, 16, 19]
    assert set(np.unique(item["label"].numpy())) == {LV}


def test_a_far_crumb_does_not_widen_the_box_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    labels = heart()
    labels[22, 28, 30] = PV
    with caplog.at_level("INFO"):
        item = HeartBoxd("label", margin=1)(item_of(labels))
    assert item["label_frame"]["high_ijk"] == [14, 17, 26]
    assert "one: 1 voxels of far crumbs left out" in caplog.text


def test_a_background_map_has_an_empty_frame_and_says_nothing_of_any_structure() -> None:
    item = HeartBoxd("label")(item_of(np.zeros(SHAPE, dtype=np.uint8)))
    assert Frame.from_dict(item["label_frame"]).empty
    assert item["label"].shape == (1, 1, 1, 1)
    assert not item["label_voxels"].any() and torch.isnan(item["label_extents"]).all()


def test_a_full_volume_is_its_own_box() -> None:
    item = HeartBoxd("label", margin=3)(item_of(np.full(SHAPE, LV, dtype=np.uint8)))
    assert item["label"].shape == (1, 31, 29, 23)
    assert item["label_inside"].tolist() == [[0, 0, 0], [30, 28, 22]]
