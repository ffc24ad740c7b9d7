"""How the tests run the bundle near_fusion, and what they look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from custom.data.label_maps import write_label_map
from custom.training.run_bundle import bundle_configs, run_bundle
from tests.folder_entries import entries


def fuse(output: Path, **settings: Any) -> Any:
    paths = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    return run_bundle(bundle_configs("near_fusion", ["inference"]), "infer", output_dir=str(output), **paths)


def evaluate(output: Path, references: Path, **settings: Any) -> Any:
    configs = bundle_configs("near_fusion", ["inference", "evaluate"])
    paths = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    return run_bundle(configs, "evaluate", output_dir=str(output), reference_dir=str(references), **paths)


def opened(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return np.asarray(image.dataobj), np.asarray(image.affine)


def files_of(output: Path) -> dict[str, bytes]:
    """The repaired maps and the ledgers, byte by byte; stamps hold times and differ."""
    paths = [*entries(output.glob("repaired/*")), *entries(output.glob("ledger/*")), *output.glob("ledger.csv")]
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(paths)}


def write_masks(labels: Path, masks: Path, indices: dict[str, int]) -> Path:
    """The masks of some structures in a folder of label maps, as stage 1 lays them out."""
    for path in sorted(labels.glob("*.nii.gz")):
        array, affine = opened(path)
        for name, index in indices.items():
            write_label_map(masks / name / path.name, (array == index).astype(np.uint8), affine)
    return masks
