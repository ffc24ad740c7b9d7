"""How long fields will take to train on this machine: a step of each kind, timed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch

from ..anatomy import table
from ..models.near.near_field import NearField
from .stage1_structures import StructureJob, state_of
from .unified_stage import HeartJob

OVERHEAD = 1.25
"""What drawing points, validating, cutting out, writing and answering for every voxel add to the steps themselves."""

AT_MOST = 2
"""Cases in the timed step; more take as many times longer."""

FINE = ("fine_code_side", "fine_latent_size", "fine_trunk_channels")
"""Settings of a code's second part, which the whole heart has."""

SHARES = {"new": 1.0, "begun": 1.0, "trained": 0.05, "done": 0.0}
"""Of a job's whole time, by its state; how far a training run is that was begun is not looked at."""


def step_seconds(
    settings: Mapping[str, Any], cases: int, device: str, points: int = 0, outputs: int = 1, threads: int = 1
) -> float:
    """Seconds of one training step over a batch of that many cases: the second of two is timed.

    Args:
        settings: of the training run.
        cases: in the batch, at least 1.
        device: where it is trained.
        points: of each case; 0 for the setting ``points_per_case``.
        outputs: of the field.
        threads: of torch.
    """
    fewer, points = min(cases, AT_MOST), points or settings["points_per_case"]
    torch.set_num_threads(threads)
    field = NearField(
        fewer,
        settings["trunk_channels"],
        settings["latent_size"],
        settings["code_side"],
        settings["mlp_widths"],
        outputs=outputs,
        **{key: settings[key] for key in FINE if key in settings},
    ).to(device)
    optimizer = torch.optim.Adam(field.parameters())
    asked = torch.rand(fewer, 3, points, device=device) * 2 - 1
    rows, begun = torch.arange(fewer, device=device), 0.0
    for _ in range(2):
        begun = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bool(settings.get("amp"))):
            answers = field(asked, rows)
        loss = torch.nn.functional.softplus(answers.float()).mean()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for a device that works on its own
    torch.set_num_threads(1)
    return (time.perf_counter() - begun) * cases / fewer


def expected_seconds(jobs: Mapping[str, StructureJob], present: Mapping[str, int], device: str) -> dict[str, float]:
    """Seconds that each job will keep one worker busy, by structure: an estimate.

    Args:
        jobs: by structure.
        present: number of cases that hold the structure, by structure.
        device: where they are trained.
    """
    timed: dict[str, float] = {}
    expected = {}
    for name, job in jobs.items():
        share, settings = SHARES[state_of(job)], job.merged
        batch = min(settings["batch_size"], present[name])
        kind = ("trunk_channels", "latent_size", "code_side", "mlp_widths", "points_per_case")
        key = repr([settings[part] for part in kind] + [batch])
        if share and key not in timed:
            timed[key] = step_seconds(settings, batch, device)
        steps = settings["max_epochs"] * math.ceil(present[name] / settings["batch_size"])
        expected[name] = share * steps * timed.get(key, 0.0) * OVERHEAD
    return expected


def heart_seconds(job: HeartJob, cases: int, device: str) -> float:
    """Seconds that the whole heart's field will take, its training and what comes behind it: an estimate.

    Args:
        job: of stage 3.
        cases: that it is trained on.
        device: where it is trained.
    """
    share, settings = SHARES[state_of(job)], job.merged
    if not share:
        return 0.0
    structures = len(table(settings["label_table"]))
    points = structures * (settings["points_per_structure"] + settings["shell_points"])
    points += settings["band_points"] + settings["background_points"]
    points += settings["teacher_points"] if settings["teacher_dir"] else 0
    batch = min(settings["batch_size"], cases)
    step = step_seconds(settings, batch, device, points, structures, settings["cpu_threads"])
    return share * settings["max_epochs"] * math.ceil(cases / settings["batch_size"]) * step * OVERHEAD


def wall_seconds(expected: Mapping[str, float], workers: int) -> float:
    """Seconds until the last of several workers is done, each taking the longest job left when it is free."""
    free = [0.0] * workers
    for seconds in sorted(expected.values(), reverse=True):
        free[free.index(min(free))] += seconds
    return max(free)
