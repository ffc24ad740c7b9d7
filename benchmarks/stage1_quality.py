"""Stage 1 beside the smoothers a user would reach for, against a known truth::

    python -m benchmarks.stage1_quality --output runs/quality                   # the phantom cohort, 6 cases, 96^3
    python -m benchmarks.stage1_quality --output runs/hearts --hearts FOLDER    # a folder of label maps, damaged here

Trains one field per structure with the structure's own settings (``configs/structures``), writes the field's masks (the
coronaries' too, which a repair takes from their label), and prints
a table each of Dice, HD95, ASSD and components: the damaged label, every peer, the best peer and ours. A structure that
a case lacks is left out of the means. The tables and the CPU seconds go to OUTPUT/table.md and OUTPUT/quality.json.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import fire
import numpy as np
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.case_list import find_cases
from custom.data.label_maps import read_label_map, write_label_map
from custom.metrics.case_scores import ScoreRow, format_comparison, summarise, write_scores
from custom.phantoms.damage import damage
from custom.phantoms.write_cohort import make_cohort
from custom.run.repair_one_structure import repair_structure, score_structure

from .peer_scores import DAMAGED, TRUTH, read_pairs, score_peers
from .peer_smoothers import PEERS

MEASURES = ("dice", "hd95_mm", "assd_mm", "surface_dice", "components")
OURS = "ours"


def damaged_copies(hearts: Path, output: Path, seed: int) -> tuple[Path, Path]:
    """Copies of a folder's label maps, damaged with the phantom cohort's default defects; (labels, truth)."""
    labels = output / "labels"
    for number, case in enumerate(find_cases(hearts)):
        target = labels / case.path.name
        if not target.exists():
            heart = read_label_map(case.path)
            broken = damage(heart.labels, heart.spacing_mm, np.random.SeedSequence([seed, number]))
            write_label_map(target, broken, heart.affine)
    return labels, hearts


def repaired(structure: str, labels: Path, output: Path, seed: int) -> tuple[str, float]:
    """Train and infer one structure in this process; its name and the CPU seconds spent, all calls added up."""
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    kept = output / "stage1" / structure / "cpu_seconds.json"
    spent = json.loads(kept.read_text()) if kept.is_file() else 0.0
    begun = time.process_time()
    repair_structure(labels, output / "stage1", structure, {"mask_from": "field"}, seed=seed, device="cpu")
    spent += time.process_time() - begun
    kept.write_text(json.dumps(spent))
    return structure, spent


def without_absent(rows: dict[str, list[ScoreRow]]) -> dict[str, list[ScoreRow]]:
    """The rows of the structures that the truth of their case holds."""
    return {name: [row for row in own if row.volume_reference_mm3 > 0] for name, own in rows.items()}


def best_peer(rows: dict[str, list[ScoreRow]], structure: str) -> tuple[str, float]:
    """The peer of the highest mean Dice on one structure."""
    means = {name: summarise(rows[name])[structure]["dice"] for name in PEERS}
    name = max(means, key=lambda peer: means[peer])
    return name, float(means[name])


def verdict(rows: dict[str, list[ScoreRow]], structures: list[str]) -> str:
    """Per structure: damaged, best peer and ours in Dice, damaged and ours in ASSD; and how many are won."""
    lines = ["| structure | damaged | best peer | ours | best peer's name | ASSD mm damaged | ASSD mm ours |"]
    lines.append("| - | -: | -: | -: | - | -: | -: |")
    won = better = 0
    for structure in structures:
        before, after = summarise(rows[DAMAGED])[structure], summarise(rows[OURS])[structure]
        name, dice = best_peer(rows, structure)
        won += after["dice"] > dice
        better += after["dice"] > before["dice"] and after["assd_mm"] < before["assd_mm"]
        lines.append(
            f"| {structure} | {before['dice']:.3f} | {dice:.3f} | {after['dice']:.3f} | {name} "
            f"| {before['assd_mm']:.3f} | {after['assd_mm']:.3f} |"
        )
    count = len(structures)
    lines.append(f"\nAbove the best peer's Dice: {won} of {count}. Better than the damaged label: {better} of {count}.")
    return "\n".join(lines)


def main(output: str, hearts: str = "", cases: int = 6, size: int = 96, seed: int = 0, workers: int = 2) -> None:
    """Repair, score, print and write the tables."""
    folder = Path(output)
    if hearts:
        labels, truth = damaged_copies(Path(hearts), folder, seed)
    else:
        make_cohort(folder / "phantoms", cases, size, seed)
        labels, truth = folder / "phantoms" / "labels", folder / "phantoms" / "truth"
    pairs = read_pairs(labels, truth, PUBLIC_CARDIAC_CT)
    found = set(np.unique(np.concatenate([np.unique(true.labels) for _, _, true in pairs])).tolist())
    structures = [structure.name for structure in PUBLIC_CARDIAC_CT if structure.index in found]
    one = partial(repaired, labels=labels, output=folder, seed=seed)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        seconds = dict(pool.map(one, structures))
    rows, _ = score_peers(pairs, PUBLIC_CARDIAC_CT, PEERS)
    rows[OURS] = []
    for structure in structures:
        masks = folder / "stage1" / "masks" / structure
        rows[OURS] += score_structure(masks, truth, structure, masks_by_index=False)[0]
    rows = without_absent({name: own for name, own in rows.items() if name != TRUTH})
    text = "\n".join(format_comparison(rows, measure) for measure in MEASURES) + "\n" + verdict(rows, structures)
    text += "\n\nCPU seconds: " + ", ".join(f"{name} {spent:.0f}" for name, spent in seconds.items()) + "\n"
    print(text)
    write_scores(rows[OURS], folder, "ours")
    write_scores(rows[DAMAGED], folder, "damaged")
    (folder / "table.md").write_text(text)
    summary = {name: summarise(own) for name, own in rows.items()}
    (folder / "quality.json").write_text(json.dumps({"scores": summary, "cpu_seconds": seconds}, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
