"""The ways of drawing a whole heart that ``unified_speed`` compares, and the fields they ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.models.near.evaluate_grid import CHUNK, Answer, evaluate, points_of
from custom.models.near.evaluate_label_grid import evaluate_heart
from custom.models.near.near_field import NearField
from custom.near.field_checkpoint import field_of, frames_of, load_checkpoint
from custom.near.heart_checkpoint import decision_of, load_heart_checkpoint
from custom.near.inferers import DenseInferer
from custom.phantoms.phantom_heart import make_heart
from custom.rules.priority_decision import PriorityDecision
from custom.sampling.whole_heart_points import HeartPlacesd, RandHeartPointsd
from custom.training.run_bundle import bundle_configs
from custom.volumes.morphology import foreground_box

from .unified_runs import BUNDLE, plain_settings


def configured_network() -> dict[str, Any]:
    """The network of the bundle's ``train.json``: what its parts refer to."""
    own, (path,) = plain_settings(), bundle_configs(BUNDLE, ["train"])
    parts = json.loads(Path(path).read_text())["network_def"]
    return {key: own[str(value)[1:]] for key, value in parts.items() if str(value)[1:] in own}


NETWORKS: dict[str, dict[str, Any]] = {
    "bundle": configured_network(),
    "wide": {"trunk_channels": (32, 16, 16), "latent_size": 16, "code_side": 16, "widths": (256, 256, 128, 64)},
}
COUNTS = ("points_per_structure", "shell_points", "band_points", "background_points")
STEPS = {"bundle": 250, "wide": 400}
Case = tuple[NearField, PriorityDecision]
Axes = tuple[Tensor, ...]


def learned(options: dict[str, Any], steps: int, size: int = 128, seed: int = 3) -> NearField:
    """A field that has learned one phantom heart, sampled at 1.125 mm, on a third of the bundle's points a step."""
    labels, _ = make_heart(seed, size)
    box = foreground_box(labels > 0, margin_voxels=4)
    assert box is not None
    whole = torch.from_numpy(np.ascontiguousarray(labels[box].transpose(2, 1, 0)))[None]
    counts = {key: count // 3 for key, count in plain_settings().items() if key in COUNTS}
    heart, draw = HeartPlacesd("label")({"label": whole, "index": 0}), RandHeartPointsd("label", **counts)
    torch.manual_seed(0)
    field = NearField(1, outputs=len(PUBLIC_CARDIAC_CT), **options)
    weights = [weight for name, weight in field.named_parameters() if not name.startswith("codes")]
    groups = [{"params": list(field.codes.parameters()), "lr": 3e-2}, {"params": weights, "lr": 3e-3}]
    optimizer = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 50, 0.93)
    for step in range(1, steps + 1):
        draw.set_epoch(step)
        drawn = draw(heart)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(field(drawn["image"][None]), drawn["label"][None]).backward()
        optimizer.step()
        schedule.step()
    return field.eval()


def case_of(folder: Path, network: str, checkpoint: str) -> Case:
    """The field and its decision: those of a checkpoint, or the learned one, kept in ``folder``."""
    if checkpoint:
        content = load_heart_checkpoint(checkpoint)
        return field_of(content).eval(), decision_of(content)
    kept = folder / f"{network}.pt"
    if not kept.exists():
        torch.save(learned(NETWORKS[network], STEPS[network]).state_dict(), kept)
    field = NearField(1, outputs=len(PUBLIC_CARDIAC_CT), **NETWORKS[network])
    field.load_state_dict(torch.load(kept, weights_only=True))
    return field.eval(), PriorityDecision()


@torch.no_grad()
def plain_labels(field: NearField, decide: PriorityDecision, axes: Axes, chunk: int = CHUNK) -> UInt8[Tensor, "d h w"]:
    """Every point of the grid, chunk by chunk: the straightforward way."""
    answer, shape = field.asked_all(0), [axis.numel() for axis in axes]
    parts = []
    for flat in torch.arange(shape[0] * shape[1] * shape[2]).split(chunk):
        parts.append(decide(torch.sigmoid(answer(points_of(axes, flat))).T[None])[0, 0])
    return torch.cat(parts).reshape(shape)


def one_of(answer: Answer, channel: int, points: Tensor) -> Tensor:
    """One structure's logits [n]."""
    return answer(points)[:, channel]


@torch.no_grad()
def separate_labels(field: NearField, decide: PriorityDecision, axes: Axes) -> UInt8[Tensor, "d h w"]:
    """Ten fields of one structure, each by stage 1's evaluation; the logits are decided together, at half precision."""
    answer, channels = field.asked_all(0), []
    for channel in range(field.outputs):
        # The last layer's other rows are the least of the work: leaving them in favours nobody.
        channels.append(evaluate(partial(one_of, answer, channel), axes).half())
    slabs = zip(*(channel.split(16) for channel in channels), strict=True)
    return torch.cat([decide(torch.sigmoid(torch.stack(slab).float())[None])[0, 0] for slab in slabs])


def with_logits(field: NearField, decide: PriorityDecision, axes: Axes) -> UInt8[Tensor, "d h w"]:
    """Labels and ten logits of every point."""
    return evaluate_heart(field, 0, axes, decide, with_logits=True)[0]


def alone(field: NearField, decide: PriorityDecision, axes: Axes) -> UInt8[Tensor, "d h w"]:
    """Labels alone."""
    return evaluate_heart(field, 0, axes, decide)[0]


WAYS: dict[str, Callable[[NearField, PriorityDecision, Axes], Tensor]] = {
    "plain": plain_labels,
    "heart": alone,
    "logits": with_logits,
    "separate": separate_labels,
}


def draw_own_fields(stage1: Path, side: int) -> dict[str, float]:
    """Draw the ten structures of the first case from stage 1's own fields, each in its own box, on a grid of which the
    whole heart's box would take ``side`` cubed points; how many points were drawn, and its spacing."""
    contents = {path.parent.name: load_checkpoint(path) for path in sorted(stage1.glob("*/best.pt"))}
    case = min(case for content in contents.values() for case in content["cases"])
    frames = {name: frames_of(content)[content["cases"].index(case)] for name, content in contents.items()}
    there = [frame for frame in frames.values() if not frame.empty]
    low = np.min([frame.low_ijk for frame in there], axis=0)
    high = np.max([frame.high_ijk for frame in there], axis=0)
    spacing_mm = float(np.prod((high - low) * there[0].spacing_mm) ** (1 / 3) / (side - 1))
    points = 0
    for content in contents.values():
        inferer = DenseInferer(frames_of(content), spacing_mm)
        points += inferer(torch.tensor([content["cases"].index(case)]), field_of(content)).numel()
    return {"points": points, "spacing_mm": spacing_mm, "fields": len(contents)}
