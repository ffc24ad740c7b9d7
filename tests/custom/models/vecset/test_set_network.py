"""The network: what goes in, in which order, and what reaches its encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from custom.errors import InputError
from custom.models.vecset.part_network import VARIANTS, set_network

SMALL = {"width": 24, "heads": 3, "depth": 2, "point_queries": 5, "class_tokens": 2, "latent_channels": 7}
SIZES = Path(__file__).resolve().parents[4] / "bundles" / "heart_completion" / "configs" / "sizes"

each_variant = pytest.mark.parametrize("variant", VARIANTS)


def cloud(count: int, classes: int = 10, batch: int = 2) -> Tensor:
    kinds = torch.arange(count).expand(batch, -1) % classes
    one_hot = torch.nn.functional.one_hot(kinds, 10).transpose(1, 2)
    return torch.cat([2 * torch.rand(batch, 3, count) - 1, one_hot.float()], dim=1)


def awake(variant: str, **settings: Any) -> torch.nn.Module:
    """A network whose last layer is not 0 any more."""
    network = set_network(variant, **(SMALL | settings))
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return network


@each_variant
def test_before_training_it_answers_0_everywhere(variant: str) -> None:
    answer = set_network(variant, **SMALL)(cloud(41), torch.rand(2, 3, 17))
    assert answer.shape == (2, 10, 17)
    assert answer.eq(0).all()


@each_variant
def test_the_order_of_the_surface_points_does_not_matter(variant: str) -> None:
    network, image, points = awake(variant), cloud(61), torch.rand(2, 3, 17)
    shuffled = image[:, :, torch.randperm(61)]
    assert torch.allclose(network(image, points), network(shuffled, points), atol=1e-5)


@each_variant
def test_an_answer_does_not_depend_on_the_points_asked_with_it(variant: str) -> None:
    network, image, points = awake(variant), cloud(41), torch.rand(2, 3, 19)
    assert torch.allclose(network(image, points)[:, :, 4:5], network(image, points[:, :, 4:5]), atol=1e-5)


@each_variant
def test_without_points_it_answers_at_those_of_the_cloud(variant: str) -> None:
    network, image = awake(variant), cloud(41)
    assert torch.equal(network(image), network(image, image[:, :3]))


@each_variant
def test_a_structure_with_a_point_is_shown_and_one_without_is_not(variant: str) -> None:
    network, image = awake(variant), cloud(41, classes=7)
    assert network.shown(image).tolist() == [[True] * 7 + [False] * 3] * 2
    every = torch.ones(2, 10, dtype=torch.bool)
    points = torch.rand(2, 3, 17)
    told = network(image, points, network.shown(image))
    assert torch.equal(told, network(image, points))
    assert not torch.allclose(told, network(image, points, every), atol=1e-4)


@each_variant
def test_every_structure_is_answered_whatever_is_shown(variant: str) -> None:
    answer = awake(variant)(cloud(29, classes=1), torch.rand(2, 3, 17))
    assert answer.isfinite().all() and (answer.std(dim=2) > 0).all()


@each_variant
def test_the_slope_term_reaches_encoder_trunk_and_decoder(variant: str) -> None:
    network, channels = awake(variant), torch.arange(6).expand(2, -1)
    answer = network(cloud(41), torch.rand(2, 3, 17), None, channels)
    assert answer.shape == (2, 11, 17)
    assert answer[:, 10, 6:].eq(1).all() and not answer[:, 10, :6].eq(1).any()
    (answer[:, 10, :6] - 1).square().mean().backward()
    for name in ("encoder", "bottleneck", "trunk", "decoder", "embedding"):
        gradients = [parameter.grad for parameter in getattr(network, name).parameters()]
        assert sum(float(gradient.abs().sum()) for gradient in gradients if gradient is not None) > 1e-6, name


@each_variant
def test_slopes_are_those_of_finite_differences(variant: str) -> None:
    network, image, points = awake(variant, octaves=2).double(), cloud(41).double(), torch.rand(2, 3, 5).double()
    channels = torch.tensor([[0, 3, 9, 1, 2]] * 2)
    slopes = network(image, points, None, channels)[:, 10]
    step, differences = 1e-3, []
    for axis in range(3):
        move = torch.zeros(3, 1).double()
        move[axis] = step
        change = network(image, points + move) - network(image, points - move)
        differences.append(change.gather(1, channels[:, None])[:, 0] / (2 * step))
    assert torch.allclose(slopes.float(), torch.stack(differences).norm(dim=0), rtol=0.02, atol=1e-3)


def test_distances_with_and_without_slopes_agree() -> None:
    network, image, points = awake("channels"), cloud(41), torch.rand(2, 3, 17)
    with_slopes = network(image, points, None, torch.zeros(2, 4, dtype=torch.long))
    assert torch.allclose(with_slopes[:, :10], network(image, points), atol=1e-5)


@each_variant
def test_the_number_of_point_queries_may_be_another_when_asked(variant: str) -> None:
    network, image = awake(variant), cloud(61)
    network.point_queries = 11
    assert network(image, torch.rand(2, 3, 17)).shape == (2, 10, 17)


def test_codes_are_a_set_of_short_vectors() -> None:
    network, image = awake("channels"), cloud(41)
    codes = network.encode(image, network.shown(image))
    assert codes.shape == (2, 5 + 10 * 2, 7)
    assert torch.allclose(codes.mean(dim=2), torch.zeros(2, 25), atol=1e-5)
    assert torch.allclose(codes.var(dim=2, unbiased=False), torch.ones(2, 25), atol=1e-3)


def test_without_the_residual_all_that_comes_out_was_found_in_the_tokens() -> None:
    network, points = awake("channels", decoder_residual=False), torch.rand(1, 3, 17)
    tokens = torch.randn(1, 1, 24).expand(-1, 7, -1)  # all alike: whatever is asked, the same is found
    answer = network.answer(tokens, points)
    assert torch.allclose(answer, answer[:, :, :1].expand_as(answer), atol=1e-5)
    other = awake("channels").answer(tokens, points)
    assert not torch.allclose(other, other[:, :, :1].expand_as(other), atol=1e-3)


@pytest.mark.parametrize(("size", "millions"), [("tiny", 0.4), ("small", 8), ("base", 35), ("vecsetx", 425)])
def test_the_sizes_are_what_they_are_called(size: str, millions: float) -> None:
    settings = json.loads((SIZES / f"{size}.json").read_text())
    taken = {key: settings[key] for key in settings if key in {*SMALL, "decoder_feedforward", "variant", "normals"}}
    with torch.device("meta"):
        network = set_network(**taken)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == pytest.approx(1e6 * millions, rel=0.12)


def test_an_unknown_variant_and_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="'whole'"):
        set_network("whole")
    with pytest.raises(InputError, match="5 heads for a width of 24"):
        set_network(width=24, heads=5)
