"""What one whole heart costs to evaluate on a grid of 256^3, in one run::

    python -m benchmarks.unified_speed --output runs/unified_speed
    python -m benchmarks.unified_speed --output runs/unified_speed --checkpoint output/unified_implicit/heart/best.pt
    python -m benchmarks.unified_speed --output runs/unified_speed --checkpoint ... --stage1 OUT/stage1

A phantom heart is learned for a minute or two, or a trained one is given; then the same network answers

- ``plain``: at every point of the grid, chunk by chunk, and the ten logits are decided;
- ``heart``: by ``evaluate_heart``, labels alone; ``logits``: with the ten logits of every point;
- ``separate``: as ten fields of one structure each, by stage 1's coarse-to-fine evaluation over the same grid;
- ``own``: stage 1's own fields of one case, each in its own box, on a grid of which the whole heart's box would take as
  many points; other networks, whose masks still are to be fused.

Two networks: the bundle's own, and the point MLP of requirement A1.2 on a smaller grid of codes. Every part runs in a
process of its own with one thread; seconds are CPU seconds. What is done is not done again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cc3d
import fire
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from benchmarks.peak_memory import peak_mb
from benchmarks.stage1_speed import matmul_gflops
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.fingerprints import content_digest
from custom.metrics.csv_tables import markdown
from custom.models.near.evaluate_grid import unit_axes
from custom.models.near.evaluate_label_grid import answer_of, label_grid
from custom.run.json_records import digest

from .unified_evaluation_variants import NETWORKS, WAYS, case_of, draw_own_fields


def measured(folder: Path, network: str, way: str, checkpoint: str = "", side: int = 256) -> dict[str, float]:
    """CPU seconds and peak memory of one way; its labels are kept in ``folder``."""
    field, decide = case_of(folder, network, checkpoint)
    before_mb, begun = peak_mb(), time.process_time()
    labels = WAYS[way](field, decide, unit_axes((side,) * 3))
    seconds = time.process_time() - begun
    found = {"cpu_seconds": seconds, "peak_mb": peak_mb(), "peak_mb_before": before_mb}
    np.save(folder / f"{network}_{way}.npy", labels.numpy())
    return found


def missed_pieces(mask: Bool[np.ndarray, "d h w"], found: Bool[np.ndarray, "d h w"]) -> int:
    """Connected pieces of ``mask``, 26 neighbours, of which no voxel is found."""
    pieces, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    return int(count - np.unique(pieces[mask & found]).size)


def agreement(plain: UInt8[np.ndarray, "d h w"], ours: UInt8[np.ndarray, "d h w"]) -> dict[str, Any]:
    """How many labels are the same; of each structure the share of its plain voxels that is lost, and the pieces."""
    same = plain == ours
    lost, missed = {}, {}
    for structure in PUBLIC_CARDIAC_CT:
        mask = plain == structure.index
        lost[structure.name] = float((mask & ~same).sum() / max(mask.sum(), 1))
        missed[structure.name] = missed_pieces(mask, ours == structure.index)
    return {
        "agreement": float(same.mean()),
        "different_voxels": int((~same).sum()),
        "lost_share": lost,
        "missed_pieces": missed,
    }


def own_fields(stage1: str, side: int) -> dict[str, float]:
    """CPU seconds and peak memory of stage 1's own ten fields of one case."""
    begun = time.process_time()
    drawn = draw_own_fields(Path(stage1), side)
    return {"cpu_seconds": time.process_time() - begun, "peak_mb": peak_mb(), **drawn}


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


def apart(output: Path, part: str, **options: Any) -> dict[str, Any]:
    """One part in a process of its own, so that peak memory is its own; a part that is done is not done again."""
    kept = output / f"{part}.json"
    output.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        call = [sys.executable, "-m", "benchmarks.unified_speed", "--output", str(output), "--part", part]
        call += [f"--{name}={value}" for name, value in options.items()]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        kept.write_text(done.stdout.splitlines()[-1])
    result: dict[str, Any] = json.loads(kept.read_text())
    return result


def compared(output: Path, network: str, checkpoint: str, side: int) -> dict[str, Any]:
    """All parts of one network, in a folder of its own."""
    options = {"network": network, "checkpoint": checkpoint, "side": side}
    asked = [content_digest(checkpoint)] if checkpoint else [NETWORKS[network]]
    output = output / f"{network}_{digest(options, asked)}"
    apart(output, "learn", **options)
    result: dict[str, Any] = {way: apart(output, way, **options) for way in WAYS}
    plain = np.load(output / f"{network}_plain.npy")
    for way in ("heart", "logits", "separate"):
        result[way] |= agreement(plain, np.load(output / f"{network}_{way}.npy"))
        result[way]["plain_over_this"] = result["plain"]["cpu_seconds"] / result[way]["cpu_seconds"]
    result["heart"]["separate_over_this"] = result["separate"]["cpu_seconds"] / result["heart"]["cpu_seconds"]
    return result | {"floor": apart(output, "floor", **options)}


def table_of(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A line per network and way."""
    lines = []
    for network, result in results.items():
        for way in WAYS if "plain" in result else ("own",):
            one = result[way]
            cells = [f"{one['cpu_seconds']:.1f}", f"{one['peak_mb'] / 1024:.2f}"]
            if "agreement" in one:
                lost, missed = one["lost_share"]["Coronary"], sum(one["missed_pieces"].values())
                cells += [f"{one['plain_over_this']:.1f}", f"{one['agreement']:.6f}", f"{lost:.5f}", str(missed)]
            lines.append([network, way, *cells, *[""] * (6 - len(cells))])
    header = ["network", "way", "CPU s", "peak GiB", "plain over this", "agreement", "coronary lost", "pieces missed"]
    return markdown(header, lines)


def run(folder: Path, network: str, part: str, checkpoint: str, stage1: str, side: int) -> dict[str, float]:
    """One part, in this process."""
    if part == "learn":
        case_of(folder, network, checkpoint)
        return {}
    if part == "own":
        return own_fields(stage1, side)
    work = floor if part == "floor" else partial(measured, way=part)
    return work(folder, network, checkpoint=checkpoint, side=side)


def main(
    output: str, checkpoint: str = "", stage1: str = "", network: str = "", part: str = "", side: int = 256
) -> None:
    """Run every part and write the results and their table; or one ``part`` alone, printed as one line of JSON."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if part:
        print(json.dumps(run(folder, network, part, checkpoint, stage1, side)))
        return
    results: dict[str, Any] = {}
    for name in ("checkpoint",) if checkpoint else (network,) if network else tuple(NETWORKS):
        results[name] = compared(folder, name, checkpoint, side)
    if stage1:
        results["stage 1"] = {"own": apart(folder / f"own_{digest(stage1, side)}", "own", stage1=stage1, side=side)}
    text = table_of(results)
    print(text)
    (folder / "unified_speed.md").write_text(text)
    (folder / "unified_speed.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
