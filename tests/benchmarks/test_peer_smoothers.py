"""The peers do what their names say, on a small heart of two structures."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peer_smoothers import PEERS
from custom.anatomy import TOTALSEGMENTATOR_HEART, Structure, StructureTable
from custom.metrics.overlap import dice

SPACING_MM = (1.0, 1.0, 1.0)
TABLE = StructureTable(
    "ball_and_vessel",
    (
        Structure(3, "Ball", rank=1, components=1),
        Structure(7, "Coronary", rank=0, components=2, thin=True),
    ),
)
SHAPE = (37, 41, 43)

NEEDS = {
    "SurfaceNets": "vtk",
    "windowed sinc 0.5": "vtk",
    "windowed sinc 0.3": "vtk",
    "SimpleITK anti-alias": "SimpleITK",
}
DROP_FAR_DUST = [
    "median 3",
    "gaussian 0.7",
    "gaussian 1.0",
    "gaussian 1.5",
    "closing + fill + components",
    "dust + fill",
    "drop floating + fill",
    "drop floating + fill + gaussian 0.7, coronaries untouched",
]
FILL = [name for name in PEERS if "fill" in name]

# SWIG's types lack a module name; said once, when the library is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")


def away_mm(place: tuple[float, float, float], shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    axes = np.meshgrid(*(np.arange(size, dtype=float) for size in shape), indexing="ij")
    return np.sqrt(sum((axis - centre) ** 2 for axis, centre in zip(axes, place, strict=True)))


def heart() -> np.ndarray:
    """A ball of radius 13 and, across its top, a rod three voxels wide."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[away_mm((17, 19, 20)) < 13] = 3
    labels[5:30, 18:21, 33:36] = 7
    return labels


def run(name: str, labels: np.ndarray, table: StructureTable = TABLE) -> np.ndarray:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    return PEERS[name](labels, SPACING_MM, table)


