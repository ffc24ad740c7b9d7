"""What one whole heart costs to evaluate on a grid of 256^3, in one run::

    python -m benchmarks.unified_speed --output runs/unified_speed
    python -m benchmarks.unified_speed --output runs/unified_speed --checkpoint output/unified_implicit/heart/best.pt

A phantom heart is learned for a minute or two, or a trained one is given; then the same network answers

- ``plain``: at every point of the grid, chunk by chunk, and the ten logits are decided;
- ``heart``: by ``evaluate_heart``, labels alone; ``logits``: with the ten logits of every point;
- ``separate``: as ten fields of one structure each, by stage 1's coarse-to-fine evaluation over the same grid.

Two networks: the bundle's own, and the point MLP of requirement A1.2 on a smaller grid of codes. Every part runs in a
process of its own with one thread; seconds are CPU seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from benchmarks.stage1_speed import matmul_gflops, peak_mb
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.cohort.phantoms import make_heart
from custom.consistency.decision import PriorityDecision
from custom.engines.checkpoint import field_of
from custom.engines.heart_checkpoint import decision_of, load_heart
from custom.fields.dense import CHUNK, Answer, evaluate, points_of, unit_axes
from custom.fields.dense_heart import answer_of, evaluate_heart, label_grid
from custom.fields.near import NearField
from custom.points.balanced import draw_heart, places_of
from custom.volumes.morphology import foreground_box

NETWORKS: dict[str, dict[str, Any]] = {
    "bundle": {"trunk_channels": (32, 16), "latent_size": 8, "code_side": 32, "widths": (64, 64, 64, 32)},
    "wide": {"trunk_channels": (32, 16, 16), "latent_size": 16, "code_side": 16, "widths": (256, 256, 128, 64)},
}
STEPS = {"bundle": 250, "wide": 400}
Case = tuple[NearField, PriorityDecision]


def learned(options: dict[str, Any], steps: int, size: int = 128, seed: int = 3) -> NearField:
    """A field that has learned one phantom heart, sampled at 1.125 mm."""
    labels, _ = make_heart(seed, size)
    box = foreground_box(labels > 0, margin_voxels=4)
    assert box is not None
    labels = np.ascontiguousarray(labels[box].transpose(2, 1, 0))
    generator, indices = np.random.default_rng(0), PUBLIC_CARDIAC_CT.indices
    places = places_of(labels, indices, 1, generator)
    torch.manual_seed(0)
    field = NearField(1, outputs=len(indices), **options)
    weights = [weight for name, weight in field.named_parameters() if not name.startswith("codes")]
    groups = [{"params": list(field.codes.parameters()), "lr": 3e-2}, {"params": weights, "lr": 3e-3}]
    optimizer = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 50, 0.93)
    for _ in range(steps):
        drawn = draw_heart(labels, places, indices, 300, 2500, 2500, generator)
        logits = field(torch.from_numpy(drawn.points_unit.T.copy())[None])
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(logits, torch.from_numpy(drawn.occupancy)[None]).backward()
        optimizer.step()
        schedule.step()
    return field.eval()


def case_of(folder: Path, network: str, checkpoint: str) -> Case:
    """The field and its decision: those of a checkpoint, or the learned one, kept in ``folder``."""
    if checkpoint:
        content = load_heart(checkpoint)
        return field_of(content).eval(), decision_of(content)
    kept = folder / f"{network}.pt"
    if not kept.exists():
        torch.save(learned(NETWORKS[network], STEPS[network]).state_dict(), kept)
    field = NearField(1, outputs=len(PUBLIC_CARDIAC_CT), **NETWORKS[network])
    field.load_state_dict(torch.load(kept, weights_only=True))
    return field.eval(), PriorityDecision()


@torch.no_grad()
def plain_labels(
    field: NearField, decide: PriorityDecision, axes: tuple[Tensor, ...], chunk: int = CHUNK
) -> UInt8[Tensor, "d h w"]:
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
def separate_labels(field: NearField, decide: PriorityDecision, axes: tuple[Tensor, ...]) -> UInt8[Tensor, "d h w"]:
    """Ten fields of one structure, each by stage 1's evaluation; the logits are decided together, at half precision."""
    answer, channels = field.asked_all(0), []
    for channel in range(field.outputs):
        # The last layer's other rows are the least of the work: leaving them in favours nobody.
        channels.append(evaluate(partial(one_of, answer, channel), axes).half())
    slabs = zip(*(channel.split(16) for channel in channels), strict=True)
    return torch.cat([decide(torch.sigmoid(torch.stack(slab).float())[None])[0, 0] for slab in slabs])


def with_logits(field: NearField, decide: PriorityDecision, axes: tuple[Tensor, ...]) -> UInt8[Tensor, "d h w"]:
    """Labels and ten logits of every point."""
    return evaluate_heart(field, 0, axes, decide, with_logits=True)[0]


