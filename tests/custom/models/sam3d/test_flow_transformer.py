"""The flow: what it depends on, what it learns, how shapes are drawn from it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from custom.errors import InputError
from custom.models.sam3d.euler_sampler import sample_codes, time_steps
from custom.models.sam3d.flow_losses import draw_step_noise, draw_times, drop_conditioning, flow_loss
from custom.models.sam3d.flow_transformer import POSE, SparseFlow
from custom.models.sam3d.position_embedding import grid_positions

SMALL = {"grid": 2, "code_channels": 3, "width": 28, "context_width": 11, "depth": 2, "heads": 2}


def awake(**settings: object) -> SparseFlow:
    """A flow none of whose parts is 0 any more."""
    torch.manual_seed(5)
    flow = SparseFlow(**(SMALL | settings))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return flow


def asked(batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(batch, 8, 3), torch.linspace(0.2, 0.7, batch), torch.randn(batch, 5, 11)


def test_a_tiny_flow_learns_to_tell_two_shapes_apart_by_what_it_is_told() -> None:
    torch.manual_seed(0)
    shapes, told = torch.randn(2, 8, 3), torch.randn(2, 5, 11)
    flow = SparseFlow(**SMALL)
    optimizer = torch.optim.AdamW(flow.parameters(), lr=5e-3)
    for step in range(150):
        picked = torch.arange(16) % 2
        optimizer.zero_grad()
        chance = draw_step_noise(range(16 * step, 16 * step + 16), shapes[picked])
        flow_loss(flow, shapes[picked], told[picked], chance).loss.backward()
        optimizer.step()
    wanted = torch.arange(14) % 2
    drawn = sample_codes(flow, torch.randn(14, 8, 3), told[wanted], steps=8, guidance=1.0)
    away = (drawn[:, None] - shapes).square().mean(dim=(2, 3))
    assert away.argmin(dim=1).tolist() == wanted.tolist()
    assert away.gather(1, wanted[:, None]).mean() < 0.25 * (shapes[0] - shapes[1]).square().mean()


def test_before_training_the_velocity_is_0() -> None:
    assert SparseFlow(**SMALL)(*asked()).eq(0).all()


def test_the_velocity_depends_on_codes_time_context_and_step_size() -> None:
    flow, (codes, time, context) = awake(), asked()
    velocity = flow(codes, time, context)
    others = [
        flow(codes + 1, time, context),
        flow(codes, time + 0.1, context),
        flow(codes, time, context + 1),
        flow(codes, time, context, torch.full((2,), 0.25)),
    ]
    assert all((other - velocity).abs().max() > 1e-3 for other in others)


def test_a_step_size_left_out_is_0_and_its_embedder_is_still_asked_and_trained() -> None:
    flow, (codes, time, context) = awake(), asked()
    velocity = flow(codes, time, context)
    assert torch.equal(velocity, flow(codes, time, context, torch.zeros(2)))
    velocity.sum().backward()
    assert flow.d_embedder.mlp[2].bias.grad.abs().max() > 0


def test_the_shape_is_the_same_with_and_without_the_pose() -> None:
    both, (codes, time, context) = awake(pose=True), asked()
    alone = SparseFlow(**SMALL)
    state = {name: tensor for name, tensor in both.state_dict().items() if name in alone.state_dict()}
    alone.load_state_dict(state)
    pose = {name: torch.randn(2, 1, channels) for name, channels in POSE.items()}
    together = both.velocities({"shape": codes} | pose, time, context)
    assert torch.allclose(together["shape"], alone(codes, time, context), atol=1e-6)
    assert {name: together[name].shape for name in POSE} == {name: tensor.shape for name, tensor in pose.items()}


def test_the_pose_sees_the_shape_but_its_gradient_does_not_reach_the_shapes_keys() -> None:
    flow, (codes, time, context) = awake(pose=True), asked()
    pose = {name: torch.randn(2, 1, channels) for name, channels in POSE.items()}
    velocity = flow.velocities({"shape": codes} | pose, time, context)["scale"]
    moved = flow.velocities({"shape": codes + 1} | pose, time, context)["scale"]
    velocity.sum().backward()
    assert (velocity - moved).abs().max() > 1e-4
    assert flow.blocks[0].self_attn.to_qkv["shape"].weight.grad is None


def test_heads_that_do_not_divide_the_width_are_named() -> None:
    with pytest.raises(InputError, match="3 heads for a width of 28"):
        SparseFlow(**(SMALL | {"heads": 3}))


def test_every_cell_of_a_grid_has_a_place_of_its_own_and_channels_left_over_are_0() -> None:
    places = grid_positions(3, 20)
    assert places.shape == (27, 20)
    assert torch.cdist(places, places).fill_diagonal_(1).min() > 1e-2
    assert places[:, 18:].eq(0).all()


def test_the_loss_of_the_true_velocity_is_0_and_its_estimate_is_the_shape() -> None:
    codes = torch.randn(3, 8, 3)

    def true(between: Tensor, time: Tensor, context: Tensor) -> Tensor:
        return (codes - between) / (1 - time[:, None, None])

    found = flow_loss(true, codes, torch.zeros(3, 5, 11), draw_step_noise(range(3), codes))
    assert found.loss < 1e-9
    assert torch.allclose(found.estimate, codes, atol=1e-5)


def test_a_weight_of_0_trains_no_shape() -> None:
    flow, (codes, _, context) = awake(), asked()
    chance = draw_step_noise(range(2), codes)
    assert flow_loss(flow, codes, context, chance, shape_weight=0.0).loss == 0
    assert flow_loss(flow, codes, context, chance).loss > 0


def test_chance_is_each_cases_own_whatever_batch_it_is_in() -> None:
    codes = torch.zeros(3, 8, 5)
    whole, alone = draw_step_noise([11, 12, 13], codes), draw_step_noise([12], codes[:1])
    assert torch.equal(whole.noise[1:2], alone.noise)
    assert torch.equal(whole.normal[1:2], alone.normal) and torch.equal(whole.even[1:2], alone.even)
    many = draw_step_noise(range(401), torch.zeros(401, 8, 5))
    assert many.noise.std().item() == pytest.approx(1, abs=0.02)
    assert many.even.mean().item() == pytest.approx(0.5, abs=0.05)


def test_most_times_are_near_the_noise() -> None:
    torch.manual_seed(1)
    times = draw_times(torch.randn(4001))
    assert times.min() > 0 and times.max() < 1
    assert times.median().item() == pytest.approx(0.269, abs=0.02)


def test_about_the_share_asked_for_is_told_nothing_and_the_others_all() -> None:
    torch.manual_seed(1)
    context = drop_conditioning(torch.ones(2003, 5, 11), torch.rand(2003), 0.3)
    silent = context.eq(0).all(dim=(1, 2))
    assert silent.float().mean().item() == pytest.approx(0.3, abs=0.04)
    assert context[~silent].eq(1).all()


def test_three_quarters_of_the_way_are_half_of_it_at_a_rescale_of_3() -> None:
    assert time_steps(4, 3.0) == pytest.approx([0, 1 / 10, 1 / 4, 1 / 2, 1])
    assert time_steps(4, 1.0) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize(
    ("settings", "calls"), [({}, 44), ({"guidance": 0.0}, 25), ({"distilled": True, "steps": 4}, 4), ({"steps": 1}, 2)]
)
def test_the_flow_is_asked_twice_a_step_only_where_there_is_guidance(settings: dict[str, object], calls: int) -> None:
    sizes = []

    def still(codes: Tensor, time: Tensor, context: Tensor, size: Tensor | None) -> Tensor:
        sizes.append(None if size is None else size[0].item())
        return torch.zeros_like(codes)

    noise = torch.randn(2, 8, 3)
    assert torch.equal(sample_codes(still, noise, torch.ones(2, 5, 11), **settings), noise)
    assert sizes == [0.25 if "distilled" in settings else None] * calls


def test_guidance_leads_away_from_what_is_drawn_untold() -> None:
    def flow(codes: Tensor, time: Tensor, context: Tensor, size: Tensor | None) -> Tensor:
        return torch.ones_like(codes) * context.mean()

    drawn = sample_codes(flow, torch.zeros(1, 8, 3), torch.ones(1, 5, 11), steps=1, guidance=7.0)
    assert drawn.eq(8).all()


def test_a_constant_velocity_is_followed_exactly_by_any_number_of_steps() -> None:
    def flow(codes: Tensor, time: Tensor, context: Tensor, size: Tensor | None) -> Tensor:
        return torch.full_like(codes, 3.0)

    for steps in (1, 2, 7):
        drawn = sample_codes(flow, torch.zeros(1, 8, 3), torch.zeros(1, 5, 11), steps=steps)
        assert torch.allclose(drawn, torch.full_like(drawn, 3.0))


def test_no_step_at_all_is_named() -> None:
    with pytest.raises(InputError, match="0 steps"):
        time_steps(0)
