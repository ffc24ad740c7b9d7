"""How the peers repair a damaged cohort of known truth::

    python -m benchmarks.peer_scores LABELS TRUTH --output peers.json

LABELS and TRUTH are folders whose label maps share their names. Prints a table each of mean Dice, HD95, ASSD, surface
Dice and components, a line per peer and a column per structure, and writes every mean, the counts of empties and the
seconds a case to the JSON.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

import fire
import numpy as np

from custom.anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from custom.data.case_list import find_cases
from custom.data.label_maps import LabelMap, read_label_map
from custom.errors import InputError
from custom.metrics.case_scores import ScoreRow, format_comparison, score_labels, summarise

from .peer_smoothers import PEERS, Peer

logger = logging.getLogger(__name__)

MEASURES = ("dice", "hd95_mm", "assd_mm", "surface_dice", "components")
DAMAGED, TRUTH = "damaged", "truth"


def read_pairs(labels: Path, truth: Path, label_table: StructureTable) -> list[tuple[str, LabelMap, LabelMap]]:
    """Name, damaged map and true map of every case in ``labels``.

    Raises:
        InputError: a case has no truth, or its truth another grid.
    """
    true_paths = {case.name: case.path for case in find_cases(truth, label_table)}
    pairs = []
    for case in find_cases(labels, label_table):
        if case.name not in true_paths:
            raise InputError(truth, f"no {case.name}", "the truth of every damaged case", "Give cohorts that match.")
        damaged, true = (read_label_map(path, label_table) for path in (case.path, true_paths[case.name]))
        if damaged.labels.shape != true.labels.shape or not np.allclose(damaged.affine, true.affine, atol=1e-3):
            raise InputError(case.path, "a grid of its own", f"the grid of {true_paths[case.name]}", "Resample it.")
        pairs.append((case.name, damaged, true))
    return pairs


def score_peers(
    pairs: list[tuple[str, LabelMap, LabelMap]],
    label_table: StructureTable,
    peers: Mapping[str, Peer],
) -> tuple[dict[str, list[ScoreRow]], dict[str, float]]:
    """Scores of the damaged maps, of every peer's answer and of the truth itself; the peers' mean seconds a case."""
    rows: dict[str, list[ScoreRow]] = {name: [] for name in (DAMAGED, *peers, TRUTH)}
    seconds = dict.fromkeys(peers, 0.0)
    for case, damaged, true in pairs:
        answers = {DAMAGED: damaged.labels, TRUTH: true.labels}
        for name, peer in peers.items():
            start = time.perf_counter()
            answers[name] = peer(damaged.labels, damaged.spacing_mm, label_table)
            seconds[name] += (time.perf_counter() - start) / len(pairs)
        for name, answer in answers.items():
            rows[name] += score_labels(case, answer, true.labels, true.spacing_mm, label_table)
        logger.info("scored %s", case)
    return rows, seconds


def main(labels: str, truth: str, output: str, label_table: str = PUBLIC_CARDIAC_CT.name) -> None:
    """Score the damaged maps and every peer against the truth; print the tables, write the means."""
    labels_of = table(label_table)
    pairs = read_pairs(Path(labels), Path(truth), labels_of)
    rows, seconds = score_peers(pairs, labels_of, PEERS)
    for measure in MEASURES:
        print(format_comparison(rows, measure))
    print("seconds a case: " + ", ".join(f"{name} {spent:.2f}" for name, spent in seconds.items()))
    summary = {name: {"seconds": seconds.get(name), **summarise(own)} for name, own in rows.items()}
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps({"cases": [case for case, _, _ in pairs], "peers": summary}, indent=2) + "\n")
    os.replace(beside, path)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    fire.Fire(main)
