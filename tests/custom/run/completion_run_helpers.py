"""How the tests complete hearts: a network whose answer is known beforehand, two cases, and what came out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.completion.set_checkpoint import FORMAT
from custom.data.label_maps import write_label_map
from custom.models.vecset.part_network import set_network
from custom.run.complete_hearts import CompletionOutcome, run_complete
from custom.run.completion_request import CompletionRequest
from custom.surfaces.cloud_frame import SCALE_MM
from custom.training.checkpoint_file import save_atomically
from tests.folder_entries import entries

NAMES = PUBLIC_CARDIAC_CT.names
LA, LV, AORTA, PA = (PUBLIC_CARDIAC_CT[name].index for name in ("LA", "LV", "Aorta", "PA"))
AFFINE = np.array([[-3.0, 0, 0, 40], [0, 4, 0, -20], [0, 0, 5, 7], [0, 0, 0, 1]])
SHAPE = (11, 13, 17)


def given(*indices: int) -> np.ndarray:
    """A block of each structure."""
    labels = np.zeros(SHAPE, np.uint8)
    for position, index in enumerate(indices):
        labels[2 + 3 * position : 4 + 3 * position, 3:9, 4:12] = index
    return labels


def constant(path: Path, drawn: Sequence[str], phase: str = "phase2", **more: Any) -> Path:
    """A checkpoint of a network that is inside these structures wherever it is asked, the first one the deepest."""
    size = {"variant": "channels", "classes": len(NAMES), "width": 16, "heads": 2, "depth": 1, "point_queries": 4}
    size |= {"class_tokens": 1, "latent_channels": 4, "octaves": 2}
    torch.manual_seed(0)
    network = set_network(**size)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.fill_(0.5)
        for rank, name in enumerate(drawn):
            network.head.bias[NAMES.index(name)] = -0.5 + 0.1 * rank
    settings = {"network": size, "frame": {"scale_mm": SCALE_MM, "centre_mm": []}, "surface_points": 64}
    settings |= {"hidden_counts": [0, 0] if phase == "phase1" else [2, 5]}
    content = {"format": FORMAT, "version": "0", "label_table": PUBLIC_CARDIAC_CT.name, "phase": phase}
    save_atomically({**content, "settings": settings, "model": network.state_dict(), **more}, path)
    return path


def two_cases(folder: Path) -> Path:
    """Two cases: one lacks all but LA and LV, the other has LA alone."""
    write_label_map(folder / "a.nii.gz", given(LA, LV), AFFINE)
    write_label_map(folder / "b.nii.gz", given(LA), AFFINE)
    return folder


def complete(labels: Path, output: Path, checkpoint: Path, **fields: Any) -> CompletionOutcome:
    asked = {"labels": labels, "output": output, "checkpoint": checkpoint, "workers": 1, "device": "cpu"}
    return run_complete(CompletionRequest(**{**asked, **fields}), lambda text: None)


def opened(path: Path) -> np.ndarray:
    image = nib.load(path)
    assert np.allclose(image.affine, AFFINE)
    return np.asarray(image.dataobj)


def table(output: Path) -> dict[tuple[str, str], dict[str, str]]:
    with open(output / "metrics.csv", encoding="utf-8", newline="") as file:
        return {(row["case"], row["structure"]): row for row in csv.DictReader(file)}


def times(output: Path) -> dict[str, int]:
    found = [*entries(output.glob("completed/*")), *entries(output.glob("source/*")), output / "report" / "index.html"]
    return {str(path): path.stat().st_mtime_ns for path in found}
