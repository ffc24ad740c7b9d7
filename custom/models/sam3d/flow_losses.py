"""What the codec and the flow minimise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Velocity = Callable[..., Tensor]
"""Called as ``flow(codes, time, context)``."""


def codec_terms(
    logits: Float[Tensor, "b 1 i j k"],
    occupancy: Float[Tensor, "b 1 i j k"],
    mean: Float[Tensor, "b c i2 j2 k2"],
    log_variance: Float[Tensor, "b c i2 j2 k2"],
) -> dict[str, Float[Tensor, ""]]:
    """``entropy``, the cross-entropy; ``dice``, one minus the soft Dice of every volume; ``kl``, how far the codes are
    from unit noise.

    An empty volume has a soft Dice of 1 where nothing is predicted.
    """
    inside, wanted = logits.sigmoid().flatten(1), occupancy.flatten(1)
    dice = (2 * (inside * wanted).sum(1) + 1) / (inside.sum(1) + wanted.sum(1) + 1)
    distance = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    return {
        "entropy": F.binary_cross_entropy_with_logits(logits, occupancy),
        "dice": (1 - dice).mean(),
        "kl": distance,
    }


def codec_loss(
    logits: Float[Tensor, "b 1 i j k"],
    occupancy: Float[Tensor, "b 1 i j k"],
    mean: Float[Tensor, "b c i2 j2 k2"],
    log_variance: Float[Tensor, "b c i2 j2 k2"],
    kl_weight: float = 1e-3,
) -> Float[Tensor, ""]:
    """The sum of :func:`codec_terms`, the last one times its weight."""
    terms = codec_terms(logits, occupancy, mean, log_variance)
    return terms["entropy"] + terms["dice"] + kl_weight * terms["kl"]


@dataclass(frozen=True)
class FlowLoss:
    """The loss, and what else can be asked of the same step.

    Attributes:
        loss: mean squared error of the velocity, times its weight.
        estimate: the shape's codes as the flow sees them from the moment, [b, n, c]: where its velocity leads.
        time: of every case, 0 (noise) to 1 (shape).
    """

    loss: Tensor
    estimate: Tensor
    time: Tensor


@dataclass(frozen=True)
class StepNoise:
    """What chance decides of each case of a step.

    Attributes:
        noise: unit noise, of the codes' shape.
        normal: a normal number each, that becomes the time.
        even: a number from 0 to 1 each, that decides whether the flow is told anything.
    """

    noise: Float[Tensor, "b ..."]
    normal: Float[Tensor, " b"]
    even: Float[Tensor, " b"]


def draw_step_noise(seeds: Sequence[int], like: Float[Tensor, "b ..."]) -> StepNoise:
    """The chance of each case from its own seed: whatever batch and process it is in, the same."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(like.shape[1:], generator=generator)
        rows.append((noise, torch.randn((), generator=generator), torch.rand((), generator=generator)))
    noise, normal, even = (torch.stack(part).to(like) for part in zip(*rows, strict=True))
    return StepNoise(noise, normal, even)


def draw_times(
    normal: Float[Tensor, " b"], mean: float | int = -1.0, deviation: float | int = 1.0
) -> Float[Tensor, " b"]:
    """Times in (0, 1) of normal numbers: their logistic function; a mean of -1 puts most of them near the noise."""
    return (mean + deviation * normal).sigmoid()


def drop_conditioning(
    context: Float[Tensor, "b m v"], even: Float[Tensor, " b"], share: float | int
) -> Float[Tensor, "b m v"]:
    """What the flow is told, all 0 for about ``share`` of the cases: what guidance needs (Ho and Salimans, 2022)."""
    return context * (even >= share)[:, None, None]


def flow_loss(
    flow: Velocity,
    codes: Float[Tensor, "b n c"],
    context: Float[Tensor, "b m v"],
    chance: StepNoise,
    unconditional_share: float = 0.1,
    time_mean: float = -1.0,
    time_deviation: float = 1.0,
    shape_weight: float = 1.0,
) -> FlowLoss:
    """The rectified-flow loss (Liu et al., ICLR 2023) of the shape's codes.

    At time t a case is (1 - t) noise + t codes and its velocity is codes - noise. The step-size embedder takes part
    with a step size of 0.

    Args:
        flow: see :class:`~custom.models.sam3d.flow_transformer.SparseFlow`.
        codes: of the shapes.
        context: what the flow is told of each.
        chance: noise and moment of each.
        unconditional_share: of the cases, told nothing.
        time_mean: see :func:`draw_times`.
        time_deviation: likewise.
        shape_weight: of the loss. The published training of the pose has 0 here, which trains no shape.
    """
    time, noise = draw_times(chance.normal, time_mean, time_deviation).to(codes.dtype), chance.noise
    ahead = time[:, None, None]
    between = (1 - ahead) * noise + ahead * codes
    velocity = flow(between, time, drop_conditioning(context, chance.even, unconditional_share))
    loss = shape_weight * F.mse_loss(velocity, codes - noise)
    return FlowLoss(loss, between + (1 - ahead) * velocity, time)
