"""Whole hearts from a field, on any grid, and the loss that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.losses.distillation import Distillation
from custom.losses.whole_heart import HeartLoss
from custom.models.near.near_field import NearField
from custom.near.heart_inferer import HeartInferer, WholeHeartLoss
from custom.near.latent_pca import CodePca
from custom.near.output_grid import OutputGrids
from custom.rules.priority_decision import PriorityDecision
from custom.space import Frame

LV, LA = (PUBLIC_CARDIAC_CT[name].index for name in ("LV", "LA"))
CHANNEL = {name: channel for channel, name in enumerate(PUBLIC_CARDIAC_CT.names)}
SHAPE = (31, 29, 23)
GRID = np.array([[-2.0, 0, 0, 49.0], [0, 3.0, 0, 7.0], [0, 0, 1.5, 40.0], [0, 0, 0, 1.0]])
BOX = Frame(GRID, SHAPE, (10, 5, 3), (20, 15, 9))


def halves() -> NearField:
    """LV where unit x is above 0.05, LA where unit z is above 0.05 (LA comes first), nothing else.

    The first two channels carry x + 2 and z + 2 through the layers, above 0 and so unchanged.
    """
    field = NearField(2, [4], latent_size=2, code_side=3, widths=[8, 8, 8, 8], outputs=10)
    head = field.head
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        for layer in (head.fc2, head.fc3, head.fc4):
            layer.weight[0, 0] = layer.weight[1, 1] = 1
        head.fc1.weight[0, 0] = head.fc1.weight[1, 2] = 1
        head.fc1.bias[:2] = 2
        head.output.bias[:] = -9
        for channel, carried in ((CHANNEL["LV"], 0), (CHANNEL["LA"], 1)):
            head.output.weight[channel, carried], head.output.bias[channel] = 50, -50 * 2.05
    return field.eval()


def asked(canvases: OutputGrids, **settings: Any) -> Tensor:
    return HeartInferer(canvases, PriorityDecision(), **settings)(torch.tensor([0]), halves())


@pytest.mark.parametrize("stride", [0, 3, 6])
def test_a_stride_is_a_power_of_two(stride: int) -> None:
    with pytest.raises(InputError, match=f"--stride: found {stride}; wanted a power of two"):
        HeartInferer(OutputGrids([BOX]), PriorityDecision(), stride=stride)


def expected(world_mm: np.ndarray) -> np.ndarray:
    """What stands at places of the world: x runs from 9 to 29 mm over the box, z from 44.5 to 53.5."""
    inside = ((world_mm >= [8, 20.5, 43.75]) & (world_mm <= [30, 53.5, 54.25])).all(axis=-1)
    x = np.clip((world_mm[..., 0] - 19) / 10, -1, 1)
    z = np.clip((world_mm[..., 2] - 49) / 4.5, -1, 1)
    return np.where(inside, np.where(z > 0.05, LA, np.where(x > 0.05, LV, 0)), 0)


def places(frame: Frame) -> np.ndarray:
    ijk = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(frame.low_ijk, frame.high_ijk, strict=True)),
                               indexing="ij"), axis=-1)  # fmt: skip
    return ijk @ frame.affine[:3, :3].T + frame.affine[:3, 3]


@pytest.mark.parametrize("stride", [1, 2])
def test_labels_stand_where_the_field_has_them_on_the_label_maps_own_grid(stride: int) -> None:
    answer = asked(OutputGrids([BOX]), chunk=37, stride=stride)
    assert answer.shape == (1, 1, 11, 11, 7) and answer.dtype == torch.uint8
    assert np.array_equal(answer[0, 0].numpy(), expected(places(BOX)))


def test_a_finer_grid_covers_the_same_box() -> None:
    canvases = OutputGrids([BOX], spacing_mm=0.9)
    answer = asked(canvases)
    assert answer.shape[2:] == canvases[0].box_shape
    assert np.array_equal(answer[0, 0].numpy(), expected(places(canvases[0])))


def test_another_images_grid_is_drawn_on_at_its_own_angle(tmp_path: Path) -> None:
    turn = np.array([[0.0, -1.3, 0.2, 45.0], [1.1, 0.1, 0, 15.0], [0, 0.3, 0.9, 35.0], [0, 0, 0, 1]])
    write_label_map(tmp_path / "other.nii.gz", np.zeros((37, 41, 31), np.uint8), turn)
    canvases = OutputGrids([BOX], grid_from=tmp_path / "other.nii.gz")
    canvas = canvases[0]
    answer = asked(canvases, chunk=997)[0, 0].numpy()
    assert canvas.shape == (37, 41, 31) and answer.shape == canvas.box_shape
    wanted = expected(places(canvas))
    assert (answer == wanted).mean() > 0.999  # a voxel on the very edge may fall on either side
    assert {int(value) for value in np.unique(answer)} == {0, LV, LA}
    whole = np.zeros(canvas.shape, dtype=wanted.dtype)
    whole[canvas.box] = wanted
    everywhere = Frame(canvas.affine, canvas.shape, (0, 0, 0), tuple(size - 1 for size in canvas.shape))  # type: ignore[arg-type]
    assert (whole == expected(places(everywhere))).mean() > 0.999


def test_a_grid_somewhere_else_stays_empty(tmp_path: Path) -> None:
    far = np.diag([1.0, 1, 1, 1])
    far[:3, 3] = 500
    nib.save(nib.Nifti1Image(np.zeros((5, 7, 11), np.uint8), far), tmp_path / "far.nii.gz")
    canvases = OutputGrids([BOX], grid_from=tmp_path / "far.nii.gz")
    assert canvases[0].empty and asked(canvases).numel() == 0


def test_a_box_that_reaches_beyond_the_volume_is_drawn_within_it() -> None:
    beyond = Frame(GRID, SHAPE, (-4, 5, 3), (20, 15, 30))
    canvases = OutputGrids([beyond])
    assert (canvases[0].low_ijk, canvases[0].high_ijk) == ((0, 5, 3), (20, 15, 22))
    answer = asked(canvases)[0, 0].numpy()
    assert answer.shape == (21, 11, 20)
    # z runs over 28 voxels from 3 to 30: half-way is 16.5, and 0.05 beyond it lies below 18.
    assert (answer[:, :, 15:] == LA).all() and (answer[:, :, :14] != LA).all()
    # x falls along i, over 25 voxels from -4 to 20: half-way is 8.
    assert (answer[:8, :, 0] == LV).all() and (answer[8:, :, 0] == 0).all()


def test_a_background_case_has_no_voxel_on_any_grid() -> None:
    empty = Frame(GRID, SHAPE, (0, 0, 0), (-1, -1, -1))
    for spacing_mm in (None, 1.0):
        assert asked(OutputGrids([empty], spacing_mm)).shape == (1, 1, 0, 0, 0)


def test_probabilities_stand_behind_the_labels_that_they_decide() -> None:
    answer = asked(OutputGrids([BOX]), with_probabilities=True)
    assert answer.shape == (1, 11, 11, 11, 7)
    assert torch.equal(answer[:, :1].to(torch.uint8), PriorityDecision()(answer[:, 1:]))
    assert np.array_equal(answer[0, 0].numpy(), expected(places(BOX)))


def test_a_spacing_and_an_image_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--grid_from: found a --spacing_mm beside it"):
        OutputGrids([BOX], spacing_mm=1.0, grid_from=tmp_path / "any.nii.gz")


def loss_of(centre: CodePca | None = None, latent_weight: float = 0.5) -> WholeHeartLoss:
    return WholeHeartLoss(HeartLoss([1.0, 1.0]), Distillation([1.0, 1.0], [1.0, 1.0]), latent_weight, centre)


def test_the_loss_is_that_of_the_targets_that_of_the_teachers_and_the_codes_length() -> None:
    logits, codes = torch.randn(3, 2, 5), torch.randn(3, 4, 2, 2, 2)
    target, taught = torch.rand(3, 2, 5), torch.rand(3, 2, 5)
    answer = {"logits": logits, "codes": codes}
    heart = HeartLoss([1.0, 1.0])(logits, target)
    prior = 0.5 * codes.pow(2).sum() / 3
    assert torch.isclose(loss_of()(answer, target), heart + prior)
    both = torch.cat([target, taught], dim=1)
    teachers = Distillation([1.0, 1.0], [1.0, 1.0])(logits, taught)
    assert torch.isclose(loss_of()(answer, both), heart + teachers + prior)


def test_the_prior_pulls_each_code_towards_the_start_of_its_case() -> None:
    trained, target = torch.randn(4, 7), torch.full((3, 2, 5), -1.0)
    hearts = CodePca(trained, 3, cases=6)
    hearts.coefficients[5, 0] = 2.0
    starts = torch.stack([hearts.mean, hearts.mean + 2 * hearts.modes[0], hearts.mean])
    codes = torch.randn(3, 7)
    answer = {"logits": torch.zeros(3, 2, 5), "codes": codes, "rows": torch.tensor([0, 5, 1])}
    wanted = float(0.5 * (codes - starts).pow(2).sum() / 3)
    assert float(loss_of(hearts)(answer, target)) == pytest.approx(wanted, rel=1e-5)
    answer["codes"] = starts
    assert float(loss_of(hearts)(answer, target)) == 0
