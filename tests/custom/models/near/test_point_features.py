"""Features by rows are those of the pyramid's own sampling."""

from __future__ import annotations

import pytest
import torch

from custom.models.near.feature_pyramid import features_at
from custom.models.near.point_features import FeatureRows, corners


def test_a_point_is_weighed_between_its_eight_samples_with_x_the_fastest():
    # unit x = 0.5 of 3 samples: 1.5; y = -1 of 2: 0; z = 0 of 5: 2
    rows, weights = corners((5, 2, 3), torch.tensor([[0.5, -1.0, 0.0]]))
    assert rows.tolist() == [[13, 14, 16, 17, 19, 20, 22, 23]]
    assert weights.tolist() == [[0.5, 0.5, 0, 0, 0, 0, 0, 0]]


def test_along_a_single_sample_both_neighbours_are_that_sample():
    rows, weights = corners((1, 1, 2), torch.tensor([[0.0, 0.7, -0.3]]))
    assert rows.tolist() == [[0, 1] * 4]
    assert weights.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last_3d])
def test_the_features_are_those_of_the_pyramid_within_the_cube_and_beyond_it(memory):
    volumes = [torch.randn(1, c, *s).to(memory_format=memory) for c, s in ((5, (3, 7, 2)), (2, (11, 5, 13)))]
    points = torch.rand(997, 3) * 2.4 - 1.2
    torch.testing.assert_close(FeatureRows(volumes)(points), features_at(volumes, points[None])[0])


def test_a_points_features_have_the_same_bits_whatever_else_is_asked():
    rows, points = FeatureRows([torch.randn(1, 6, 5, 7, 11)]), torch.rand(1009, 3) * 2 - 1
    crowd = rows(points)
    for position in (0, 500, 1008):
        assert torch.equal(rows(points[position : position + 1])[0], crowd[position])
