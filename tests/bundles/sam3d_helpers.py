"""How the tests run the bundle heart_sam3d_lora: on balls in shells, eight voxels a side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigWorkflow

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.slices.case_volume import CaseVolume
from custom.slices.cut_slices import slices_worth
from custom.slices.scan_cube import Cube
from custom.slices.slice_datalist import CachedCase, write_listing
from custom.slices.slice_file import Slice
from custom.training.run_bundle import bundle_configs, run_bundle

NAME = "heart_sam3d_lora"
BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / NAME
SMALL: dict[str, Any] = {
    "voxels": 8,
    "encoder_channels": [4, 8],
    "code_channels": 2,
    "width": 16,
    "depth": 1,
    "heads": 2,
    "context_width": 8,
    "fuser_width": 8,
    "image_size": 8,
    "patch": 4,
    "embed_width": 8,
    "point_size": 8,
    "point_window": 4,
    "point_width": 8,
    "point_heads": 1,
    "least_pixels": 2,
    "structures": ["heart_ventricle_left", "heart_myocardium"],
    "lora_rank": 2,
    "batch_size": 4,
}
AFFINE = np.array([[3.0, 0, 0, -7], [0, 0, -3.0, 11], [0, 3.0, 0, 5], [0, 0, 0, 1]])


def cube_of(number: int, edge: int = 8, open_below: bool = False) -> Cube:
    """A ball (2) off the middle in a shell (5), another in every case; perhaps with all below its middle along i cut
    away, so that shapes have a direction."""
    rng = np.random.default_rng(number)
    middle = rng.uniform(-0.7, 0.7, 3) + (edge - 1) / 2
    away = np.linalg.norm(np.moveaxis(np.indices((edge,) * 3), 0, -1) - middle, axis=-1)
    inner = rng.uniform(1.4, 1.9)
    labels = np.where(away < inner, 2, np.where(away < inner + 1.5, 5, 0)).astype(np.uint8)
    if open_below:
        labels[: int(middle[0])] = 0
    image = np.choose(labels, [-90.0, 0, 350, 0, 0, 110]) + rng.normal(0, 20, labels.shape)
    return Cube(image.astype(np.float32), labels, AFFINE.copy())


def make_cache(folder: Path, cases: int = 6, held_out: int = 1, open_below: bool = False) -> Path:
    """A cache as ``corfield slices`` writes it: the last cases for the test, as many before them for validation."""
    made, splits = [], {}
    for number in range(cases):
        name = f"s{number:04d}"
        volume = CaseVolume.of(name, cube_of(number, open_below=open_below), TOTALSEGMENTATOR_HEART)
        volume.write(folder / name / f"{name}-sdf.npz")
        rows = []
        for axis, index, pixels in slices_worth(volume.labels, TOTALSEGMENTATOR_HEART, 2):
            path = f"{name}/{name}-ax{axis}-{index:03d}.npz"
            Slice.of(volume, axis, index, f"{name}-sdf.npz").write(folder / path)
            rows.append((path, axis, index, tuple(pixels)))
        made.append(CachedCase(name, name, f"{name}/{name}-sdf.npz", tuple(rows)))
        left = (cases - 1 - number) // held_out
        splits[name] = {0: "test", 1: "validation"}.get(left, "training")
    write_listing(folder, made, splits, TOTALSEGMENTATOR_HEART)
    return folder


def texts(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}


def workflow(run_id: str, names: Sequence[str], **settings: Any) -> ConfigWorkflow:
    """The workflow of configs laid over each other, as ``python -m monai.bundle run`` builds it."""
    torch.set_num_threads(1)
    return ConfigWorkflow(
        config_file=bundle_configs(NAME, names),
        logging_file=False,
        run_id=run_id,
        workflow_type="train" if run_id == "training" else "infer",
        bundle_root=str(BUNDLE),
        **texts(settings),
    )


def run(run_id: str, names: Sequence[str], **settings: Any) -> ConfigWorkflow:
    torch.set_num_threads(1)
    return run_bundle(bundle_configs(NAME, names), run_id, **texts(settings))


def train(cache: Path, output_dir: Path, *overlays: str, **settings: Any) -> ConfigWorkflow:
    """One stage, small and short: ``vae``, ``base``, or the adapters if no overlay says otherwise."""
    where = {"dataset_dir": cache, "output_dir": output_dir}
    return run("training", ["train", *overlays, "smoke"], **(SMALL | where | settings))


def infer(cache: Path, output_dir: Path, **settings: Any) -> ConfigWorkflow:
    where = {"dataset_dir": cache, "output_dir": output_dir, "steps": 3, "least_pixels": 2}
    return run("infer", ["inference"], **(where | {"structures": SMALL["structures"]} | settings))


def command(run_id: str, names: Sequence[str], **settings: Any) -> list[str]:
    """The arguments after ``python`` of the same run in a process of its own, from the repository's root."""
    configs = json.dumps(bundle_configs(NAME, names)).replace('"', "'")
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    return ["-W", "ignore", "-m", "monai.bundle", "run", run_id, "--config_file", configs, *options]
