"""What stage 1 costs beside the published way, in one run::

    python -m benchmarks.stage1_speed --output runs/speed

Published way (Yang et al., MICCAI 2022, and its successors): every point of the training grid is asked in every step,
and a mask is read from every point of the output grid, chunk by chunk. Parts:

- ``step``: seconds a step and peak memory of the 323-channel network at a training resolution of 128^3;
- ``grid_step``: a published step of the same network, one case at 64^3;
- ``dense``: CPU seconds to evaluate a 256^3 region, and the Dice between the two masks;
- ``reach``: CPU seconds until the mean Dice against the known truth reaches the target, same network, same cohort, same
  optimiser; a way that spends its limit first shows a Dice below the target, and the ratio is then a lower bound;
- ``epoch``: peak memory of one epoch over 100 and over 998 cases.

Ratios are what counts: machines differ. Every part runs in a process of its own with one thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fire
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peak_memory import peak_mb
from custom.data.case_list import find_cases, find_items
from custom.data.label_maps import LabelMap, read_label_map, write_label_map
from custom.metrics.overlap import dice
from custom.models.near.evaluate_grid import evaluate, evaluate_everywhere, unit_axes
from custom.models.near.near_field import NearField
from custom.phantoms.write_cohort import make_cohort
from custom.sampling.boundary_band import band_index, sample_points
from custom.training.run_bundle import bundle_configs, run_bundle
from custom.volumes.roi import Roi, find_roi, paste, to_cube

PARTS = ("step", "grid_step", "dense", "reach", "epoch")
LA = 2
COMPACT = {"trunk_channels": (32, 16, 8), "latent_size": 32, "widths": (64, 64, 64, 32)}
WIDE = {"trunk_channels": (128, 96, 64, 32), "latent_size": 256, "widths": (256, 256, 128, 64)}


def matmul_gflops(size: int = 1536) -> float:
    """What one thread of this machine multiplies, the best of five: the floor's other half."""
    left, right = torch.rand(size, size), torch.rand(size, size)
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - begun)
    return 2 * size**3 / min(seconds) / 1e9


def left_atria(cohort: Path) -> tuple[list[Roi], list[LabelMap]]:
    """The regions of the damaged LA of all cases, and the truth."""
    make_cohort(cohort)
    regions, truths = [], []
    for case in find_cases(cohort / "labels"):
        damaged = read_label_map(case.path)
        regions.append(find_roi(damaged.labels == LA, damaged.affine))
        truths.append(read_label_map(cohort / "truth" / case.path.name))
    return regions, truths


def truth_dice(field: NearField, regions: list[Roi], truths: list[LabelMap]) -> float:
    """Mean Dice of the field's masks against the truth."""
    scores = []
    for row, (roi, true) in enumerate(zip(regions, truths, strict=True)):
        logits = evaluate(field.asked(row), unit_axes(roi.frame.unit_shape))
        mask = paste(np.ascontiguousarray(roi.frame.from_unit_order(logits.numpy() > 0)), roi.frame)
        scores.append(dice(mask, true.labels == LA))
    return float(np.mean(scores))


Draw = Callable[[int], tuple[torch.Tensor, torch.Tensor]]


def seconds_to_reach(
    draw: Draw, regions: list[Roi], truths: list[LabelMap], target: float, every: int, limit_s: float
) -> dict[str, float]:
    """CPU seconds of training, scoring left out, until the truth Dice reaches the target or the limit is spent."""
    torch.manual_seed(0)
    field = NearField(len(regions), **COMPACT)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(field.parameters(), lr=5e-3)
    rows = torch.arange(len(regions))
    spent, step, reached = 0.0, 0, 0.0
    while reached < target and spent < limit_s:
        begun = time.process_time()
        step += 1
        points, occupancy = draw(step)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(field(points, rows), occupancy).backward()
        optimizer.step()
        spent += time.process_time() - begun
        if step % every == 0:
            field.eval()
            with torch.no_grad():
                reached = truth_dice(field, regions, truths)
    return {"cpu_seconds": spent, "steps": step, "dice": reached, "seconds_a_step": spent / step}


