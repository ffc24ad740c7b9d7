"""``python -m monai.bundle run`` with what no run can use: one line, and nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = ROOT / "bundles"
ENTRIES = sorted(path for path in BUNDLES.glob("*/configs/*.json") if path.stem in ("train", "inference"))
CAPTURED = {"capture_output": True, "text": True, "check": False}


def run(folder: Path, run_id: str, *flags: str, config: Path = BUNDLES / "near_stage1/configs/train.json") -> str:
    """The last line of a run that fails, given in an empty folder."""
    words = ["-W", "ignore", "-m", "monai.bundle", "run", run_id, "--config_file", str(config)]
    root = [] if "--bundle_root" in flags else ["--bundle_root", str(config.parents[1])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    before = sorted(folder.rglob("*"))
    done = subprocess.run([sys.executable, *words, *root, *flags], cwd=folder, env=environment, **CAPTURED)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts) == before
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    return errors[0].removeprefix("error: ")


def test_every_config_that_stands_by_itself_checks_its_start_in_the_same_way() -> None:
    configs = [json.loads(path.read_text(encoding="utf-8")) for path in ENTRIES]
    assert len(configs) == 9
    for key in ("initialize", "code", "package_folder", "entry"):
        assert len({json.dumps(config[key]) for config in configs}) == 1
    overlays = [json.loads(path.read_text()) for path in BUNDLES.glob("*/configs/**/*.json") if path not in ENTRIES]
    assert len(overlays) > 20
    first = configs[0]["initialize"]
    later = [overlay["initialize"] for overlay in overlays if "initialize" in overlay]
    assert len(later) == 4 and all(begun[: len(first)] == first for begun in later)


@pytest.mark.parametrize(
    ("run_id", "flags", "said"),
    [
        ("train", [], "monai.bundle run train: found no such list; wanted one of training, check, run. Did you mean"),
        ("training", ["--output_dir", "run#2"], "--output_dir: found 'run#2', which arrives as 'run'"),
        ("training", ["--dataset_dir", ""], "--dataset_dir: found an empty text; wanted a path"),
        ("training", ["--device", "$__import__('os').mkdir('x')"], "--device: found "),
        ("training", ["--dataset_dir", "nowhere"], "nowhere: found no such"),
        ("training", ["--device", "meta"], "--device: found 'meta'; wanted a device of this machine"),
    ],
)
def test_a_run_that_cannot_be_is_one_line_and_writes_nothing(
    run_id: str, flags: list[str], said: str, tmp_path: Path
) -> None:
    assert run(tmp_path, run_id, *flags).startswith(said)


def test_a_foreign_package_of_the_same_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "__init__.py").write_text("")
    said = run(tmp_path, "training")
    assert (
        said.startswith("custom: found no package of CorField of this name") and "no other folder is called so" in said
    )


@pytest.mark.parametrize(
    ("bundle", "flags"),
    [
        ("near_stage1", []),
        ("near_fusion", ["--dataset_dir", "."]),
        ("unified_implicit", []),
        ("heart_completion", ["--dataset_dir", "."]),
        ("heart_sam3d_lora", []),
    ],
)
def test_an_inference_that_has_nothing_to_work_with_leaves_no_folder(
    bundle: str, flags: list[str], tmp_path: Path
) -> None:
    said = run(tmp_path, "infer", *flags, config=BUNDLES / bundle / "configs" / "inference.json")
    assert ": found no " in said
