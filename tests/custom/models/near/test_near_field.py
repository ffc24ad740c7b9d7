"""The field of one structure: a function of the code and the point, and of nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from custom.models.near.near_field import NearField

ROOT = Path(__file__).resolve().parents[4]


def vector_field(cases: int = 3) -> NearField:
    return distinct(NearField(cases, (16, 8, 8), latent_size=8, widths=(32, 32, 16, 8)).eval())


def grid_field(cases: int = 3) -> NearField:
    return distinct(NearField(cases, (8, 4), latent_size=4, code_side=5, widths=(32, 32, 16, 8)).eval())


def layered_field(cases: int = 3) -> NearField:
    sizes = {"latent_size": 4, "code_side": 5, "fine_code_side": 11, "fine_latent_size": 2, "fine_trunk_channels": (3,)}
    return distinct(NearField(cases, (8, 4), widths=(32, 32, 16, 8), **sizes).eval())


def distinct(field: NearField) -> NearField:
    """Codes and answers that differ well beyond rounding."""
    torch.nn.init.normal_(field.codes.table.weight)
    for layer in field.head.children():
        torch.nn.init.normal_(layer.weight, std=0.3)
    return field


FIELDS = pytest.mark.parametrize("field_of", [vector_field, grid_field, layered_field])


def points(batch: int, count: int) -> torch.Tensor:
    return torch.rand(batch, 3, count) * 2 - 1


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("channels", "features"), [((64, 48, 32, 16), 163), ((128, 96, 64, 32), 323), ((32, 16, 16), 67)]
)
def test_the_features_of_a_point_are_the_trunks_channels_and_three_coordinates(channels, features):
    field = NearField(1, channels)
    assert field.in_channels == features
    assert field.head.fc1.in_features == features
    assert field.head.fc3.in_features == 256 + features


def test_the_published_trunk_with_the_wide_head_has_the_published_size_without_the_norms():
    # the predecessor's shape-only network, 998 codes, has 1,105,409; 2 x (256 + 256 + 128 + 64) are group norms
    assert parameters(NearField(998, (64, 48, 32, 16))) == 1_105_409 - 1408


@FIELDS
def test_no_layer_normalises_over_points(field_of):
    kinds = {type(module).__name__ for module in field_of().head.modules()}
    assert kinds == {"SkipMLP", "Linear"}


@FIELDS
def test_the_answer_at_a_point_is_the_same_alone_and_in_a_crowd(field_of):
    field, asked = field_of(), points(1, 499)
    crowd = field(asked)[0, 0]
    for position in (0, 250, 498):
        torch.testing.assert_close(field(asked[..., position : position + 1])[0, 0, 0], crowd[position])
    assert crowd.std() > 0.05


@FIELDS
def test_the_answer_in_the_band_does_not_depend_on_whether_only_the_band_is_asked(field_of):
    field = field_of()
    band = points(1, 257) * 0.05 + 0.4
    mixed = torch.cat([band, points(1, 1024)], dim=2)
    torch.testing.assert_close(field(band), field(mixed)[..., :257], atol=1e-6, rtol=1e-6)


@FIELDS
def test_among_equally_many_others_the_answer_has_the_same_bits(field_of):
    field = field_of()
    one, other = points(1, 512), points(1, 512) * 0.1
    other[..., 100] = one[..., 100]
    assert torch.equal(field(one)[..., 100], field(other)[..., 100])


@FIELDS
def test_the_answer_does_not_depend_on_the_other_cases_of_the_batch(field_of):
    field, asked = field_of(), points(3, 61)
    together = field(asked, torch.tensor([2, 0, 1]))
    assert together.shape == (3, 1, 61)
    for row, case in enumerate((2, 0, 1)):
        alone = field(asked[row : row + 1], torch.tensor([case]))
        torch.testing.assert_close(alone[0], together[row])


@FIELDS
def test_without_an_index_the_first_code_is_asked(field_of):
    field, asked = field_of(), points(2, 61)
    assert torch.equal(field(asked), field(asked, torch.tensor([0, 0])))
    assert not torch.allclose(field(asked), field(asked, torch.tensor([1, 1])), atol=1e-2)


@FIELDS
def test_asking_one_case_is_the_same_as_the_forward_pass(field_of):
    field, asked = field_of(), points(1, 61)
    answer = field.asked(2)(asked[0].T)
    assert answer.shape == (61,)
    torch.testing.assert_close(answer, field(asked, torch.tensor([2]))[0, 0])


def test_one_logit_a_point_is_what_is_asked_for_unless_more_are():
    torch.manual_seed(7)
    usual = NearField(2, (16, 8), latent_size=8, widths=(32, 32, 16, 8))
    torch.manual_seed(7)
    said = NearField(2, (16, 8), latent_size=8, widths=(32, 32, 16, 8), outputs=1)
    assert (usual.head.output.out_features, usual.outputs) == (1, 1)
    assert list(usual.state_dict()) == list(said.state_dict())
    assert all(torch.equal(value, said.state_dict()[name]) for name, value in usual.state_dict().items())


@pytest.mark.parametrize("code_side", [0, 5])
def test_several_structures_are_answered_at_once_each_in_its_channel(code_side):
    field = distinct(NearField(3, (16, 8), 8, code_side, widths=(32, 32, 16, 8), outputs=7).eval())
    asked, index = points(2, 61), torch.tensor([2, 1])
    together = field(asked, index)
    assert together.shape == (2, 7, 61)
    answer = field.asked_all(2)(asked[0].T)
    assert answer.shape == (61, 7)
    torch.testing.assert_close(answer.T, together[0])
    assert torch.equal(field.asked(2)(asked[0].T), answer[:, 0])
    single = distinct(NearField(3, (16, 8), 8, code_side, widths=(32, 32, 16, 8)).eval())
    state = field.state_dict()
    state["head.output.weight"], state["head.output.bias"] = (
        state["head.output.weight"][4:5],
        state["head.output.bias"][4:5],
    )
    single.load_state_dict(state)
    torch.testing.assert_close(single(asked, index)[:, 0], together[:, 4])


@FIELDS
def test_x_y_and_z_are_not_interchangeable(field_of):
    field, asked = field_of(), points(1, 61)
    assert not torch.allclose(field(asked), field(asked.flip(1)), atol=1e-2)


@FIELDS
def test_the_gradient_reaches_every_weight_and_only_the_codes_that_were_asked(field_of):
    field = field_of(5)
    field(points(2, 257), torch.tensor([4, 1])).square().sum().backward()
    without = [name for name, weight in field.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []
    reached = field.codes.table.weight.grad.abs().sum(dim=1) > 0
    assert reached.tolist() == [False, True, False, False, True]


@FIELDS
def test_a_code_alone_can_be_fitted_while_the_weights_rest(field_of):
    field = field_of().requires_grad_(False)
    code = field.codes.mean().requires_grad_()
    field.answer(field.pyramid(code), points(1, 61).transpose(1, 2)).sum().backward()
    assert code.grad is not None and code.grad.abs().max() > 0
    assert all(weight.grad is None for weight in field.parameters())


@FIELDS
def test_a_saved_state_gives_the_same_field(field_of, tmp_path):
    field, fresh, asked = field_of(), field_of(), points(1, 61)
    torch.save(field.state_dict(), tmp_path / "field.pt")
    fresh.load_state_dict(torch.load(tmp_path / "field.pt", weights_only=True))
    assert torch.equal(field(asked, torch.tensor([1])), fresh(asked, torch.tensor([1])))


@FIELDS
def test_the_exported_program_takes_any_number_of_points_and_cases(field_of):
    field = field_of()
    cases, count = torch.export.Dim("cases", max=64), torch.export.Dim("count", min=2, max=1 << 20)
    example = (points(2, 17), torch.tensor([2, 0]))
    program = torch.export.export(field, example, dynamic_shapes=({0: cases, 2: count}, {0: cases})).module()
    for batch, n in ((1, 101), (5, 3)):
        asked, index = points(batch, n), torch.arange(batch) % 3
        torch.testing.assert_close(program(asked, index), field(asked, index))


SCRIPTED = """
import warnings
import torch
from custom.models.near.near_field import NearField
warnings.simplefilter("ignore")
torch.manual_seed(0)
for options in ({"trunk_channels": (16, 8, 8), "latent_size": 8}, {"trunk_channels": (8, 4), "code_side": 5}):
    field = NearField(3, widths=(32, 32, 16, 8), **options).eval()
    scripted = torch.jit.script(field)
    for count in (17, 1):
        points, index = torch.rand(2, 3, count) * 2 - 1, torch.tensor([2, 1])
        assert torch.equal(scripted(points, index), field(points, index))
        assert torch.equal(scripted(points), field(points))
print("equal")
"""


def test_torchscript_answers_the_same_with_and_without_an_index():
    # In a process of its own: TorchScript cannot read functions that the test run's shape checks have wrapped.
    done = subprocess.run([sys.executable, "-c", SCRIPTED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("equal\n", 0), done.stderr
