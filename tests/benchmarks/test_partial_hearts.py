"""Hearts with parts taken away, and the grid the baselines work on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.partial_hearts import (
    INDICES,
    NAMES,
    REDRAWN,
    WHOLE,
    Canvas,
    Heart,
    canvas_of,
    hearts_in,
    parts_but_one,
    parts_of,
)
from custom.completion.hide_structures import SCHEMES
from custom.data.label_maps import write_label_map
from custom.errors import InputError


def heart(*structures: str, shape: tuple[int, int, int] = (11, 13, 17)) -> Heart:
    """One plane of voxels for each structure."""
    labels = np.zeros(shape, np.uint8)
    for place, name in enumerate(structures):
        labels[place] = INDICES[NAMES.index(name)]
    return Heart("one", labels, np.eye(4), (1.0, 1.0, 1.0))


def shown_by(one: Heart) -> dict[str, list[str]]:
    return {part.name: [NAMES[channel] for channel in np.flatnonzero(part.shown)] for part in parts_of(one, 0)}


def test_so_many_structures_are_missing_as_the_part_says() -> None:
    parts = shown_by(heart(*NAMES))
    assert parts[WHOLE] == list(NAMES)
    assert [len(parts[f"{count} missing"]) for count in (1, 2, 3, 4, 5)] == [9, 8, 7, 6, 5]
    assert parts[REDRAWN] == parts["3 missing"]
    for scheme, hidden in SCHEMES.items():
        assert parts[scheme] == [name for name in NAMES if name not in hidden]


def test_only_the_whole_heart_and_one_part_draw_anew_what_is_given() -> None:
    assert {part.name for part in parts_of(heart(*NAMES), 0) if part.anew} == {WHOLE, REDRAWN}


def test_a_draw_depends_on_the_case_and_the_seed_alone() -> None:
    one = heart(*NAMES)
    again = [part.shown.tolist() for part in parts_of(heart(*NAMES), 3)]
    assert [part.shown.tolist() for part in parts_of(one, 3)] == again
    assert [part.shown.tolist() for part in parts_of(one, 4)] != again
    assert [part.shown.tolist() for part in parts_of(one, 3, seed=1)] != again


def test_a_scheme_that_takes_nothing_or_all_is_left_out() -> None:
    parts = shown_by(heart("LA", "RA"))
    assert parts["1 missing"] in (["LA"], ["RA"])
    assert "no_coronaries" not in parts and "no_atria" not in parts
    assert parts["no_right_heart"] == ["LA"]


def test_each_structure_is_missing_once_and_a_single_one_never() -> None:
    parts = parts_but_one(heart("LA", "PV", "Aorta"))
    assert [part.name for part in parts] == [WHOLE, "without LA", "without Aorta", "without PV"]
    assert [NAMES[channel] for channel in np.flatnonzero(parts[2].shown)] == ["LA", "PV"]
    assert [part.name for part in parts_but_one(heart("LA"))] == [WHOLE]


def test_what_is_not_shown_is_background() -> None:
    one = heart("LA", "PV", "Aorta")
    left = one.only(parts_but_one(one)[2].shown)
    assert np.unique(left[0]).tolist() == [INDICES[NAMES.index("LA")]]
    assert not left[2].any()
    assert one.present.sum() == 3


def test_a_canvas_takes_what_lies_at_the_same_place_in_the_world() -> None:
    canvas, affine = Canvas(5, 2.0), np.diag([-1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = 70, -30, 10
    labels = np.zeros((11, 13, 7), np.uint8)
    labels[5, 6, 3] = 4  # the middle of the grid
    labels[1:4, 6, 3] = 7  # +2 to +4 mm along x, where i runs backwards
    taken = canvas.take(labels, affine)
    assert taken.shape == (5, 5, 5)
    assert taken[2, 2, 2] == 4 and taken[3, 2, 2] == 7 and taken[4, 2, 2] == 7 and taken[1, 2, 2] == 0


def test_a_canvas_gives_values_back_linearly_where_they_were_taken() -> None:
    canvas, affine = Canvas(5, 2.0), np.diag([-1.0, 1.0, 2.0, 1.0])
    ramp = np.broadcast_to(np.arange(5.0, dtype=np.float32)[:, None, None], (5, 5, 5))
    given = canvas.give(ramp, affine, (7, 5, 3))
    np.testing.assert_allclose(given[:, 2, 1], [3.5, 3.0, 2.5, 2.0, 1.5, 1.0, 0.5], atol=1e-5)
    np.testing.assert_allclose(canvas.give(ramp, np.diag([2.0, 2, 2, 1]), (5, 5, 5)), ramp)


def test_the_canvas_of_phantoms_is_their_grid_and_other_hearts_have_none(tmp_path: Path) -> None:
    labels = np.zeros((7, 7, 7), np.uint8)
    labels[1:3, 2:4, 3:6] = 2
    write_label_map(tmp_path / "b.nii.gz", labels, np.diag([1.5, 1.5, 1.5, 1]))
    (one,) = hearts_in(tmp_path)
    assert one.name == "b" and one.present.tolist() == [index == 2 for index in INDICES]
    canvas = canvas_of([one])
    assert (canvas.side, canvas.step_mm) == (7, 1.5)
    np.testing.assert_array_equal(canvas.take(one.labels, one.affine), labels)
    with pytest.raises(InputError, match="grid of"):
        canvas_of([one, heart("LA")])