def reach(output: Path, target: float = 0.93, resolution: int = 64) -> dict[str, object]:
    """Points at random, half of them in the band, against every point of the grid."""
    regions, truths = left_atria(output / "phantoms")
    cubes = [to_cube(roi, resolution) for roi in regions]
    bands = [band_index(cube) for cube in cubes]
    generator = np.random.default_rng(0)

    def at_random(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = [sample_points(cube, band, 2048, 0.5, generator) for cube, band in zip(cubes, bands, strict=True)]
        points = torch.from_numpy(np.stack([one.points_unit.T for one in drawn]))
        return points, torch.from_numpy(np.stack([one.occupancy[None] for one in drawn]))

    axis = torch.linspace(-1, 1, resolution)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    grid = torch.stack([x, y, z]).reshape(1, 3, -1)
    whole = torch.from_numpy(np.stack(cubes)).reshape(len(cubes), 1, -1)

    def everywhere(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return grid.expand(len(cubes), -1, -1), whole

    ours = seconds_to_reach(at_random, regions, truths, target, 10, 600)
    published = seconds_to_reach(everywhere, regions, truths, target, 5, 1500)
    ratio = published["cpu_seconds"] / ours["cpu_seconds"]
    return {"target": target, "ours": ours, "published": published, "ratio": ratio}


def step(output: Path, cases: int = 6, points: int = 4096, resolution: int = 128) -> dict[str, object]:
    """Training steps of the 323-channel network on cubes of 128^3, as the bundle takes them, in single precision."""
    regions, _ = left_atria(output / "phantoms")
    cubes = [np.rint(255 * to_cube(roi, resolution)).astype(np.uint8) for roi in regions[:cases]]
    bands = [band_index(cube) for cube in cubes]
    field = NearField(cases, **WIDE)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(field.parameters(), lr=2e-3)
    generator, seconds = np.random.default_rng(0), []
    for _ in range(4):
        begun = time.process_time()
        drawn = [sample_points(cube, band, points, 0.5, generator) for cube, band in zip(cubes, bands, strict=True)]
        asked = torch.from_numpy(np.stack([one.points_unit.T for one in drawn]))
        occupancy = torch.from_numpy(np.stack([one.occupancy[None] for one in drawn]))
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(field(asked, torch.arange(cases)), occupancy).backward()
        optimizer.step()
        seconds.append(time.process_time() - begun)
    with FlopCounterMode(display=False) as counter:
        F.binary_cross_entropy_with_logits(field(asked, torch.arange(cases)), occupancy).backward()
    gflop, rate = counter.get_total_flops() / 1e9, matmul_gflops()
    return {
        "cpu_seconds_a_step": min(seconds),
        "peak_mb": peak_mb(),
        "cases": cases,
        "points_per_case": points,
        "gflop_a_step": gflop,
        "matmul_gflop_a_second": rate,
        "floor_cpu_seconds_a_step": gflop / rate,
    }


def grid_step(output: Path, resolution: int = 64) -> dict[str, object]:
    """One published step of the same network on one case, every point of a grid; 128^3 has eight times as many."""
    field = NearField(1, **WIDE)  # type: ignore[arg-type]
    axis = torch.linspace(-1, 1, resolution)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    points = torch.stack([x, y, z]).reshape(1, 3, -1)
    begun = time.process_time()
    F.binary_cross_entropy_with_logits(field(points, torch.tensor([0])), torch.zeros(1, 1, resolution**3)).backward()
    return {"cpu_seconds_a_case": time.process_time() - begun, "peak_mb": peak_mb(), "points": resolution**3}


def dense(output: Path, side: int = 256, steps: int = 150) -> dict[str, object]:
    """The 323-channel network, trained a little on one left atrium, evaluated on 256^3 points."""
    regions, _ = left_atria(output / "phantoms")
    cube = to_cube(regions[0], 64)
    band, generator = band_index(cube), np.random.default_rng(0)
    torch.manual_seed(0)
    field = NearField(1, **WIDE)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(field.parameters(), lr=2e-3)
    for _ in range(steps):
        drawn = sample_points(cube, band, 4096, 0.5, generator)
        optimizer.zero_grad()
        logits = field(torch.from_numpy(drawn.points_unit.T.copy())[None], torch.tensor([0]))
        F.binary_cross_entropy_with_logits(logits, torch.from_numpy(drawn.occupancy)[None, None]).backward()
        optimizer.step()
    field.eval()
    masks, seconds = [], []
    with torch.no_grad():
        for way, chunk in ((evaluate, 4096), (evaluate_everywhere, 131072)):
            begun = time.process_time()
            masks.append(way(field.asked(0), unit_axes((side,) * 3), chunk=chunk).numpy() > 0)
            seconds.append(time.process_time() - begun)
    return {
        "ours_cpu_seconds": seconds[0],
        "published_cpu_seconds": seconds[1],
        "ratio": seconds[1] / seconds[0],
        "dice": dice(masks[0], masks[1]),
        "inside_share": float(masks[1].mean()),
        "floor_cpu_seconds_of_the_whole_mlp": side**3 * 461e3 / 1e9 / matmul_gflops(),
    }


def write_balls(folder: Path, cases: int, size: int = 64) -> None:
    """Label maps with one ellipsoid each: enough for memory, which does not depend on anatomy."""
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), -1)
    for number in range(cases):
        path = folder / f"case_{number:04d}.nii.gz"
        if not path.exists():
            generator = np.random.default_rng(number)
            centre, radii = generator.uniform(26, 38, 3), generator.uniform(9, 18, 3)
            inside = (((grid - centre) / radii) ** 2).sum(-1) <= 1
            write_label_map(path, (LA * inside).astype(np.uint8), np.diag([1.5, 1.5, 1.5, 1.0]))


