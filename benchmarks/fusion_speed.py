"""Fusion and anatomical rules of one ten-structure case, beside MONAI's own transforms on the same masks::

    python -m benchmarks.fusion_speed --output runs/fusion_speed               # one damaged phantom, 256^3

The case's masks and probabilities are written first. Then, each in a process of its own with two threads:

- ``ours``: the bundle ``near_fusion`` as a user runs it: reading ten masks, fusing, bridging, all rules to their fixed
  point, writing the label map and the ledger;
- ``monai``: the same reading, fusion and writing, and between them MONAI's ``KeepLargestConnectedComponent`` and
  ``FillHoles`` for every structure, which neither bridge nor judge contacts nor keep account.

Wall and CPU seconds exclude starting Python and importing; the peak of memory is the process's. Printed and written to
OUTPUT/table.md.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import fire
import numpy as np
import torch
from monai.transforms import FillHoles, KeepLargestConnectedComponent
from scipy.ndimage import gaussian_filter

from benchmarks.peak_memory import peak_mb
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import read_label_map, write_label_map
from custom.phantoms.write_cohort import make_cohort
from custom.rules.priority_fusion import PriorityFusion
from custom.training.run_bundle import bundle_configs, run_bundle

CASE = "phantom_000.nii.gz"
THREADS = 2


def write_masks(labels: Path, masks: Path) -> None:
    """The masks of one case by structure, and a blurred copy of each thin one as its probability."""
    case = read_label_map(labels / CASE)
    for structure in PUBLIC_CARDIAC_CT:
        target = masks / structure.name / CASE
        if target.exists():
            continue
        mask = case.labels == structure.index
        if structure.thin:
            blurred = gaussian_filter(mask.astype(np.float32), 1.0).round(2)
            write_label_map(masks / structure.name / "probability" / CASE, blurred, case.affine, np.float32)
        write_label_map(target, mask.astype(np.uint8), case.affine)


def ours(labels: Path, masks: Path, output: Path) -> None:
    """The bundle."""
    configs = bundle_configs("near_fusion", ["inference"])
    run_bundle(
        configs, "infer", dataset_dir=str(labels), masks_dir=str(masks), output_dir=str(output), only_cases=CASE[:-7]
    )


def monai(labels: Path, masks: Path, output: Path) -> None:
    """What MONAI has for it."""
    channels = [read_label_map(masks / structure.name / CASE).labels for structure in PUBLIC_CARDIAC_CT]
    fused = PriorityFusion()(torch.from_numpy(np.stack(channels))[None])[0, 0].numpy()
    result = np.zeros_like(fused)
    for structure in PUBLIC_CARDIAC_CT:
        one = torch.from_numpy((fused == structure.index).astype(np.float32))[None]
        kept = KeepLargestConnectedComponent(num_components=structure.components)(one)
        filled = np.asarray(FillHoles()(kept))[0] > 0
        result[filled] = structure.index
    write_label_map(output / "repaired" / CASE, result, read_label_map(labels / CASE).affine)


def measured(way: Callable[[Path, Path, Path], None], labels: Path, masks: Path, output: Path, report: Path) -> None:
    """Run one way in this process and note what it took."""
    torch.set_num_threads(THREADS)
    shutil.rmtree(output, ignore_errors=True)
    wall, cpu = time.perf_counter(), time.process_time()
    way(labels, masks, output)
    taken = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    taken["peak_gib"] = peak_mb() / 1024
    report.write_text(json.dumps(taken))


def main(output: str, size: int = 256, seed: int = 0) -> None:
    """Make the case, run both, print and write the table."""
    folder = Path(output)
    cohort, masks = folder / f"cohort_{size}", folder / f"masks_{size}"
    make_cohort(cohort, 1, size, seed)
    write_masks(cohort / "labels", masks)
    os.environ["OMP_NUM_THREADS"] = str(THREADS)
    lines = [
        f"{size}^3, ten structures, {THREADS} threads",
        "",
        "| way | wall s | CPU s | peak GiB |",
        "| - | -: | -: | -: |",
    ]
    taken = {}
    for way in (ours, monai):
        report = folder / f"{way.__name__}.json"
        process = multiprocessing.get_context("spawn").Process(
            target=measured, args=(way, cohort / "labels", masks, folder / way.__name__, report)
        )
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{way.__name__} failed")
        taken[way.__name__] = json.loads(report.read_text())
        lines.append(
            f"| {way.__name__} | " + " | ".join(f"{value:.2f}" for value in taken[way.__name__].values()) + " |"
        )
    lines.append(
        f"\nMONAI's transforms take {taken['monai']['wall_s'] / taken['ours']['wall_s']:.1f} times our wall time."
    )
    text = "\n".join(lines) + "\n"
    print(text)
    (folder / "table.md").write_text(text)


if __name__ == "__main__":
    fire.Fire(main)
