"""The point MLP: each point for itself."""

from __future__ import annotations

import pytest
import torch

from custom.models.near.point_mlp import SkipMLP


def test_the_layers_are_those_of_the_requirement():
    mlp = SkipMLP(323)
    sizes = {name: (layer.in_features, layer.out_features) for name, layer in mlp.named_children()}
    assert sizes == {"fc1": (323, 256), "fc2": (256, 256), "fc3": (579, 128), "fc4": (128, 64), "output": (64, 1)}


def test_an_input_unit_of_1_is_carried_through_both_paths():
    mlp = SkipMLP(1, 2, (1, 1, 1, 1))
    for parameter in mlp.parameters():
        parameter.data.fill_(1.0)
    # x = 2: fc1 3, fc2 4, fc3 4 + 2 + 1 = 7, fc4 8, output 9; x = -3: fc1 0, fc2 1, fc3 0, fc4 1, output 2
    assert mlp(torch.tensor([[[2.0], [-3.0]]])).tolist() == [[[9.0, 9.0], [2.0, 2.0]]]


def test_the_answer_at_a_point_does_not_depend_on_the_points_beside_it():
    mlp = SkipMLP(11, widths=(32, 32, 16, 8))
    features = torch.randn(2, 7, 11)
    others = torch.randn(2, 7, 11) * 50
    others[:, 3] = features[:, 3]
    assert torch.equal(mlp(features)[:, 3], mlp(others)[:, 3])
    assert not torch.equal(mlp(features)[:, 4], mlp(others)[:, 4])


@pytest.mark.parametrize("prior", [0.5, 0.1, 0.01])
def test_an_untrained_network_answers_about_the_prior(prior):
    mlp = SkipMLP(11, prior=prior)
    assert torch.sigmoid(mlp.output.bias).item() == pytest.approx(prior, rel=1e-4)
    answer = torch.sigmoid(mlp(torch.randn(1, 997, 11) * 0.1)).median().item()
    assert prior / 1.5 < answer < prior * 1.5
