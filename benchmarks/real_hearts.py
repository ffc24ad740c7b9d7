"""Label maps of real hearts, damaged in every kind and severity, beside smoothers and, on request, the whole repair::

    python -m benchmarks.real_hearts HEARTS --output runs/real                   # the input and every peer
    python -m benchmarks.real_hearts HEARTS --output runs/real --kinds none,mixed --severities 1 --repair

HEARTS is a folder of label maps; phantoms of 0.6, 1.0 and 1.5 mm are added. Each is damaged by every kind of
:mod:`custom.phantoms.damage_suite.kinds`. A peer that has a strength is swept over it; the best peer is chosen for each
structure with hindsight. Results of a case and a condition are kept in OUTPUT/scores, so that a stopped run goes on.
Printed and written to OUTPUT/table.md: the mean of each method by structure, and the worst difference to the input and
to the best peer by structure, by kind and by severity; hearts of people that shipped weights may know apart, and kinds
that are held out apart.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fire
import numpy as np

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.case_list import find_cases
from custom.data.label_maps import read_label_map, write_label_map
from custom.metrics.case_scores import score_labels
from custom.metrics.csv_tables import markdown
from custom.phantoms.damage_suite.kinds import HELD_OUT, KINDS, MIXED, NONE, SEVERITIES, damage_by_kind
from custom.phantoms.phantom_heart import make_heart
from custom.run.cli_values import listed
from custom.run.repair_labels import run_repair
from custom.run.repair_request import RepairRequest

from .peer_smoothers import closing, dust, gaussian, median
from .peer_surface_smoothers import Labels, Peer, Spacing, surface_nets

INPUT, OURS = "input", "corfield repair"
SIGMAS = (0.5, 0.7, 1.0, 1.2, 1.5, 2.0)
"""Of the Gaussian, in voxels."""
PHANTOM_SIZES = {"phantom_0.6mm": 240, "phantom_1.0mm": 144, "phantom_1.5mm": 96}
PHANTOM_SEED = 900
MAY_BE_LEARNED = ("heart_vhm", "heart_bivme")
"""Hearts whose licence lets shipped weights learn from them: no test of these."""
FIELDS = ("case", "group", "kind", "severity", "unit", "method", "structure")
MEASURES = ("dice", "hd95_mm", "assd_mm", "surface_dice", "components", "components_reference")


def dusted(labels: Labels, spacing_mm: Spacing, table: Any, sigma: float) -> Labels:
    """Small components dropped, then a Gaussian."""
    return gaussian(dust(labels, spacing_mm, table), spacing_mm, table, sigma)


PEERS: dict[str, Peer] = {
    **{f"gaussian {sigma:g}": partial(gaussian, sigma=sigma) for sigma in SIGMAS},
    **{f"dust + gaussian {sigma:g}": partial(dusted, sigma=sigma) for sigma in SIGMAS},
    "median": median,
    "closing": closing,
    "SurfaceNets": surface_nets,
}


@dataclass(frozen=True)
class Heart:
    """A clean label map.

    Attributes:
        name: of the case.
        group: ``unseen``, ``may be learned`` or ``phantoms``.
        path: of the label map; empty for a phantom.
    """

    name: str
    group: str
    path: Path | None = None

    def read(self) -> tuple[Labels, Spacing, np.ndarray]:
        """Labels, spacing in mm and affine."""
        if self.path is None:
            labels, affine = make_heart(PHANTOM_SEED, PHANTOM_SIZES[self.name])
            return labels, (float(affine[0, 0]),) * 3, affine
        found = read_label_map(self.path)
        return found.labels, found.spacing_mm, found.affine


@dataclass(frozen=True)
class Condition:
    """A damage: its kind, severity and unit of length."""

    kind: str
    severity: float
    unit: str

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.severity:g}-{self.unit}"

    def damaged(self, labels: Labels, spacing_mm: Spacing, heart: str) -> Labels:
        seed = list(f"{heart} {self.name}".encode())
        return damage_by_kind(labels, spacing_mm, self.kind, self.severity, seed, self.unit)


def find_hearts(folder: Path) -> list[Heart]:
    """The label maps of a folder and the phantoms."""
    found = [
        Heart(case.name, "may be learned" if case.name.startswith(MAY_BE_LEARNED) else "unseen", case.path)
        for case in find_cases(folder)
    ]
    return [*found, *(Heart(name, "phantoms") for name in PHANTOM_SIZES)]


def conditions_of(kinds: Iterable[str], severities: Iterable[float], units: Iterable[str]) -> list[Condition]:
    """Every kind, severity and unit; undamaged label maps once."""
    damages = [kind for kind in kinds if kind != NONE]
    every = [Condition(*one) for one in product(damages, (one for one in severities if one), units)]
    return [Condition(NONE, 0.0, "voxel"), *every] if NONE in kinds else every


def score_peers(heart: Heart, conditions: Sequence[Condition], scores: Path) -> None:
    """Scores of the input and every peer, of the conditions that have none yet."""
    labels, spacing_mm, _ = heart.read()
    for condition in conditions:
        path = scores / f"{heart.name}-{condition.name}.csv"
        if path.is_file():
            continue
        damaged = condition.damaged(labels, spacing_mm, heart.name)
        rows = _rows(heart, condition, INPUT, damaged, labels, spacing_mm)
        for name, peer in PEERS.items():
            smoothed = peer(damaged, spacing_mm, PUBLIC_CARDIAC_CT)
            rows += _rows(heart, condition, name, smoothed, labels, spacing_mm)
        _write(path, rows)


def score_repair(hearts: Sequence[Heart], condition: Condition, output: Path, workers: int) -> None:
    """The whole repair of all hearts of a group as one cohort, as a user would run it."""
    for group in dict.fromkeys(heart.group for heart in hearts):
        folder, members = output / "cohorts" / condition.name / group.replace(" ", "_"), []
        for heart in (heart for heart in hearts if heart.group == group):
            labels, spacing_mm, affine = heart.read()
            target = folder / "labels" / f"{heart.name}.nii.gz"
            if not target.is_file():
                write_label_map(target, condition.damaged(labels, spacing_mm, heart.name), affine)
            members.append((heart, labels, spacing_mm))
        request = RepairRequest(
            labels=folder / "labels", output=folder / "out", workers=workers, device="cpu", allow_lost=True
        )
        run_repair(request, print)
        for heart, labels, spacing_mm in members:
            repaired = read_label_map(folder / "out" / "repaired" / f"{heart.name}.nii.gz").labels
            rows = _rows(heart, condition, OURS, repaired, labels, spacing_mm)
            _write(output / "scores" / f"{heart.name}-{condition.name}-repair.csv", rows)


def _rows(
    heart: Heart, condition: Condition, method: str, found: Labels, truth: Labels, spacing_mm: Spacing
) -> list[dict[str, Any]]:
    """A row for each structure that the truth has; the surface Dice is at half a voxel."""
    scored = score_labels(heart.name, found, truth, spacing_mm, PUBLIC_CARDIAC_CT, 0.5 * min(spacing_mm))
    where = (heart.name, heart.group, condition.kind, condition.severity, condition.unit, method)
    return [
        dict(zip(FIELDS, (*where, row.structure), strict=True)) | {name: getattr(row, name) for name in MEASURES}
        for row in scored
        if row.volume_reference_mm3 > 0
    ]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def read_rows(scores: Path) -> list[dict[str, Any]]:
    """All rows of a folder, numbers as numbers."""
    rows: list[dict[str, Any]] = []
    for path in sorted(scores.glob("*.csv")):
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows.append({**row, **{name: float(row[name]) for name in ("severity", *MEASURES)}})
    return rows


def mean_dice(rows: Iterable[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], float]:
    """Mean Dice of the rows that agree in these fields."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row["dice"])
    return {key: float(np.mean(values)) for key, values in groups.items()}


