"""The workflow: the right jobs, each fault at its own job, and the files that `corfield repair` writes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from custom.near.field_checkpoint import load_checkpoint
from custom.phantoms.write_cohort import make_cohort
from custom.run.repair_labels import run_repair
from custom.run.repair_request import RepairRequest
from tests.folder_entries import entries

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflow"

TINY: dict[str, Any] = {
    "max_epochs": 12,
    "val_interval": 6,
    "resolution": 16,
    "code_side": 8,
    "latent_size": 4,
    "trunk_channels": [8],
    "mlp_widths": [16, 16, 16, 16],
    "loss": "bce_dice",
    "points_per_case": 512,
    "val_points": 256,
    "batch_size": 4,
}
"""A field that is trained within a second or two."""

TINY_HEART: dict[str, Any] = {
    "max_epochs": 4,
    "val_interval": 2,
    "code_side": 4,
    "fine_code_side": 6,
    "fine_trunk_channels": [4],
    "latent_size": 4,
    "trunk_channels": [8],
    "mlp_widths": [16, 16, 16, 16],
    "points_per_structure": 64,
    "band_points": 128,
    "background_points": 128,
    "val_points": 128,
    "teacher_points": 64,
    "teacher_pool": 512,
    "batch_size": 4,
    "cpu_threads": 1,
}
"""And one of whole hearts, on one thread: on several, sums are added up in another order."""


@pytest.fixture(scope="module", autouse=True)
def snakemake_is_there() -> None:
    if importlib.util.find_spec("snakemake") is None:
        missing = "no snakemake here: pip install -e '.[workflow]' -c constraints.txt"
        if os.environ.get("CORFIELD_REQUIRE_SNAKEMAKE") == "1":
            pytest.fail(missing)
        pytest.skip(missing)


@dataclass
class Flow:
    """A data set of three phantoms and a broken file, and Snakemake on it with settings of its own.

    Attributes:
        folder: `labels` and `truth` lie in it, and what is written.
        settings: of every call.
    """

    folder: Path
    settings: dict[str, Any]

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def __call__(self, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        given = {"labels": self.folder / "labels", "output": self.output} | self.settings | settings
        texts = [f"{key}={value if not isinstance(value, dict) else json.dumps(value)}" for key, value in given.items()]
        command = [sys.executable, "-P", "-m", "snakemake", *arguments, "--snakefile", WORKFLOW / "Snakefile"]
        command += ["--profile", WORKFLOW / "profiles" / "local", "--cores", "2", "--nocolor", "--config", *texts]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            list(map(str, command)), cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900
        )


def counts(told: str) -> dict[str, int]:
    """How many jobs of each rule a dry run lists."""
    table = told[told.rindex("Job stats:") :]
    return {rule: int(number) for rule, number in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}


def asking(told: str, resource: str) -> dict[str, set[str]]:
    """What the jobs of each rule ask of a resource, of those that do."""
    found: dict[str, set[str]] = {}
    for rule, block in re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)+)", told, flags=re.MULTILINE):
        for amount in re.findall(rf"\b{resource}=(\d+)", block):
            found.setdefault(rule, set()).add(amount)
    return found


@pytest.fixture(scope="module")
def new_flow(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Flow]:
    hearts = tmp_path_factory.mktemp("hearts")
    make_cohort(hearts, cases=3, size=32)
    whole = (hearts / "labels" / "phantom_000.nii.gz").read_bytes()
    (hearts / "labels" / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])

    def make(**settings: Any) -> Flow:
        folder = tmp_path_factory.mktemp("flow")
        shutil.copytree(hearts, folder, dirs_exist_ok=True, copy_function=shutil.copy2)
        common = {"structures": "LA,Aorta", "preset": "quick", "cases_per_job": 2, "overrides": TINY}
        common["unified_overrides"] = TINY_HEART
        return Flow(folder, common | settings)

    return make


@pytest.fixture(scope="module")
def planned(new_flow: Callable[..., Flow]) -> Flow:
    """Planned, and nothing else done; not to be written to."""
    flow = new_flow()
    told = flow("planned")
    assert told.returncode == 0, told.stderr[-3000:]
    return flow


def test_a_dry_run_lists_a_job_per_structure_and_per_batch_of_cases(planned: Flow) -> None:
    told = planned("-n")
    assert told.returncode == 0, told.stderr[-3000:]
    once = {"all": 1, "refuse": 1, "report": 1, "verdict": 1}
    assert counts(told.stdout + told.stderr) == {
        **once, "train": 2, "infer": 4, "fuse": 2, "unify": 1, "draw": 2, "pack": 1, "total": 16
    }  # fmt: skip


def test_training_jobs_alone_ask_for_gpus_one_per_process(planned: Flow) -> None:
    told = planned("-n", "--resources", "gpu=8", device="cuda", processes=3)
    asked = asking(told.stdout + told.stderr, "gpu")
    assert asked == {"train": {"3"}, "unify": {"3"}}
    assert counts(told.stdout + told.stderr)["total"] == 16


def test_without_stage_3_there_is_no_job_of_it(new_flow: Callable[..., Flow]) -> None:
    flow = new_flow(skip_unified=True)
    assert flow("planned").returncode == 0
    told = flow("-n")
    assert not {"unify", "draw", "pack"} & set(counts(told.stdout + told.stderr))


def test_every_job_that_a_cluster_runs_says_what_memory_and_time_it_takes(planned: Flow) -> None:
    told = planned("-n", limits={"train": {"mem_mb": 4321}})
    memory, minutes = (asking(told.stdout + told.stderr, resource) for resource in ("mem_mb", "runtime"))
    assert set(memory) == set(minutes) == {"train", "infer", "fuse", "unify", "draw", "pack", "report"}
    assert memory["train"] == {"4321"}


def test_other_settings_are_planned_anew(planned: Flow) -> None:
    told = planned("-n", seed=1)
    assert counts(told.stdout + told.stderr) == {"all": 1, "plan": 1, "total": 2}


def test_without_labels_the_workflow_says_what_to_give(planned: Flow) -> None:
    told = planned("-n", labels="")
    assert told.returncode != 0
    assert "--config labels=LABELS output=OUTPUT" in told.stdout + told.stderr


@pytest.mark.slow
def test_the_workflow_writes_what_repair_writes_and_a_faulty_map_stops_its_own_job_alone(
    new_flow: Callable[..., Flow],
) -> None:
    flow = new_flow(reference="truth", allow_lost="true")
    told = flow()
    assert told.returncode != 0
    said = told.stdout + told.stderr
    assert set(re.findall(r"^Error in rule (\w+):", said, flags=re.MULTILINE)) == {"refuse"}
    assert "cut.nii.gz: found voxels that cannot be read" in said
    plain = flow.folder / "plain"
    request = RepairRequest(
        labels=flow.folder / "labels",
        output=plain,
        reference=flow.folder / "truth",
        structures=("LA", "Aorta"),
        preset="quick",
        device="cpu",
        workers=2,
        overrides=TINY,
        unified_overrides=TINY_HEART,
        allow_lost=True,
    )
    assert len(run_repair(request).faults) == 1
    patterns = ("repaired/*", "ledger/*", "ledger.csv", "metrics.csv", "stage1/*/best.pt", "stage1/masks/**/*.nii.gz")
    patterns += ("fused/*", "unified/*", "unified_run/heart/best.pt", "unified_run/ledger.csv", "model/*")
    names = [str(path.relative_to(plain)) for pattern in patterns for path in sorted(entries(plain.glob(pattern)))]
    assert len(names) == 3 + 3 + 1 + 1 + 2 + 6 + 3 + 3 + 1 + 1 + 4
    assert [name for name in names if (flow.output / name).read_bytes() != (plain / name).read_bytes()] == []
    assert "<html" in (flow.output / "report" / "index.html").read_text(encoding="utf-8")[:500]
    left = flow("-n")
    assert counts(left.stdout + left.stderr) == {"all": 1, "refuse": 1, "total": 2}
    kept = [path for folder in ("stage1", "unified") for path in entries((flow.output / folder).rglob("*"))]
    stamps = {path: path.stat().st_mtime_ns for path in kept if path.is_file()}
    again: list[str] = []
    run_repair(RepairRequest(**{**vars(request), "output": flow.output}), again.append)
    assert again[0].count("up to date") == 3
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"output": "1.10"}, "output: 1.1 is no text. Write --config output=./NAME"),
        ({"labels": "[a]"}, "labels: ['a'] is no text."),
        ({"reference": "2024_11_20"}, "reference: 20241120 is no text."),
        ({"device": "banana"}, "device: 'banana' is none. Give --config device=cpu"),
        ({"processes": "two"}, "processes: 'two' is no whole number from 1"),
        ({"cases_per_job": "0"}, "cases_per_job: 0 is no whole number from 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_before_any_job(
    setting: dict[str, str], said: str, new_flow: Callable[..., Flow]
) -> None:
    flow = new_flow()
    before = sorted(path for path in flow.folder.iterdir() if path.name != ".snakemake")
    told = flow("-n", **setting)
    assert told.returncode != 0 and said in told.stderr + told.stdout
    assert sorted(path for path in flow.folder.iterdir() if path.name != ".snakemake") == before


def test_a_foreign_package_of_the_same_name_in_the_working_directory_is_passed_over(
    new_flow: Callable[..., Flow],
) -> None:
    flow = new_flow()
    (flow.folder / "custom").mkdir()
    (flow.folder / "custom" / "__init__.py").write_text("raise SystemExit('foreign')")
    told = flow("planned")
    assert told.returncode == 0, told.stderr[-3000:]


@pytest.mark.slow
def test_several_processes_train_together_by_torchrun_beside_a_foreign_package(new_flow: Callable[..., Flow]) -> None:
    flow = new_flow(structures="LA", processes=2)
    (flow.folder / "custom").mkdir()
    (flow.folder / "custom" / "__init__.py").write_text("raise SystemExit('foreign')")
    assert flow("planned").returncode == 0
    (plan,) = (flow.output / "workflow").glob("*/plan.json")
    told = flow(str(plan.parent / "train" / "LA"))
    assert told.returncode == 0, told.stderr[-3000:]
    run_dir = flow.output / "stage1" / "LA"
    assert load_checkpoint(run_dir / "best.pt")["settings"]["effective_batch"] == 4
    assert json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["trained"] is True
    assert sorted(path.name for path in entries(run_dir.iterdir())) == ["best.pt", "run.json", "tensorboard"]
