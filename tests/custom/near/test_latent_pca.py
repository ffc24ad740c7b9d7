"""The mean heart and the ways in which hearts differ."""

from __future__ import annotations

import pytest
import torch

from custom.models.near.near_field import NearField
from custom.near.latent_pca import MOST_HEARTS, CodePca, StartRegulariser, principal_components


def test_a_mode_is_as_long_as_the_spread_along_it_and_the_longest_comes_first() -> None:
    centred = torch.tensor([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    modes = principal_components(centred, 5)
    assert modes.shape == (2, 3)  # the third direction has no spread
    # standard deviations by n - 1 = 3: sqrt(18 / 3) and sqrt(2 / 3)
    torch.testing.assert_close(modes.abs(), torch.tensor([[6.0**0.5, 0.0, 0.0], [0.0, (2 / 3) ** 0.5, 0.0]]))


def test_of_more_modes_than_asked_the_main_ones_are_kept() -> None:
    centred = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    torch.testing.assert_close(principal_components(centred, 1).abs(), torch.tensor([[6.0**0.5, 0.0]]))
    assert principal_components(centred, 0).shape == (0, 2)


@pytest.mark.parametrize("codes", [torch.ones(1, 3), torch.ones(7, 3)])
def test_hearts_without_any_difference_have_no_mode(codes: torch.Tensor) -> None:
    hearts = CodePca(codes, 4, cases=2)
    assert hearts.modes.shape == (0, 3)
    torch.testing.assert_close(hearts(torch.tensor([1, 0])), torch.ones(2, 3))


def test_every_trained_code_is_made_of_mean_and_modes() -> None:
    codes = torch.randn(5, 11, generator=torch.Generator().manual_seed(0))
    hearts = CodePca(codes, 32, cases=1)
    assert hearts.modes.shape == (4, 11)
    found = torch.linalg.lstsq(hearts.modes.T, (codes[2] - hearts.mean)[:, None]).solution.T
    hearts.coefficients[0] = found[0]
    torch.testing.assert_close(hearts(torch.tensor([0]))[0], codes[2], atol=1e-5, rtol=0)
    assert (found.abs() < 2).all()


def test_of_many_hearts_evenly_spread_ones_make_the_modes() -> None:
    codes = torch.zeros(2 * MOST_HEARTS, 2)
    codes[::2, 0] = 5.0
    assert CodePca(codes, 3, cases=1).mean.tolist() == [5.0, 0.0]


def test_a_head_that_is_not_asked_keeps_to_what_the_start_says_and_an_asked_one_is_left_alone() -> None:
    field = NearField(2, (4,), latent_size=3, code_side=2, widths=(8, 8, 8, 8), outputs=2)
    torch.nn.init.normal_(field.head.output.weight, std=3.0)
    hearts = CodePca(torch.randn(4, 24), 3, cases=2)
    hearts.coefficients[1, 0] = 1.5
    kept = StartRegulariser(field, hearts, weight=0.5)
    points, rows = torch.rand(1, 3, 13) * 2 - 1, torch.tensor([1])
    code = hearts(rows).reshape(1, 3, 2, 2, 2)
    start = field.answer(field.pyramid(code), points.transpose(1, 2)).transpose(1, 2).detach()
    target = torch.zeros(1, 2, 13)
    target[0, 1] = -1.0
    answer = {"logits": start.clone().requires_grad_(), "rows": rows, "points": points}
    loss = kept(answer, target)
    p = torch.sigmoid(start[0, 1])
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).mean()
    torch.testing.assert_close(loss, 0.5 * entropy / 2, atol=1e-5, rtol=1e-4)  # the mean over two structures
    loss.backward()
    assert answer["logits"].grad is not None and answer["logits"].grad.abs().max() < 1e-6  # it is where it should be
    moved = {**answer, "logits": start + torch.tensor([7.0, 1.0])[:, None]}
    assert kept(moved, target) > loss
    assert float(kept(moved, torch.zeros(1, 2, 13))) == 0
    assert list(kept.parameters()) == []
