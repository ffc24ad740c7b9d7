"""How the tests run the bundle heart_completion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

from custom.training.run_bundle import bundle_configs, run_bundle

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "heart_completion"
SHORT: dict[str, Any] = {"max_epochs": 4, "val_interval": 2, "val_points": 2000}


def workflow(run_id: str, names: Sequence[str], **settings: Any) -> ConfigWorkflow:
    """The workflow of configs laid over each other, as ``python -m monai.bundle run`` builds it."""
    torch.set_num_threads(1)
    return ConfigWorkflow(
        config_file=bundle_configs("heart_completion", names),
        logging_file=False,
        run_id=run_id,
        workflow_type="train" if run_id == "training" else "infer",
        bundle_root=str(BUNDLE),
        **texts(settings),
    )


def texts(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}


def run(run_id: str, names: Sequence[str], **settings: Any) -> ConfigWorkflow:
    torch.set_num_threads(1)
    return run_bundle(bundle_configs("heart_completion", names), run_id, **texts(settings))


def train(clouded: Path, output_dir: Path, *overlays: str, **settings: Any) -> ConfigWorkflow:
    """On the cohort and the clouds of :func:`clouded`."""
    where = {"dataset_dir": clouded / "truth", "clouds_dir": clouded / "clouds", "output_dir": output_dir}
    return run("training", ["train", "smoke", *overlays], **(where | SHORT | settings))


def infer(clouded: Path, output_dir: Path, **settings: Any) -> ConfigWorkflow:
    return run("infer", ["inference"], **({"dataset_dir": clouded / "truth", "output_dir": output_dir} | settings))


def evaluate(clouded: Path, output_dir: Path, **settings: Any) -> ConfigWorkflow:
    where = {"dataset_dir": clouded / "truth", "output_dir": output_dir}
    return run("evaluate", ["inference", "evaluate"], **(where | settings))


def command(run_id: str, names: Sequence[str], **settings: Any) -> list[str]:
    """The arguments after ``python`` of the same run in a process of its own, from the repository's root."""
    configs = json.dumps(bundle_configs("heart_completion", names)).replace('"', "'")
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    return ["-W", "ignore", "-m", "monai.bundle", "run", run_id, "--config_file", configs, *options]
