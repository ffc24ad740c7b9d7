"""How the tests run the bundle unified_implicit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

from custom.training.run_bundle import bundle_configs, run_bundle

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "unified_implicit"
QUICK: dict[str, Any] = {"max_epochs": 200, "val_interval": 40, "picture_interval": 100, "amp": False}
"""On top of smoke.json: three phantoms at a mean Dice above 0.6, in some five seconds."""


def workflow(run_id: str, names: Sequence[str], **settings: Any) -> ConfigWorkflow:
    """The workflow of configs laid over each other, as ``python -m monai.bundle run`` builds it."""
    torch.set_num_threads(1)
    kind = "train" if run_id == "training" else "infer"
    return ConfigWorkflow(
        config_file=bundle_configs("unified_implicit", names),
        logging_file=False,
        run_id=run_id,
        workflow_type=kind,
        bundle_root=str(BUNDLE),
        **texts(settings),
    )


def texts(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}


def run(run_id: str, names: Sequence[str], output_dir: Path, **settings: Any) -> ConfigWorkflow:
    torch.set_num_threads(1)
    where = {"output_dir": str(output_dir), "amp": False}
    return run_bundle(bundle_configs("unified_implicit", names), run_id, **(where | texts(settings)))


def train(labels: Path, output_dir: Path, names: Sequence[str] = ("train", "smoke"), **settings: Any) -> ConfigWorkflow:
    return run("training", names, output_dir, **({"dataset_dir": labels} | QUICK | settings))


def infer(output_dir: Path, **settings: Any) -> ConfigWorkflow:
    return run("infer", ["inference"], output_dir, **settings)


def calibrate(labels: Path, output_dir: Path, **settings: Any) -> ConfigWorkflow:
    return run("calibrate", ["inference", "calibrate"], output_dir, dataset_dir=labels, **settings)


def evaluate(references: Path, output_dir: Path, **settings: Any) -> ConfigWorkflow:
    return run("evaluate", ["inference", "evaluate"], output_dir, reference_dir=references, **settings)


def command(run_id: str, names: Sequence[str], **settings: Any) -> list[str]:
    """The arguments after ``python`` of the same run in a process of its own, from the repository's root."""
    configs = json.dumps(bundle_configs("unified_implicit", names)).replace('"', "'")
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    return ["-W", "ignore", "-m", "monai.bundle", "run", run_id, "--config_file", configs, *options]