def best_peers(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """For each structure the peer of the highest mean Dice over all these rows."""
    means = mean_dice((row for row in rows if row["method"] not in (INPUT, OURS)), "structure", "method")
    names = dict.fromkeys(structure for structure, _ in means)
    return {
        name: max((method for structure, method in means if structure == name), key=lambda one: means[name, one])
        for name in names
    }


def means_table(rows: Sequence[dict[str, Any]]) -> str:
    """Mean Dice of the input, each structure's best peer with hindsight and, where it has run, the repair."""
    best, means = best_peers(rows), mean_dice(rows, "structure", "method")
    lines = []
    for structure, peer in best.items():
        ours = means.get((structure, OURS))
        cells = [f"{means[structure, INPUT]:.3f}", f"{means[structure, peer]:.3f}", peer]
        lines.append([structure, *cells, "" if ours is None else f"{ours:.3f}"])
    return markdown(["structure", INPUT, "best peer", "its name", OURS], lines)


def worst_table(rows: Sequence[dict[str, Any]], key: str, method: str) -> str:
    """By a field: the lowest difference of mean Dice, a method's less the input's, over structures and conditions."""
    fields = ("kind", "severity", "unit", "structure")
    own = mean_dice((row for row in rows if row["method"] == method), *fields)
    given = mean_dice((row for row in rows if row["method"] == INPUT), *fields)
    worst: dict[Any, tuple[float, tuple[Any, ...]]] = {}
    for condition in own.keys() & given.keys():
        entry = own[condition] - given[condition], condition
        group = condition[fields.index(key)]
        worst[group] = min(worst.get(group, entry), entry)
    lines = [
        [str(group), f"{difference:+.3f}", " ".join(map(str, condition))]
        for group, (difference, condition) in sorted(worst.items(), key=lambda one: one[1][0])
    ]
    return markdown([key, "worst difference to the input", "where"], lines)


def report(rows: Sequence[dict[str, Any]]) -> str:
    """All tables, by group of hearts and by whether a kind is held out."""
    parts: list[str] = []
    split: dict[str, Callable[[dict[str, Any]], bool]] = {
        "undamaged": lambda row: row["kind"] == NONE,
        "kinds to choose on": lambda row: row["kind"] not in (*HELD_OUT, NONE),
        "kinds held out": lambda row: row["kind"] in HELD_OUT,
    }
    for (title, chosen), group in product(split.items(), dict.fromkeys(row["group"] for row in rows)):
        own = [row for row in rows if chosen(row) and row["group"] == group]
        if not own:
            continue
        parts.append(f"## {group}: {title}\n\n{means_table(own)}")
        methods = [OURS] if any(row["method"] == OURS for row in own) else [f"gaussian {SIGMAS[2]:g}"]
        for method, key in product(methods, ("structure", "kind", "severity")):
            parts.append(f"{method}, by {key}:\n\n{worst_table(own, key, method)}")
    return "\n\n".join(parts) + "\n"


def main(
    hearts: str,
    output: str,
    kinds: Any = "",
    severities: Any = "",
    units: Any = "voxel",
    repair: bool = False,
    workers: int = 2,
) -> None:
    """Damage, smooth, repair, score, print and write the tables."""
    names = listed(kinds, "--kinds") or (NONE, *KINDS, MIXED)
    amounts = [float(one) for one in listed(severities, "--severities")] or list(SEVERITIES)
    found, folder = find_hearts(Path(hearts)), Path(output)
    conditions = conditions_of(names, amounts, listed(units, "--units"))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(score_peers, conditions=conditions, scores=folder / "scores"), found))
    if repair:
        for condition in conditions:
            score_repair(found, condition, folder, workers)
    text = report(read_rows(folder / "scores"))
    print(text)
    (folder / "table.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    fire.Fire(main)