def alone(field: NearField, decide: PriorityDecision, axes: tuple[Tensor, ...]) -> UInt8[Tensor, "d h w"]:
    """Labels alone."""
    return evaluate_heart(field, 0, axes, decide)[0]


WAYS: dict[str, Callable[[NearField, PriorityDecision, tuple[Tensor, ...]], Tensor]] = {
    "plain": plain_labels,
    "heart": alone,
    "logits": with_logits,
    "separate": separate_labels,
}


def measured(folder: Path, network: str, way: str, checkpoint: str = "", side: int = 256) -> dict[str, float]:
    """CPU seconds and peak memory of one way; its labels are kept in ``folder``."""
    field, decide = case_of(folder, network, checkpoint)
    before_mb, begun = peak_mb(), time.process_time()
    labels = WAYS[way](field, decide, unit_axes((side,) * 3))
    seconds = time.process_time() - begun
    found = {"cpu_seconds": seconds, "peak_mb": peak_mb(), "peak_mb_before": before_mb}
    np.save(folder / f"{network}_{way}.npy", labels.numpy())
    return found


def agreement(plain: UInt8[np.ndarray, "d h w"], ours: UInt8[np.ndarray, "d h w"]) -> dict[str, Any]:
    """How many labels are the same, and what share of each structure's plain voxels is lost."""
    same = plain == ours
    lost = {
        s.name: float((~same & (plain == s.index)).sum() / max((plain == s.index).sum(), 1)) for s in PUBLIC_CARDIAC_CT
    }
    return {"agreement": float(same.mean()), "different_voxels": int((~same).sum()), "lost_share": lost}


@torch.no_grad()
def floor(folder: Path, network: str, checkpoint: str = "", side: int = 256) -> dict[str, float]:
    """What the point MLP alone costs at this thread's rate, everywhere and at the points that are asked, and bytes."""
    field, decide = case_of(folder, network, checkpoint)
    answer, asked = answer_of(field, 0), [0]

    def counting(points: Tensor) -> Tensor:
        asked[0] += points.shape[0]
        return answer(points)

    label_grid(counting, unit_axes((side,) * 3), decide)
    flop = 2 * sum(layer.weight.numel() for layer in field.head.children() if isinstance(layer, torch.nn.Linear))
    rate, features = matmul_gflops() * 1e9, field.in_channels - 3
    return {
        "asked_share": asked[0] / side**3,
        "flop_a_point": flop,
        "matmul_gflop_a_second": rate / 1e9,
        "plain_floor_cpu_seconds": side**3 * flop / rate,
        "heart_floor_cpu_seconds": asked[0] * flop / rate,
        "plain_gigabytes_of_features": side**3 * 8 * 4 * features / 1e9,
        "heart_gigabytes_of_features": asked[0] * 8 * 4 * features / 1e9,
    }


def apart(output: Path, network: str, part: str, checkpoint: str, side: int) -> dict[str, Any]:
    """One part in a process of its own, so that peak memory is its own."""
    call = [sys.executable, "-m", "benchmarks.unified_speed", "--output", str(output), "--network", network]
    call += ["--part", part, f"--checkpoint={checkpoint}", f"--side={side}"]
    done = subprocess.run(
        call, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compared(output: Path, network: str, checkpoint: str, side: int) -> dict[str, Any]:
    """All parts of one network."""
    apart(output, network, "learn", checkpoint, side)
    result: dict[str, Any] = {way: apart(output, network, way, checkpoint, side) for way in WAYS}
    plain = np.load(output / f"{network}_plain.npy")
    for way in ("heart", "logits", "separate"):
        result[way] |= agreement(plain, np.load(output / f"{network}_{way}.npy"))
        result[way]["plain_over_this"] = result["plain"]["cpu_seconds"] / result[way]["cpu_seconds"]
    result["heart"]["separate_over_this"] = result["separate"]["cpu_seconds"] / result["heart"]["cpu_seconds"]
    return result | {"floor": apart(output, network, "floor", checkpoint, side)}


def run(folder: Path, network: str, part: str, checkpoint: str, side: int) -> dict[str, float]:
    """One part, in this process."""
    if part == "learn":
        case_of(folder, network, checkpoint)
        return {}
    return (floor if part == "floor" else partial(measured, way=part))(
        folder, network, checkpoint=checkpoint, side=side
    )


def main(output: str, checkpoint: str = "", network: str = "", part: str = "", side: int = 256) -> None:
    """Run every part and write OUTPUT/unified_speed.json; or one ``part`` alone, printed as one line of JSON."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if part:
        print(json.dumps(run(folder, network, part, checkpoint, side)))
        return
    results = {}
    for name in ("checkpoint",) if checkpoint else (network,) if network else tuple(NETWORKS):
        results[name] = compared(folder, name, checkpoint, side)
        print(name, json.dumps(results[name], indent=2), flush=True)
        (folder / "unified_speed.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