@pytest.mark.parametrize("name", PEERS)
def test_a_clean_heart_stays_as_it_is_but_for_its_outermost_voxels(name: str) -> None:
    labels = heart()
    before = labels.copy()
    repaired = run(name, labels)
    assert (repaired.dtype, repaired.shape) == (np.uint8, SHAPE)
    assert set(np.unique(repaired)) <= {0, 3, 7}
    assert dice(repaired == 3, labels == 3) > 0.97
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("name", PEERS)
def test_a_structure_keeps_its_place_in_a_corner_and_on_a_coarser_axis(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    labels = np.zeros((31, 23, 17), dtype=np.uint8)
    labels[:19, 6:20, 9:] = 3  # at the border along i and k
    repaired = PEERS[name](labels, (1.0, 1.5, 2.0), TABLE)
    assert dice(repaired == 3, labels == 3) > 0.94


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("filling", [0, 3])
def test_a_map_of_one_value_stays_one(name: str, filling: int) -> None:
    labels = np.full((11, 13, 17), filling, dtype=np.uint8)
    repaired = run(name, labels)
    # smoothing the surface may round the block's edges, which lie at the border
    assert np.mean(repaired == labels) > 0.9


@pytest.mark.parametrize("name", DROP_FAR_DUST)
def test_dust_far_from_the_heart_is_gone(name: str) -> None:
    labels = heart()
    labels[1, 2, 3] = labels[35, 38, 2:4] = 3
    assert not run(name, labels)[away_mm((17, 19, 20)) > 22].any()


@pytest.mark.parametrize("name", FILL)
def test_a_hole_is_filled_with_the_structure_around_it(name: str) -> None:
    labels = heart()
    labels[15:18, 17:20, 18:21] = 0
    assert (run(name, labels)[15:18, 17:20, 18:21] == 3).all()


@pytest.mark.parametrize("name", FILL)
def test_a_structure_inside_another_is_no_hole_of_it(name: str) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    far_mm = away_mm((17, 19, 20))
    labels[far_mm < 15] = 5  # a closed wall, which the table ranks above all
    labels[far_mm < 9] = 2
    labels[far_mm < 2] = 0
    repaired = run(name, labels, TOTALSEGMENTATOR_HEART)
    assert (repaired[far_mm < 2] == 2).all()
    assert dice(repaired == 2, far_mm < 9) > 0.97


@pytest.mark.parametrize("name", ["median 3", "gaussian 1.0", "gaussian 1.5"])
def test_a_bump_of_one_voxel_is_smoothed_away(name: str) -> None:
    labels = heart()
    labels[17, 19, 6] = 3
    labels[17, 19, 7] = 3
    assert run(name, labels)[17, 19, 6] == 0


@pytest.mark.parametrize("name", ["SurfaceNets", "windowed sinc 0.5"])
def test_smoothing_the_surface_lowers_the_corners_of_a_cube(name: str) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[10:25, 10:25, 10:25] = 3
    repaired = run(name, labels)
    assert repaired[10, 10, 10] == 0
    assert repaired[17, 17, 10] == 3 and repaired[17, 17, 9] == 0


@pytest.mark.parametrize("name", ["closing + fill + components", "gaussian 0.7"])
def test_as_many_of_the_largest_pieces_are_kept_as_the_table_says(name: str) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for place, index in enumerate((3, 7)):
        for edge, corner in ((9, 2), (7, 14), (5, 26)):
            labels[corner : corner + edge, 20 * place + 2 :, 2:][:edge, :edge, :edge] = index
    repaired = run(name, labels)
    found = [[bool((repaired[corner : corner + 5] == index).any()) for corner in (2, 14, 26)] for index in (3, 7)]
    assert found == [[True, False, False], [True, True, False]]


def test_a_gap_within_the_bridge_keeps_a_piece_and_a_wider_one_drops_it() -> None:
    # the body ends at k = 19; a gap of one voxel puts the nearest centres two voxels apart
    for gap, kept in ((1, True), (2, False)):
        labels = np.zeros(SHAPE, dtype=np.uint8)
        labels[5:30, 10:30, 5:20] = 3
        labels[10:20, 15:18, 20 + gap : 23 + gap] = 3
        assert run("drop floating + fill", labels)[10:20, 15:18, 20 + gap : 23 + gap].any() == kept


def test_a_piece_a_tenth_as_large_as_its_structures_largest_does_not_float() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[5:15, 5:15, 5:15] = 3
    labels[25:30, 30:35, 30:34] = 3  # 100 voxels of 1000
    np.testing.assert_array_equal(run("drop floating + fill", labels), labels)
    labels[25, 30, 30] = 0
    assert not run("drop floating + fill", labels)[25:30, 30:35, 30:34].any()


def test_pieces_are_kept_by_way_of_other_pieces() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[5:30, 10:30, 5:20] = 3
    labels[10:20, 15:18, 21:24] = labels[10:20, 15:18, 25:28] = 3
    np.testing.assert_array_equal(run("drop floating + fill", labels), labels)


def test_dust_is_measured_against_the_largest_of_its_structure_which_is_never_dust() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[5:15, 5:15, 5:15] = 3
    labels[20:22, 20:23, 5:10] = 3  # 30 voxels: 3 % of 1000, and more than 27
    labels[30, 30, 30:35] = 7  # 5 voxels, and the only ones
    np.testing.assert_array_equal(run("dust + fill", labels), labels)
    labels[20, 20, 5] = 0  # 29 voxels are less than 3 %
    assert not run("dust + fill", labels)[20:22, 20:23, 5:10].any()


def test_the_best_peer_leaves_coronaries_alone_where_the_gaussian_thins_them() -> None:
    labels = heart()
    labels[5:30, 18:21, 33:36] = 0
    labels[5:30, 19, 33] = 7  # one voxel wide, on the ball
    untouched = run("drop floating + fill + gaussian 0.7, coronaries untouched", labels)
    np.testing.assert_array_equal(untouched == 7, labels == 7)
    assert (run("gaussian 1.0", labels) == 7).sum() < 25
