"""The forms of the field beside each other, on the phantom cohort of seed 0 against its truth::

    python -m benchmarks.stage1_architectures --output runs/forms

LA: the 323-feature network, the published 163-feature trunk, the structure's own settings. Coronary: the 323-feature
network with its vector code, the structure's own settings under each loss, and no field at all, the damaged label
cleaned and bridged. One thread; CPU seconds of training beside the Dice. Prints a table and writes OUTPUT/table.md.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.case_list import find_cases
from custom.data.label_maps import read_label_map, write_label_map
from custom.metrics.case_scores import summarise
from custom.phantoms.write_cohort import make_cohort
from custom.run.repair_one_structure import score_structure
from custom.training.run_bundle import bundle_configs, run_bundle
from custom.volumes.components import clean
from custom.volumes.vessel_bridges import bridge

WIDE = {"trunk_channels": [128, 96, 64, 32], "latent_size": 256, "mlp_widths": [256, 256, 128, 64]}
PUBLISHED = {**WIDE, "trunk_channels": [64, 48, 32, 16]}
AS_SOURCES = {"learning_rate": 0.002, "points_per_case": 4096, "resolution": 64, "amp": True}

FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "LA, 323 features, 60 epochs": ("LA", {**WIDE, **AS_SOURCES, "max_epochs": 60}),
    "LA, 163 features, 120 epochs": ("LA", {**PUBLISHED, **AS_SOURCES, "max_epochs": 120}),
    "LA, own settings": ("LA", {}),
    "Coronary, 323 features, vector code, 60 epochs": (
        "Coronary",
        {**WIDE, **AS_SOURCES, "code_side": 0, "max_epochs": 60, "code_learning_rate": 0.002, "loss": "bce_dice"},
    ),
    "Coronary, bce": ("Coronary", {"loss": "bce"}),
    "Coronary, dice_focal": ("Coronary", {"loss": "dice_focal"}),
    "Coronary, own settings (bce_dice)": ("Coronary", {}),
}


def trained(labels: Path, output: Path, structure: str, overrides: dict[str, Any]) -> tuple[Path, float]:
    """Train and infer one form; the masks' folder and the CPU seconds of training."""
    common = {"dataset_dir": str(labels), "output_dir": str(output), "structure": structure, "device": "cpu"}
    begun = time.process_time()
    run_bundle(bundle_configs("near_stage1", ["train"], structure), "training", **common, **overrides)
    spent = time.process_time() - begun
    run_bundle(bundle_configs("near_stage1", ["inference"], structure), "infer", **common, mask_from="field")
    return output / "masks" / structure, spent


def bridged_labels(labels: Path, output: Path, structure: str = "Coronary") -> Path:
    """The damaged label itself, cleaned and bridged as inference does it; the masks' folder."""
    chosen = PUBLIC_CARDIAC_CT[structure]
    for case in find_cases(labels):
        damaged = read_label_map(case.path)
        kept, _ = clean(damaged.labels == chosen.index, chosen.components, 0.1, 12.0, damaged.spacing_mm, 20.0)
        joined, _ = bridge(kept, chosen.components, 12.0, damaged.spacing_mm, 20.0)
        write_label_map(output / case.path.name, joined.astype(np.uint8), damaged.affine)
    return output


def main(output: str, cases: int = 6, size: int = 96) -> None:
    """Train every form, score it, print and write the table."""
    torch.set_num_threads(1)
    folder = Path(output)
    make_cohort(folder / "phantoms", cases, size)
    labels, truth = folder / "phantoms" / "labels", folder / "phantoms" / "truth"
    lines = ["| form | Dice | HD95 mm | ASSD mm | components | CPU s |", "| - | -: | -: | -: | -: | -: |"]

    def add(name: str, structure: str, masks: Path, seconds: float) -> None:
        means = summarise(score_structure(masks, truth, structure, masks_by_index=False)[0])[structure]
        shown = [f"{means[key]:.3f}" for key in ("dice", "hd95_mm", "assd_mm", "components")]
        lines.append(f"| {name} | {' | '.join(shown)} | {seconds:.0f} |")
        print(lines[-1], flush=True)

    for number, (name, (structure, overrides)) in enumerate(FORMS.items()):
        masks, seconds = trained(labels, folder / f"form_{number}", structure, overrides)
        add(name, structure, masks, seconds)
    add("Coronary, no field: the label cleaned and bridged", "Coronary", bridged_labels(labels, folder / "bridged"), 0)
    (folder / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
