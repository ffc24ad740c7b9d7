"""One small cohort, one trained field, and the bundle's true configs run in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from custom.phantoms.write_cohort import make_cohort

ROOT = Path(__file__).resolve().parents[2]

QUICK: dict[str, Any] = {
    "max_epochs": 40,
    "bias_milestones": [20, 30],
    "val_interval": 10,
    "picture_interval": 20,
    "amp": False,
}
"""On top of smoke.json: a left atrium of the cohort above Dice 0.8, in about a second."""


class Bundle:
    """The bundle near_stage1 over a cohort of three phantoms.

    Attributes:
        configs: folder of the configs.
        quick: what :meth:`train` adds to smoke.json.
        labels, truth: folders of the damaged and the true label maps.
    """

    quick = QUICK

    def __init__(self, cohort: Path) -> None:
        self.configs = ROOT / "bundles" / "near_stage1" / "configs"
        self.labels, self.truth = cohort / "labels", cohort / "truth"

    def paths(self, names: Sequence[str]) -> list[str]:
        return [str(self.configs / f"{name}.json") for name in names]

    def workflow(self, run_id: str, names: Sequence[str], output_dir: Path, **overrides: Any) -> ConfigWorkflow:
        """The workflow of configs laid over each other, as ``python -m monai.bundle run`` builds it."""
        torch.set_num_threads(1)
        kind = "train" if run_id == "training" else "infer"
        where = {"bundle_root": str(self.configs.parent), "dataset_dir": str(self.labels), "structure": "LA"}
        return ConfigWorkflow(
            config_file=self.paths(names),
            logging_file=False,
            run_id=run_id,
            workflow_type=kind,
            output_dir=str(output_dir),
            **(where | overrides),
        )

    def run(self, run_id: str, names: Sequence[str], output_dir: Path, **overrides: Any) -> ConfigWorkflow:
        workflow = self.workflow(run_id, names, output_dir, **overrides)
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        return workflow

    def train(self, output_dir: Path, names: Sequence[str] = ("train", "smoke"), **overrides: Any) -> ConfigWorkflow:
        return self.run("training", names, output_dir, **(QUICK | overrides))

    def infer(self, output_dir: Path, **overrides: Any) -> ConfigWorkflow:
        return self.run("infer", ["inference"], output_dir, **({"amp": False} | overrides))

    def evaluate(self, output_dir: Path, **overrides: Any) -> ConfigWorkflow:
        where = {"reference_dir": str(self.truth), "amp": False}
        return self.run("evaluate", ["inference", "evaluate"], output_dir, **(where | overrides))

    def command(self, run_id: str, names: Sequence[str], output_dir: Path, **overrides: Any) -> list[str]:
        """The arguments after ``python`` of the same run in a process of its own, from the repository's root."""
        settings = {"dataset_dir": self.labels, "output_dir": output_dir, "structure": "LA"} | overrides
        configs = json.dumps(self.paths(names)).replace('"', "'")
        options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        return ["-W", "ignore", "-m", "monai.bundle", "run", run_id, "--config_file", configs, *options]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    cohort = tmp_path_factory.mktemp("cohort")
    make_cohort(cohort, cases=3, size=40)
    return Bundle(cohort)


@pytest.fixture(scope="session")
def trained(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished run for the left atrium; not to be written to."""
    output_dir = tmp_path_factory.mktemp("trained")
    bundle.train(output_dir)
    return output_dir


@pytest.fixture(autouse=True)
def repository_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the commands of the README are given."""
    monkeypatch.chdir(ROOT)
