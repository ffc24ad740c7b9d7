"""Cells of a lattice: what the logits in them can be, and whether the label can change."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from custom.models.near import lattice_cells
from custom.rules.priority_decision import PriorityDecision


def by_priority(probability: Tensor) -> Tensor:
    """Of two structures the second wins where it reaches one half."""
    first, second = probability[:, :1] >= 0.5, probability[:, 1:] >= 0.5
    return torch.where(second, 2, torch.where(first, 1, 0))


@pytest.mark.parametrize(
    ("low", "high", "label", "same"),
    [
        ((-5.0, -5.0), (-1.0, -1.0), 0, True),
        ((1.0, -5.0), (5.0, -1.0), 1, True),
        ((-5.0, 1.0), (5.0, 5.0), 2, True),  # the first cannot change the label where the second is sure
        ((1.0, -1.0), (5.0, 1.0), 1, False),
        ((-1.0, -5.0), (1.0, -1.0), 0, False),
    ],
)
def test_a_label_is_settled_if_no_logits_within_their_ranges_change_it(low, high, label, same):
    found, sure = lattice_cells.settled(by_priority, torch.tensor(low)[:, None], torch.tensor(high)[:, None])
    assert (found.tolist(), sure.tolist()) == ([label], [same])


@pytest.mark.parametrize("fallback", ["background", "best"])
def test_what_is_settled_is_so_at_every_corner_and_at_random_places_between(fallback):
    thresholds = {"Coronary": 0.7, "LA": 0.3, "PV": 0.9}
    decide = PriorityDecision(thresholds=thresholds, fallback=fallback)
    generator = torch.Generator().manual_seed(5)
    low = torch.randn(10, 4001, generator=generator) * 2 - 0.7
    high = low + torch.rand(10, 4001, generator=generator) * 2
    labels, same = lattice_cells.settled(decide, low, high)
    assert 300 < same.sum() < 3500
    for _ in range(200):
        share = torch.rand(10, 4001, generator=generator).round(decimals=0 if _ % 2 else 4)
        other = lattice_cells.decided(decide, low + share * (high - low))
        assert torch.equal(other[same], labels[same])


def test_of_no_places_there_are_no_labels():
    labels, same = lattice_cells.settled(by_priority, torch.zeros(2, 0), torch.zeros(2, 0))
    assert (labels.numel(), same.numel()) == (0, 0)


def test_the_label_of_a_place_is_the_decision_there():
    logits = torch.tensor([[[1.0, -1.0], [1.0, -1.0]], [[-1.0, -1.0], [1.0, 1.0]]])
    assert lattice_cells.decided(by_priority, logits).tolist() == [[1, 0], [2, 2]]


def test_a_lattice_without_a_bend_is_linear():
    z, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in (3, 5, 7)), indexing="ij")
    assert lattice_cells.bend((2 * z - 3 * y + x)[None]).abs().max() == 0


def test_the_bend_of_a_cell_is_the_largest_of_its_corners_and_the_border_has_its_neighbours():
    values = torch.zeros(1, 5, 5, 7)
    values[0, :, :, 3] = 2.0  # along x: second differences 2 at 2, 4 at 3, 2 at 4
    bend = lattice_cells.bend(values)
    assert bend.shape == (1, 4, 4, 6)
    assert bend[0, 0, 0].tolist() == [0, 2, 4, 4, 2, 0]
    edge = torch.zeros(1, 3, 3, 3)
    edge[0, :, :, 0] = 1.0
    assert lattice_cells.bend(edge).unique().tolist() == [1]


def test_the_bend_within_a_cell_adds_the_axes_largest():
    nodes = torch.zeros(1, 3, 3, 3, 2)
    nodes[0, 1, 0, 0, 1] = 1.0  # z: 2 there; y and x: 1
    assert lattice_cells.bend_within(nodes).tolist() == [[0.0, 4.0]]


def test_a_halved_lattice_keeps_its_nodes_and_is_linear_between():
    z, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in (3, 5, 9)), indexing="ij")
    fine = (z + 10 * y - 100 * x)[None]
    assert torch.equal(lattice_cells.halved(fine[:, ::2, ::2, ::2]), fine)
    torch.testing.assert_close(lattice_cells.upsampled(fine[:, ::2, ::2, ::2], (2, 5, 8)), fine[:, :2, :, :8])


def test_the_points_of_a_cell_are_its_first_node_and_those_halfway_to_the_others():
    nodes = torch.tensor([0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]).reshape(1, 2, 2, 2, 1)
    assert lattice_cells.halfway(nodes).flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_cells_label_is_that_of_its_halves():
    labels = torch.arange(6, dtype=torch.uint8).reshape(1, 2, 3)
    expected = torch.stack([labels[i // 2, j // 2, k // 2] for i, j, k in product(range(2), range(4), range(6))])
    assert torch.equal(lattice_cells.doubled(labels).flatten(), expected)


def test_blocks_and_positions_count_the_last_axis_fastest():
    # (1, 0, 2) of (2, 3, 5) is 17; doubled in (4, 6, 10): (2, 0, 4) = 124
    assert lattice_cells.reindexed(torch.tensor([17]), (2, 3, 5), (4, 6, 10), 2).tolist() == [124]
    assert lattice_cells.around(torch.tensor([124]), (4, 6, 10), 2)[:, 0].tolist() == [
        124,
        125,
        134,
        135,
        184,
        185,
        194,
        195,
    ]


def test_what_lies_beyond_a_crop_is_left_out():
    # (0, 0, 1), (0, 2, 0), (1, 1, 1) and (1, 1, 2) of (2, 3, 5), cropped to (2, 2, 2)
    assert lattice_cells.cropped(torch.tensor([1, 10, 21, 22]), (2, 3, 5), (2, 2, 2)).tolist() == [1, 7]
