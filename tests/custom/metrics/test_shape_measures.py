"""Shape without a reference: known bodies, contact by hand, the libraries' own counts beside the fast ones."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import euler_number, marching_cubes, mesh_surface_area

from custom.anatomy import PUBLIC_CARDIAC_CT, Structure, StructureTable
from custom.errors import InputError
from custom.metrics.shape_measures import ABSENT, ShapeScore, block_counts, shape_score, shape_scores, structure_boxes
from custom.volumes.contacts import touches

SHAPE = (11, 13, 17)
SPACING_MM = (3.0, 2.0, 1.0)
TABLE = StructureTable(
    "toy",
    (
        Structure(1, "Wall", rank=0, components=1),
        Structure(2, "Root", rank=1, components=1),
        Structure(3, "Branch", rank=2, components=2, touches=("Root", "Wall"), contact_mm=4.0),
        Structure(5, "Ear", rank=3, components=1, touches=("Root",)),
    ),
)


def labels(**voxels: list[tuple[int, int, int]]) -> np.ndarray:
    found = np.zeros(SHAPE, dtype=np.uint8)
    for name, places in voxels.items():
        for place in places:
            found[place] = TABLE[name].index
    return found


def of(mask: np.ndarray, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> ShapeScore:
    """The score of a mask with nothing around it."""
    return shape_score(mask.astype(np.uint8), "Wall", spacing_mm, TABLE)


def ball(radius: float, shape: tuple[int, int, int] = (23, 29, 31)) -> np.ndarray:
    at = np.indices(shape)
    middle = [size // 2 for size in shape]
    return sum((at[axis] - middle[axis]) ** 2 for axis in range(3)) <= radius**2


def ring(shape: tuple[int, int, int] = (11, 29, 31)) -> np.ndarray:
    """A torus: radius 8 voxels round the first axis, tube 3."""
    i, j, k = (at - size // 2 for at, size in zip(np.indices(shape), shape, strict=True))
    return (np.hypot(j, k) - 8) ** 2 + i**2 <= 9


@pytest.mark.parametrize(
    ("mask", "components", "holes", "tunnels", "euler"),
    [
        (ball(7), 1, 0, 0, 1),
        (ball(9) & ~ball(4), 1, 1, 0, 2),
        (ring(), 1, 0, 1, 0),
        (np.ones((3, 5, 7), dtype=bool), 1, 0, 0, 1),
        (np.ones((1, 1, 1), dtype=bool), 1, 0, 0, 1),
    ],
    ids=["ball", "hollow ball", "ring", "full", "one voxel"],
)
def test_a_body_has_its_pieces_cavities_and_tunnels(mask, components, holes, tunnels, euler) -> None:
    score = of(mask)
    assert (score.components, score.holes, score.tunnels, score.euler) == (components, holes, tunnels, euler)


def test_voxels_that_share_a_corner_are_one_piece_and_background_that_does_is_two_cavities() -> None:
    pair = np.zeros((3, 5, 7), dtype=bool)
    pair[0, 0, 0] = pair[1, 1, 1] = True
    assert (of(pair).components, of(pair).euler) == (1, 1)
    block = np.ones((5, 7, 11), dtype=bool)
    block[1, 1, 1] = block[2, 2, 2] = False
    assert (of(block).holes, of(block).euler) == (2, 3)


def test_a_cavity_open_to_the_border_is_no_hole() -> None:
    block = np.ones((5, 7, 11), dtype=bool)
    block[2, 3, 10] = False
    assert (of(block).holes, of(block).euler) == (0, 1)
    block[2, 3, :] = False  # through and through: a tunnel
    assert (of(block).holes, of(block).tunnels) == (0, 1)


def test_a_cavity_that_holds_another_structure_is_a_hole() -> None:
    found = np.ones((5, 7, 11), dtype=np.uint8)
    found[2, 3, 5] = 2
    assert shape_score(found, "Wall", SPACING_MM, TABLE).holes == 1


def test_an_island_in_a_cavity_is_a_piece_of_its_own() -> None:
    score = of((ball(9) & ~ball(5)) | ball(2))
    assert (score.components, score.holes, score.tunnels) == (2, 1, 0)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_euler_number_and_area_are_those_of_the_libraries_on_speckle(share: float) -> None:
    mask = np.random.default_rng(3).random((11, 7, 13)) < share
    score = of(mask, SPACING_MM)
    assert score.euler == euler_number(np.pad(mask, 1), connectivity=3)
    vertices, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5, spacing=SPACING_MM)
    wanted = mesh_surface_area(vertices, faces) / (mask.sum() * 6.0) ** (2 / 3)
    assert score.isoperimetric == pytest.approx(wanted, rel=1e-5)
    background = np.pad(~mask, 1, constant_values=True)
    assert score.holes == ndimage.label(background)[1] - 1
    assert score.components == ndimage.label(mask, np.ones((3, 3, 3)))[1]


def test_every_block_of_a_framed_mask_is_counted_once() -> None:
    one = np.ones((1, 1, 1), dtype=bool)
    counts = block_counts(one)
    assert np.flatnonzero(counts).tolist() == [1 << bit for bit in range(8)]
    assert block_counts(np.ones((2, 3, 5), dtype=bool)).sum() == 3 * 4 * 6
    assert block_counts(np.ones((2, 3, 5), dtype=bool))[255] == 1 * 2 * 4


def test_the_surface_of_one_voxel_is_an_octahedron_between_voxel_centres() -> None:
    # eight triangles between points half a voxel out along each axis, edge root of 1/2
    assert of(np.ones((1, 1, 1), dtype=bool)).isoperimetric == pytest.approx(8 * math.sqrt(3) / 4 / 2, rel=1e-5)


def test_a_ball_is_a_little_over_five_at_any_size_and_scale() -> None:
    # a perfect ball has the cube root of 36 pi, 4.84; the staircase of voxels adds a tenth
    ratios = [of(ball(7)).isoperimetric, of(ball(10)).isoperimetric, of(ball(10), (0.3, 0.3, 0.3)).isoperimetric]
    assert min(ratios) > (36 * math.pi) ** (1 / 3)
    assert ratios == pytest.approx([5.2] * 3, rel=0.04)
    assert ratios[1] == pytest.approx(ratios[2], rel=1e-5)


def test_rough_is_more_than_smooth() -> None:
    rough = ball(8)
    rough[np.random.default_rng(5).random(rough.shape) < 0.05] ^= True
    assert of(rough).isoperimetric > 1.5 * of(ball(8)).isoperimetric


def test_deleting_a_piece_makes_it_smoother_in_numbers_and_smaller() -> None:
    both = ball(7)
    both[1, 1, 1:29] = True  # a vessel
    assert of(ball(7)).isoperimetric < of(both).isoperimetric
    assert of(ball(7)).volume_mm3 == of(both).volume_mm3 - 28


def test_the_volume_is_in_mm3() -> None:
    assert shape_score(labels(Wall=[(0, 0, 0), (10, 12, 16)]), "Wall", SPACING_MM, TABLE).volume_mm3 == 12.0


def test_an_absent_structure_has_no_contact_and_no_shape() -> None:
    score = shape_score(labels(Root=[(1, 1, 1)]), "Ear", SPACING_MM, TABLE)
    assert score is ABSENT
    assert (score.volume_mm3, score.components, score.holes, score.euler, score.contact) == (0.0, 0, 0, 0, None)
    assert math.isnan(score.isoperimetric) and math.isnan(score.contact_share)
    assert set(shape_scores(labels(), SPACING_MM, TABLE).values()) == {ABSENT}


def test_a_structure_without_a_rule_or_without_anything_to_touch_has_no_contact() -> None:
    assert shape_score(labels(Wall=[(1, 1, 1)]), "Wall", SPACING_MM, TABLE).contact is None
    alone = shape_score(labels(Ear=[(1, 1, 1)], Wall=[(1, 1, 2)]), "Ear", SPACING_MM, TABLE)
    assert alone.contact is None and math.isnan(alone.contact_share)


@pytest.mark.parametrize(
    ("place", "contact"),
    [((6, 6, 8), True), ((6, 7, 9), True), ((7, 7, 9), True), ((5, 6, 10), False), ((7, 8, 8), False)],
    ids=["in the way", "edge", "corner", "2 mm along k", "two steps along j"],
)
def test_a_neighbour_by_corner_touches_and_two_voxels_away_does_not(place, contact) -> None:
    found = labels(Root=[(6, 6, 8) if place != (6, 6, 8) else (6, 6, 7)], Ear=[place])
    score = shape_score(found, "Ear", SPACING_MM, TABLE)
    assert score.contact is contact
    assert score.contact_share == float(contact)


def test_contact_is_what_touches_says_on_the_whole_volume() -> None:
    noise = np.random.default_rng(13)
    answers = []
    for _ in range(25):
        found = noise.choice(np.array([0, 2, 3, 5], dtype=np.uint8), SHAPE, p=[0.982, 0.006, 0.006, 0.006])
        for name, indices in (("Ear", [2]), ("Branch", [1, 2])):
            structure = TABLE[name]
            parts, count = ndimage.label(found == structure.index, np.ones((3, 3, 3)))
            target = np.isin(found, indices)
            each = [touches(parts == n, target, SPACING_MM, structure.contact_mm) for n in range(1, count + 1)]
            held = sum(int((parts == n + 1).sum()) for n in range(count) if each[n])
            score = shape_score(found, name, SPACING_MM, TABLE)
            assert score.contact is all(each)
            assert score.contact_share == held / (parts > 0).sum()
            answers.append(score.contact_share)
    assert len(set(answers)) > 10


def test_one_component_without_contact_fails_all_and_shows_in_the_share() -> None:
    found = labels(Root=[(1, 1, 1)], Ear=[(1, 1, 2), (1, 1, 3), (1, 1, 4), (9, 9, 9)])
    score = shape_score(found, "Ear", SPACING_MM, TABLE)
    assert (score.contact, score.contact_share) == (False, 0.75)


def test_any_of_the_structures_named_will_do_within_the_contact_distance() -> None:
    # 2 voxels of 2 mm from the wall: 4 mm; the other piece is 1 voxel of 3 mm from the root
    found = labels(Wall=[(1, 1, 1)], Root=[(9, 9, 9)], Branch=[(1, 3, 1), (10, 9, 9)])
    assert shape_score(found, "Branch", SPACING_MM, TABLE).contact is True
    found = labels(Wall=[(1, 1, 1)], Root=[(9, 9, 9)], Branch=[(1, 3, 2), (10, 9, 9)])
    assert shape_score(found, "Branch", SPACING_MM, TABLE).contact_share == 0.5


def test_contact_across_the_border_of_the_volume_is_none() -> None:
    assert shape_score(labels(Root=[(0, 0, 0)], Ear=[(0, 0, 16)]), "Ear", SPACING_MM, TABLE).contact is False


def test_every_structure_of_the_table_is_scored_by_name_whatever_the_gaps_in_its_numbers() -> None:
    scores = shape_scores(labels(Wall=[(1, 1, 1)], Ear=[(2, 2, 2), (2, 2, 4)]), SPACING_MM, TABLE)
    assert list(scores) == ["Wall", "Root", "Branch", "Ear"]
    assert [score.components for score in scores.values()] == [1, 0, 0, 2]


def test_the_boxes_hold_each_structure_and_no_more() -> None:
    assert structure_boxes(labels(Ear=[(2, 2, 2), (2, 4, 16)]), TABLE) == {
        "Ear": (slice(2, 3), slice(2, 5), slice(2, 17))
    }


def test_another_structure_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'Root'"):
        shape_score(labels(), "Roots", SPACING_MM, TABLE)


def test_the_answer_is_the_same_for_flipped_and_permuted_axes() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(17).standard_normal(SHAPE), 1.0)
    found = np.select([noise > 0.25, noise > 0.1, noise > 0.0], [3, 2, 5], 0).astype(np.uint8)
    turned = found[::-1, :, ::-1].transpose(2, 0, 1)
    spacing_mm = (SPACING_MM[2], SPACING_MM[0], SPACING_MM[1])
    for name, score in shape_scores(found, SPACING_MM, TABLE).items():
        other = shape_score(turned, name, spacing_mm, TABLE)
        assert repr(other) == repr(score) or other.isoperimetric == pytest.approx(score.isoperimetric, rel=0.02)
        assert (other.components, other.holes, other.euler) == (score.components, score.holes, score.euler)
        assert other.contact is score.contact


def test_ten_structures_in_a_big_volume_take_less_than_two_seconds() -> None:
    found = np.zeros((256, 251, 241), dtype=np.uint8)
    body = ball(39, (80, 80, 80))
    for index in PUBLIC_CARDIAC_CT.indices:
        i, j = divmod(index, 4)
        found[80 * i : 80 * i + 80, 56 * j : 56 * j + 80, 90:170][body] = index
    begun = time.process_time()
    scores = shape_scores(found, SPACING_MM, PUBLIC_CARDIAC_CT)
    assert time.process_time() - begun < 2.0
    assert all(score.components for score in scores.values())
