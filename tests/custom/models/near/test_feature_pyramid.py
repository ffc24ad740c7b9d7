"""From a code to feature volumes, and what is read from them at a point."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from custom.models.near.feature_pyramid import GridPyramid, LayeredPyramid, VectorPyramid, features_at


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def ramp(sides: tuple[int, int, int], channel_of: str) -> Tensor:
    """A volume [1, 1, d, h, w] whose value is its own unit x, y or z."""
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in sides), indexing="ij")
    return {"x": x, "y": y, "z": z}[channel_of][None, None]


def test_the_published_decoder_has_volumes_of_4_8_16_and_32_samples_a_side():
    volumes = VectorPyramid(256, (64, 48, 32, 16))(torch.randn(1, 256))
    assert [tuple(volume.shape) for volume in volumes] == [
        (1, 64, 4, 4, 4),
        (1, 48, 8, 8, 8),
        (1, 32, 16, 16, 16),
        (1, 16, 32, 32, 32),
    ]


def test_the_published_decoder_has_its_678656_parameters():
    # NeAR's decoder as published has 691,457, of them 12,801 in its point MLP 163 -> 64 -> 32 -> 1 with group norms:
    # 163 x 64 + 64 + 2 x 64 + 64 x 32 + 32 + 2 x 32 + 32 + 1
    assert parameters(VectorPyramid(256, (64, 48, 32, 16))) == 691_457 - 12_801


def test_a_code_gives_the_same_volumes_alone_and_in_a_batch():
    pyramid, codes = VectorPyramid(8, (16, 8)), torch.randn(3, 8)
    for alone, together in zip(pyramid(codes[1:2]), pyramid(codes), strict=True):
        torch.testing.assert_close(alone[0], together[1])
        assert not torch.allclose(together[0], together[1])


def test_a_grid_of_codes_starts_at_its_own_side_and_doubles():
    pyramid = GridPyramid(3, 5, (4, 6, 2))
    assert pyramid.code_shape == (3, 5, 5, 5)
    volumes = pyramid(torch.randn(2, *pyramid.code_shape))
    assert [tuple(volume.shape) for volume in volumes] == [(2, 4, 5, 5, 5), (2, 6, 10, 10, 10), (2, 2, 20, 20, 20)]


def test_a_code_of_the_grid_acts_where_it_lies():
    pyramid = GridPyramid(3, 7, (4, 2))
    codes = torch.zeros(1, 3, 7, 7, 7)
    still = pyramid(codes)[-1]
    codes[0, :, 6, 0, 3] = 1.0  # last in z, first in y, middle in x
    changed = (pyramid(codes)[-1] - still).abs().sum(dim=1)[0]
    assert changed[9:, :5, 4:10].max() > 0
    assert changed[:6].max() == changed[:, 8:].max() == 0


def test_a_point_is_x_y_z_and_reads_the_volume_at_d_h_w():
    volumes = [ramp((2, 3, 5), axis) for axis in "xyz"]
    points = torch.tensor([[[0.3, -0.7, 0.9], [-1.0, 1.0, -0.2], [0.0, 0.25, 0.5]]])
    torch.testing.assert_close(features_at(volumes, points), points)


def test_between_samples_the_feature_is_trilinear_and_volumes_come_coarse_to_fine():
    corner = torch.zeros(1, 1, 2, 2, 2)
    corner[..., 1, 0, 1] = 8.0  # z = 1, y = -1, x = 1
    points = torch.tensor([[[0.0, 0.0, 0.0], [0.5, -0.5, 1.0]]])
    constant = torch.full((1, 2, 3, 5, 7), 4.0)
    # 8 x 1/2 x 1/2 x 1/2 and 8 x 3/4 x 3/4 x 1
    assert features_at([corner, constant], points).tolist() == [[[1.0, 4.0, 4.0], [4.5, 4.0, 4.0]]]


def test_the_ends_of_the_cube_are_the_centres_of_the_outer_samples_and_beyond_them_nothing_falls_off():
    volume = torch.arange(5.0).reshape(1, 1, 1, 1, 5)
    points = torch.tensor([[[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [-1.2, 0.0, 0.0], [1.2, 0.9, -0.9]]])
    assert features_at([volume], points)[0, :, 0].tolist() == [0.0, 4.0, 0.0, 4.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_point_is_not_moved_by_the_precision_of_the_volumes(dtype):
    # 129 samples: a coordinate rounded to bfloat16 would be off by up to a quarter sample
    volume = torch.arange(129.0).reshape(1, 1, 1, 1, 129).to(dtype)
    points = torch.zeros(1, 101, 3)
    points[..., 0] = torch.linspace(0.5, 0.9, 101)
    torch.testing.assert_close(features_at([volume], points)[0, :, 0], (points[0, :, 0] + 1) * 64, atol=1e-3, rtol=0)


def test_a_layered_code_is_one_vector_whose_first_part_is_the_coarse_pyramids_and_whose_rest_is_the_fine_ones() -> None:
    layered = LayeredPyramid(GridPyramid(2, 3, (4, 5)), GridPyramid(1, 7, (6,)))
    assert layered.code_shape == (2 * 3**3 + 7**3,)
    assert layered.channels == (4, 5, 6)
    code = torch.randn(2, 397)
    coarse, fine = code[:, :54].reshape(2, 2, 3, 3, 3), code[:, 54:].reshape(2, 1, 7, 7, 7)
    wanted = layered.coarse(coarse) + layered.fine(fine)
    assert [tuple(volume.shape[1:]) for volume in wanted] == [(4, 3, 3, 3), (5, 6, 6, 6), (6, 7, 7, 7)]
    for volume, expected in zip(layered(code), wanted, strict=True):
        torch.testing.assert_close(volume, expected, atol=0, rtol=0)