def epoch(output: Path, cases: int = 998) -> dict[str, object]:
    """One epoch of the bundle over many cases."""
    labels = output / f"balls_{cases}"
    write_balls(labels, cases)
    begun = time.process_time()
    run_bundle(
        bundle_configs("near_stage1", ["train"], "LA"),
        "training",
        dataset_dir=str(labels),
        output_dir=str(output / f"epoch_{cases}"),
        structure="LA",
        max_epochs=1,
        device="cpu",
    )
    items = len(find_items(labels))
    return {"cases": items, "peak_mb": peak_mb(), "cpu_seconds": time.process_time() - begun}


def alone(part: str, output: Path, **arguments: int) -> dict[str, object]:
    """One part in a process of its own, so that peak memory is its own."""
    call = [sys.executable, "-m", "benchmarks.stage1_speed", "--output", str(output), "--part", part]
    call += [f"--{name}={value}" for name, value in arguments.items()]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def main(output: str, part: str = "", parts: tuple[str, ...] = PARTS, **arguments: int) -> None:
    """Run every part and write OUTPUT/speed.json; or one ``part`` alone, printed as one line of JSON."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if part:
        chosen = {"reach": reach, "step": step, "grid_step": grid_step, "dense": dense, "epoch": epoch}[part]
        print(json.dumps(chosen(folder, **arguments)))  # type: ignore[operator]
        return
    kept = folder / "speed.json"
    results: dict[str, object] = json.loads(kept.read_text()) if kept.is_file() else {}
    for name in parts:
        if name == "epoch":
            results[name] = [alone(name, folder, cases=cases) for cases in (100, 998)]
        else:
            results[name] = alone(name, folder)
        print(name, json.dumps(results[name], indent=2), flush=True)
    kept.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
