"""The commands of the README work as they are written, on small data."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom.anatomy import table
from custom.cohort.label_maps import write_label_map
from custom.cohort.make import make_cohort, make_scans

ROOT = Path(__file__).resolve().parents[1]
SHORT = ("--max_epochs", "2", "--val_points", "256")
STAGE_1 = ("--resolution", "24", "--points_per_case", "256")

COMPLETION = ("--cloud_points", "3000", "--cpu_threads", "1")
SLICES = ("--max_epochs", "2", "--val_interval", "2", "--least_pixels", "2")

SHORTER = {
    "repair": ("--structures", "LA", "--preset", "quick"),
    "phantoms": ("--size", "32", "--cases", "1"),
    "complete": ("--draws", "1", "--workers", "1"),
}
"""What makes a command of CorField quick; the last of two equal flags counts."""


CUT = {"unified_implicit": SHORT, "heart_completion": (*SHORT, *COMPLETION), "heart_sam3d_lora": SLICES}
"""What makes a training quick, by its bundle; any other is a stage 1."""


def commands() -> list[str]:
    """Every line of the README's shell blocks that is not a comment."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


def made_small(command: str, place: Path) -> list[str]:
    """The command's words on the small cohort, training and phantoms cut short."""
    places = {"PARTIAL": "small/partial", "SCANS": "small/scans", "LABELS": "small/labels", "TRUTH": "small/truth"}
    for name, folder in {**places, "NAME": "phantom_000"}.items():
        command = command.replace(name, folder)
    words = shlex.split(command)
    words = [sys.executable if word == "python" else word for word in words]
    if "training" in words:
        words += next((short for bundle, short in CUT.items() if bundle in command), [*SHORT, *STAGE_1])
        words += [] if "--dataset_dir" in words else ["--dataset_dir", "small/labels"]
    if words[0] == "corfield":
        words = [sys.executable, "-c", "from custom.cli.main import main; main()", *words[1:]]
        words += SHORTER.get(words[3], ())
    return words


def test_the_readme_names_make_targets_that_exist() -> None:
    made = [line.split()[1] for line in commands() if line.startswith("make ")]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert made == ["demo", "test"]
    assert set(made) <= set(targets)


def test_the_readme_links_to_files_that_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert len(links) >= 7
    assert [link for link in links if not (ROOT / link).exists()] == []


def give_a_part(whole: Path, folder: Path) -> None:
    """The four chambers of a label map."""
    image = nib.load(whole)
    labels, chambers = np.asarray(image.dataobj), [table()[name].index for name in ("LA", "LV", "RA", "RV")]
    write_label_map(folder / whole.name, np.where(np.isin(labels, chambers), labels, 0).astype(np.uint8), image.affine)


@pytest.mark.slow
def test_the_readmes_commands_run_in_their_order(tmp_path: Path) -> None:
    make_cohort(tmp_path / "small", cases=2, size=40)
    make_scans(tmp_path / "small" / "scans", cases=5, size=32)
    give_a_part(tmp_path / "small" / "truth" / "phantom_000.nii.gz", tmp_path / "small" / "partial")
    (tmp_path / "bundles").symlink_to(ROOT / "bundles")
    (tmp_path / "custom").symlink_to(ROOT / "custom")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ran = 0
    for command in commands():
        if command.startswith("make "):
            continue
        words = made_small(command, tmp_path)
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"
        ran += 1
    assert ran == 21
    names = ["phantom_000.nii.gz", "phantom_001.nii.gz"]
    assert (tmp_path / "phantom_000_half_mm.nii.gz").is_file() and (tmp_path / "heart_model" / "model.json").is_file()
    for folder in ("OUT/repaired", "OUT/unified", "STAGE1/masks/LA", "FUSED/repaired", "HEARTS/maps"):
        assert sorted(path.name for path in (tmp_path / folder).glob("*.nii.gz")) == names, folder
    reports = ("OUT/report/index.html", "COMPLETED/report/index.html", "DRAWN/evaluation/report/index.html")
    for file in ("OUT/ledger.csv", "OUT/metrics.csv", "FUSED/ledger.csv", "DRAWN/evaluation/metrics.json", *reports):
        assert (tmp_path / file).is_file(), file
    assert (tmp_path / "phantoms" / "labels" / "phantom_000.nii.gz").is_file()
    shutil.rmtree(tmp_path)
