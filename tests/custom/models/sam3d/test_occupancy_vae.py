"""The codec keeps shells, and its grid of codes is laid out as its voxels are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from custom.errors import InputError
from custom.models.sam3d.convolution_blocks import laid_out
from custom.models.sam3d.flow_losses import codec_loss
from custom.models.sam3d.network_sizes import TINY
from custom.models.sam3d.occupancy_vae import OccupancyCodec, StructureDecoder, StructureEncoder, as_grid, as_tokens


def shells(count: int, edge: int = 16) -> Tensor:
    """Hollow spheres [count, 1, edge, edge, edge] of several places, radii and walls of 2 voxels."""
    generator = torch.Generator().manual_seed(3)
    places = edge / 2 - 0.5 + 2 * torch.rand(count, 3, generator=generator) - 1
    radii = 4 + 2 * torch.rand(count, generator=generator)
    steps = torch.arange(edge, dtype=torch.float32)
    voxels = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1)
    away = (voxels - places[:, None, None, None]).norm(dim=-1)
    return ((away < radii[:, None, None, None]) & (away > radii[:, None, None, None] - 2)).float()[:, None]


def tiny() -> OccupancyCodec:
    return OccupancyCodec(StructureEncoder(**TINY["encoder"]), StructureDecoder(**TINY["decoder"]))


def test_a_tiny_codec_learns_to_keep_shells_it_has_not_seen() -> None:
    torch.manual_seed(0)
    codec, volumes = tiny(), shells(12)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=5e-3)
    for step in range(60):
        batch = volumes[4 * (step % 2) : 4 * (step % 2) + 4]
        loss = _loss(codec, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    codec.eval()
    with torch.no_grad():
        kept, wanted = codec(volumes[8:])[0] > 0, volumes[8:] > 0
    overlap = (kept & wanted).sum() / (kept | wanted).sum()
    assert overlap > 0.65


def _loss(codec: OccupancyCodec, batch: Tensor) -> Tensor:
    logits, mean, log_variance = codec(batch)
    return codec_loss(logits, batch, mean, log_variance, kl_weight=1e-5)


def test_the_decoder_gives_back_the_grid_the_encoder_got() -> None:
    logits, mean, log_variance = tiny()(torch.zeros(1, 1, 6, 10, 14))
    assert logits.shape == (1, 1, 6, 10, 14)
    assert mean.shape == log_variance.shape == (1, 4, 3, 5, 7)


def test_an_edge_that_the_levels_do_not_divide_is_named() -> None:
    with pytest.raises(InputError, match=r"\(6, 7, 10\)"):
        tiny()(torch.zeros(1, 1, 6, 7, 10))


def test_channel_8c_4x_2y_z_goes_to_the_corner_x_y_z() -> None:
    volume = torch.arange(16.0).view(1, 16, 1, 1, 1)
    assert laid_out(volume)[0, 1].flatten().tolist() == [8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0]
    assert laid_out(torch.arange(8.0).view(1, 8, 1, 1, 1).expand(-1, -1, 2, 3, 5))[0, 0, 3, 4, 8].item() == 4


def test_tokens_are_the_grid_with_the_last_axis_fastest() -> None:
    codes = torch.rand(2, 5, 3, 3, 3)
    assert torch.equal(as_tokens(codes)[1, 9 * 1 + 3 * 2 + 1], codes[1, :, 1, 2, 1])
    assert torch.equal(as_grid(as_tokens(codes), 3), codes)


def test_the_loss_of_an_empty_volume_is_small_where_nothing_is_predicted_and_large_where_something_is() -> None:
    empty, codes = torch.zeros(1, 1, 3, 5, 7), torch.zeros(1, 4, 1, 2, 3)
    nothing, all_of_it = torch.full_like(empty, -20.0), torch.full_like(empty, 20.0)
    assert codec_loss(nothing, empty, codes, codes) < 1e-4
    assert codec_loss(all_of_it, empty, codes, codes) > 20


def test_the_loss_grows_with_the_distance_of_the_codes_from_unit_noise() -> None:
    volume, codes = torch.zeros(1, 1, 3, 5, 7), torch.zeros(1, 4, 1, 2, 3)
    logits = torch.full_like(volume, -20.0)
    gained = codec_loss(logits, volume, codes + 2, codes, 0.5) - codec_loss(logits, volume, codes, codes, 0.5)
    assert gained.item() == pytest.approx(0.5 * 0.5 * 4)
