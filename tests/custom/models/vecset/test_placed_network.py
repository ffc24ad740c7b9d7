"""Tokens with places: what is near is heard, what is hidden is not."""

from __future__ import annotations

import torch
from torch import Tensor

from custom.models.vecset.nearest_attention import NearestAttention, NearestPlanes, neighbours_of
from custom.models.vecset.placed_network import ELSEWHERE, PlacedNetwork

SMALL = {"width": 24, "heads": 3, "depth": 2, "point_queries": 3, "class_tokens": 2, "latent_channels": 7}


def awake() -> PlacedNetwork:
    network = PlacedNetwork(**SMALL)  # type: ignore[arg-type]
    torch.nn.init.normal_(network.head.weight)
    return network


def cloud(count: int) -> Tensor:
    kinds = torch.nn.functional.one_hot(torch.arange(count) % 10, 10)
    return torch.cat([torch.rand(count, 3) - 0.5, kinds], dim=1).T[None]


def test_members_beyond_the_neighbours_are_not_heard() -> None:
    attention = NearestAttention(12, 2, asks=False)
    places = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0, 0.2, 0], [0, 0, 0.3], [0.5, 0, 0]])[None]
    members, point = torch.randn(1, 5, 12), torch.zeros(1, 1, 3)
    near = neighbours_of(point, places, 3)
    assert near.which.tolist() == [[[0, 1, 2]]]
    before = attention(members, near)
    members[:, 3:] += 1
    assert torch.equal(before, attention(members, near))
    members[:, 1] += 1
    assert not torch.allclose(before, attention(members, near), atol=1e-4)


def test_nothing_jumps_where_the_neighbours_change() -> None:
    attention, planes = NearestAttention(12, 2, asks=False).double(), NearestPlanes(12, 5, 1.0).double()
    torch.nn.init.normal_(planes.slopes.weight)
    places, members = torch.rand(1, 31, 3).double(), torch.randn(1, 31, 12).double()
    along = torch.linspace(0, 1, 4001).double()[None, :, None].expand(-1, -1, 3)
    near = neighbours_of(along, places, 3)
    answers = torch.cat([attention(members, near), planes(members, near)], dim=2)[0]
    steps = (answers[1:] - answers[:-1]).norm(dim=1)
    away = torch.cdist(along, places)[0].topk(3, largest=False)[1].sort(dim=1)[0]
    changes = (away[1:] != away[:-1]).any(dim=1)
    assert changes.sum() >= 3
    assert steps[changes].max() < 0.02 * (answers.max() - answers.min())


def test_a_plane_through_a_member_is_a_signed_distance() -> None:
    planes = NearestPlanes(4, 2, 0.05)
    with torch.no_grad():
        planes.values.weight[1, 3] = 1
        planes.slopes.weight.view(3, 2, 4)[:, 1, :3] = torch.eye(3)  # of channel 1, the member's first three numbers
    place, member = torch.tensor([[[0.1, -0.2, 0.3]]]), torch.tensor([[[0.0, 0.6, 0.8, 2.0]]])
    points = torch.rand(1, 17, 3)
    said = planes(member, neighbours_of(points, place, 8))
    height = ((points - place) * member[..., :3]).sum(dim=2)
    assert said[..., 0].eq(0).all()
    assert torch.allclose(said[..., 1], height + 0.05 * 2.0, atol=1e-6)


def test_a_structure_that_is_not_shown_has_only_its_learned_tokens() -> None:
    network, image = awake(), cloud(200)
    shown = torch.ones(1, 10, dtype=torch.bool)
    shown[0, 4] = False
    image = image[:, :, image[0, 7] < 0.5]
    codes = network.encode(image, shown)
    tokens = network.think(codes, shown)
    assert tokens.shape == (1, 10 * (3 + 2), 3 + 24)
    assert tokens[0, 12:15, :3].eq(ELSEWHERE).all()
    assert tokens[0, 30:, :3].abs().max() < 2 and tokens[0, :12, :3].abs().max() <= 0.5
    asked, before = torch.rand(1, 3, 11) - 0.5, network.answer(tokens, torch.zeros(1, 3, 1))
    codes[:, 12:15, 3:] += 1
    assert torch.equal(network.think(codes, shown)[0, :12], tokens[0, :12])
    assert network.answer(tokens, asked).isfinite().all() and before.isfinite().all()


def test_normals_reach_the_answer_if_and_only_if_they_are_asked_for() -> None:
    torch.manual_seed(0)
    network = PlacedNetwork(normals=True, **SMALL)  # type: ignore[arg-type]
    torch.nn.init.normal_(network.head.weight)
    image, points = torch.cat([cloud(100), torch.rand(1, 3, 100)], dim=1), torch.rand(1, 3, 11) - 0.5
    turned = torch.cat([image[:, :13], -image[:, 13:]], dim=1)
    assert not torch.allclose(network(image, points), network(turned, points), atol=1e-5)
    plain = awake()
    assert torch.equal(plain(image[:, :13], points), plain(turned[:, :13], points))
