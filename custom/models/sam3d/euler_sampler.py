"""Drawing codes from noise: Euler's method along the flow, with guidance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import InputError
from .flow_losses import Velocity


def time_steps(steps: int, rescale: float = 3.0) -> list[float]:
    """``steps + 1`` times from 0 (noise) to 1 (shape), closer to each other near the noise if ``rescale`` is over 1.

    Raises:
        InputError: no step, or a factor that is not positive.
    """
    if steps < 1 or rescale <= 0:
        found = f"{steps} steps and a rescale of {rescale}"
        raise InputError("moments", found, "at least one step, a positive rescale", "Change the sampler's settings.")
    even = [step / steps for step in range(steps + 1)]
    return [time / (1 + (rescale - 1) * (1 - time)) for time in even]


@torch.no_grad()
def sample_codes(
    flow: Velocity,
    noise: Float[Tensor, "b n c"],
    context: Float[Tensor, "b m v"],
    steps: int = 25,
    guidance: float = 7.0,
    guided_until: float = 0.5,
    rescale: float = 3.0,
    distilled: bool = False,
) -> Float[Tensor, "b n c"]:
    """The shape's codes that the flow leads to.

    Args:
        flow: see :class:`~custom.models.sam3d.flow_transformer.SparseFlow`.
        noise: where it starts.
        context: what the flow is told.
        steps: of Euler's method; 1 is one jump.
        guidance: w in (1 + w) told - w untold; 0 asks the flow once a step, not twice.
        guided_until: the last time at which there is guidance.
        rescale: see :func:`time_steps`.
        distilled: whether the flow knows its step size: then it is told 1 / ``steps``, and there is no guidance.
    """
    times = time_steps(steps, rescale)
    size = torch.full_like(noise[:, 0, 0], 1 / steps) if distilled else None
    codes, nothing = noise, torch.zeros_like(context)
    for now, then in zip(times[:-1], times[1:], strict=True):
        time = torch.full_like(noise[:, 0, 0], now)
        velocity = flow(codes, time, context, size)
        if guidance and not distilled and now <= guided_until:
            velocity = (1 + guidance) * velocity - guidance * flow(codes, time, nothing, size)
        codes = codes + (then - now) * velocity
    return codes
