"""A heart on a whole grid: the labels of asking every point, for a part of the questions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from custom.models.near.evaluate_grid import evaluate_everywhere, unit_axes
from custom.models.near.evaluate_label_grid import evaluate_heart, label_grid
from custom.models.near.near_field import NearField
from custom.phantoms.chambers import make_chambers
from custom.phantoms.coronaries import make_coronaries
from custom.phantoms.great_vessels import make_aorta
from custom.rules.priority_decision import PriorityDecision

SHAPE = (41, 53, 47)
STRIDES = pytest.mark.parametrize("stride", [2, 4, 8])
Answer = Callable[[Tensor], Tensor]


def by_priority(probability: Tensor) -> Tensor:
    """The last of the structures that reaches one half."""
    labels = torch.zeros_like(probability[:, :1], dtype=torch.uint8)
    for channel in range(probability.shape[1]):
        labels[probability[:, channel : channel + 1] >= 0.5] = channel + 1
    return labels


def voxels(points: Tensor) -> Tensor:
    """Unit points as voxels from the middle of the grid, (x, y, z)."""
    return points * (torch.tensor(SHAPE[::-1], dtype=torch.float32) - 1) / 2


def ball(points: Tensor, centre: tuple[float, ...], radius: float, steepness: float) -> Tensor:
    return steepness * (radius - (voxels(points) - torch.tensor(centre)).norm(dim=1))


def balls(steepness: float) -> Answer:
    """Three balls that meet, the smallest with the highest priority."""
    return lambda points: torch.stack(
        [
            ball(points, (0.3, 0.4, -0.2), 15.2, steepness),
            ball(points, (9.0, -12.0, 3.0), 9.7, 2 * steepness),
            ball(points, (-8.0, 6.5, 5.0), 4.1, 3 * steepness),
        ],
        dim=1,
    )


def vessel(centre: tuple[float, ...], direction: tuple[float, ...], steepness: float, around: float) -> Answer:
    """A tube of a radius of one voxel, in a structure or in the background, whose logit is ``around``."""
    along = torch.tensor(direction) / torch.tensor(direction).norm()

    def logits(points: Tensor) -> Tensor:
        away = voxels(points) - torch.tensor(centre)
        tube = steepness * (1 - (away - (away @ along)[:, None] * along).norm(dim=1))
        return torch.stack([torch.full_like(tube, around), tube], dim=1)

    return logits


def counted(answer: Answer) -> tuple[Answer, list[int]]:
    asked: list[int] = []

    def counting(points: Tensor) -> Tensor:
        asked.append(len(points))
        return answer(points)

    return counting, asked


def rough_field(outputs: int, code_side: int = 5) -> NearField:
    """An untrained field; each structure fills a tenth of the cube."""
    torch.manual_seed(3)
    channels = (8, 4) if code_side else (16, 8, 8)
    field = NearField(2, channels, 4, code_side, widths=(32, 32, 16, 8), outputs=outputs).eval()
    torch.nn.init.normal_(field.codes.table.weight)
    for layer in field.head.children():
        torch.nn.init.normal_(layer.weight, std=0.4)
    with torch.no_grad():
        field.head.output.bias -= field.asked_all(1)(torch.rand(2000, 3) * 2 - 1).quantile(0.9, dim=0)
    return field


@STRIDES
@pytest.mark.parametrize("steepness", [0.5, 2.0, 20.0])
def test_balls_have_the_labels_of_asking_everywhere(stride, steepness):
    axes = unit_axes(SHAPE)
    full, _ = label_grid(balls(steepness), axes, by_priority, stride=1)
    assert (torch.bincount(full.flatten(), minlength=4) > 250).all()
    assert torch.equal(label_grid(balls(steepness), axes, by_priority, stride)[0], full)


def test_asking_everywhere_is_deciding_at_every_point():
    axes, answer = unit_axes((3, 5, 7)), balls(1.0)
    logits = torch.stack([evaluate_everywhere(lambda p, c=c: answer(p)[:, c], axes) for c in range(3)])
    labels, kept = label_grid(answer, axes, by_priority, chunk=16, with_logits=True)
    assert torch.equal(labels, by_priority(torch.sigmoid(logits)[None])[0, 0])
    torch.testing.assert_close(kept, logits)


@STRIDES
@pytest.mark.parametrize("around", [-12.0, 12.0])
@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 2.0, 3.0)])
def test_a_vessel_of_one_voxels_radius_between_coarse_nodes_is_found(stride, around, direction):
    axes = unit_axes(SHAPE)
    # through coarse nodes, and as far as possible from them: x, y, z reach from -23, -26, -20
    for centre in ((1.0, 2.0, 0.0), (-23 + 10.0, -26 + 10.0, -20 + 10.0), (-23 + 14.5, -26 + 13.5, -20 + 14.5)):
        for steepness in (0.5, 8.0):
            answer = vessel(centre, direction, steepness, around)
            full, _ = label_grid(answer, axes, by_priority, stride=1)
            assert (full == 2).sum() > 100
            assert torch.equal(label_grid(answer, axes, by_priority, stride)[0], full)


@pytest.mark.parametrize("level", [None, 15.0, 8.0])
@pytest.mark.parametrize("seed", [5, 11])
def test_no_coronary_of_a_phantom_is_missed_at_its_thinnest(seed, level):
    # At 1.5 mm no branch is thinner than 0.88 voxels in radius; here with logits that go on, or level off.
    generator, shape = np.random.default_rng(seed), (83, 97, 89)
    chambers = make_chambers(generator)
    tree = make_coronaries(generator, chambers, make_aorta(generator, chambers.frame), least_radius_mm=0.88 * 1.5)
    half_mm = (np.array(shape[::-1]) - 1) / 2 * 1.5

    def answer(points: Tensor) -> Tensor:
        logits = torch.from_numpy(-4 / 1.5 * tree(points.double().numpy() * half_mm)).float()
        return (logits if level is None else level * torch.tanh(logits / level))[:, None]

    full, _ = label_grid(answer, unit_axes(shape), by_priority, stride=1)
    counting, asked = counted(answer)
    labels, _ = label_grid(counting, unit_axes(shape), by_priority)
    assert (full == 1).sum() > 1000
    assert (labels != full).sum() <= (0 if level is None else 2)
    assert sum(asked) < 0.15 * full.numel()


@pytest.mark.parametrize("code_side", [0, 5])
def test_a_fields_labels_are_those_of_its_own_answers(code_side):
    field, decide, shape = rough_field(10, code_side), PriorityDecision(), (11, 13, 17)
    z, y, x = torch.meshgrid(*unit_axes(shape), indexing="ij")
    points = torch.stack([x, y, z]).reshape(1, 3, -1)
    with torch.no_grad():
        logits = field(points, torch.tensor([1]))[0].reshape(10, *shape)
    labels, kept = evaluate_heart(field, 1, unit_axes(shape), decide, stride=1, with_logits=True)
    torch.testing.assert_close(kept, logits, atol=1e-4, rtol=1e-4)
    assert (decide(torch.sigmoid(logits)[None])[0, 0] == labels).double().mean() >= 0.999


@pytest.mark.parametrize("code_side", [0, 5])
@pytest.mark.parametrize("fallback", ["background", "best"])
def test_a_networks_surfaces_are_where_asking_everywhere_puts_them(code_side, fallback):
    field = rough_field(10, code_side)
    decide = PriorityDecision(thresholds={"Coronary": 0.7, "LAA": 0.6, "Aorta": 0.3}, fallback=fallback)
    full, _ = evaluate_heart(field, 1, unit_axes(SHAPE), decide, stride=1)
    assert len(full.unique()) > 5
    for stride in (2, 4, 8):
        # an untrained network has kinks everywhere; a wider guard sees them
        for guard, agreement in ((0.25, 0.9995), (0.5, 0.9999)):
            labels, _ = evaluate_heart(field, 1, unit_axes(SHAPE), decide, stride, guard)
            assert (labels == full).double().mean() >= agreement


def test_only_what_can_change_is_asked():
    shape = (97, 101, 89)
    counting, asked = counted(lambda points: torch.stack([3 * (20 - 50 * points.norm(dim=1))] * 2, dim=1))
    labels, logits = label_grid(counting, unit_axes(shape), by_priority, chunk=256)
    assert logits is None
    assert labels.dtype == torch.uint8
    assert sum(asked) < 0.12 * labels.numel()


@pytest.mark.parametrize("value", [-5.0, 5.0])
def test_an_empty_and_a_full_grid_cost_the_coarse_lattice_only(value):
    counting, asked = counted(lambda points: torch.full((len(points), 2), value))
    labels, logits = label_grid(counting, unit_axes((21, 25, 29)), by_priority, chunk=16, with_logits=True)
    assert (labels == (2 if value > 0 else 0)).all()
    assert (logits == value).all()
    # 7 x 8 x 9 nodes, the last ones beyond the grid
    assert sum(asked) == 512


@pytest.mark.parametrize("shape", [(1, 53, 47), (41, 1, 47), (41, 53, 1), (8, 53, 47), (3, 97, 5), (1, 1, 1)])
def test_an_axis_of_few_points_is_asked_everywhere(shape):
    axes, answer = unit_axes(shape), balls(2.0)
    full, _ = label_grid(answer, axes, by_priority, stride=1)
    assert full.shape == shape
    counting, asked = counted(answer)
    assert torch.equal(label_grid(counting, axes, by_priority, chunk=512)[0], full)
    assert sum(asked) == -(-full.numel() // 512) * 512


@pytest.mark.parametrize("shape", [(9, 101, 37), (13, 9, 11), (101, 10, 9), (17, 18, 19)])
def test_lopsided_grids_keep_their_labels_up_to_their_last_point(shape):
    full, _ = label_grid(balls(1.0), unit_axes(shape), by_priority, stride=1)
    assert len(full.unique()) == 4
    assert torch.equal(label_grid(balls(1.0), unit_axes(shape), by_priority)[0], full)


@STRIDES
def test_logits_are_the_fields_own_at_its_surface_and_give_the_labels_everywhere(stride):
    field, axes = rough_field(1), unit_axes(SHAPE)
    _, full = evaluate_heart(field, 1, axes, by_priority, stride=1, with_logits=True)
    labels, logits = evaluate_heart(field, 1, axes, by_priority, stride, with_logits=True)
    assert full is not None and logits is not None
    assert logits.shape == (1, *SHAPE)
    assert (by_priority(torch.sigmoid(logits)[None])[0, 0] == labels).double().mean() >= 0.9999
    near = full.abs() < 0.01
    assert near.sum() > 30
    assert (logits[near] == full[near]).double().mean() > 0.99
    assert (logits - full).abs().max() < full.std()


def test_a_points_answer_does_not_depend_on_the_others_that_are_asked():
    field, axes = rough_field(3), unit_axes(SHAPE)
    _, full = evaluate_heart(field, 1, axes, by_priority, stride=1, chunk=500, with_logits=True)
    _, some = evaluate_heart(field, 1, axes, by_priority, stride=4, chunk=500, with_logits=True)
    assert full is not None and some is not None
    nodes = (slice(None), slice(None, None, 4), slice(None, None, 4), slice(None, None, 4))
    assert torch.equal(full[nodes], some[nodes])


def test_labels_do_not_depend_on_how_many_are_asked_at_once():
    field, axes = rough_field(3), unit_axes(SHAPE)
    labels, _ = evaluate_heart(field, 1, axes, by_priority, chunk=4096)
    assert torch.equal(evaluate_heart(field, 1, axes, by_priority, chunk=331)[0], labels)


@pytest.mark.parametrize("stride", [0, 3, -4])
def test_a_stride_that_cannot_be_halved_down_to_one_is_refused(stride):
    with pytest.raises(ValueError, match="not a power of two"):
        label_grid(balls(1.0), unit_axes(SHAPE), by_priority, stride)
