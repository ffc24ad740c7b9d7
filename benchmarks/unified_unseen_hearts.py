"""Hearts the field has never seen, whole and with parts missing, beside the mean shape::

    python -m benchmarks.unified_unseen_hearts --output runs/unseen
    python -m benchmarks.unified_unseen_hearts --output runs/unseen --form "vector of 256"

Trains the bundle ``unified_implicit`` on the truth of one phantom cohort. Of the hearts of another one the labels of a
few structures, or all but a few slices, are taken away; ``fit.json`` searches the codes of what is left, and the hearts
are drawn whole. Dice of the structures that were given and of those that were not, against the whole truth, beside:

- ``mean code``: the heart of the mean of the trained codes, where every search starts, in the same box;
- ``mean labels``: the voxelwise mean of the training label maps in the same box, its thresholds calibrated likewise;
- ``nearest``: the training heart that agrees best with what is given, moved into the same box.

``--epochs`` and ``--fit_epochs`` bound the time; ``--form`` is one of :data:`unified_quality.FORMS`; any other ``--NAME
VALUE`` is a setting of ``train.json``; ``--quick`` lays ``smoke.json`` over it. Written to OUTPUT/unseen.md and
unseen.json; what is done is not done again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from jaxtyping import UInt8

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.case_list import label_maps
from custom.data.label_maps import read_label_map, write_label_map
from custom.metrics.csv_tables import markdown
from custom.near.field_checkpoint import load_checkpoint
from custom.phantoms.write_cohort import make_cohort
from custom.training.checkpoint_file import save_atomically
from custom.training.run_bundle import bundle_configs

from .mean_shape_baselines import DrawnHearts, boxes_of
from .unified_quality import CONFIGURED, FORMS
from .unified_runs import BUNDLE, Hearts, Run, bundle, calibrate, content_of, infer, once, shared, spread, train
from .unified_scores import Dices, mean_dices, mean_of

WAYS = {"fitted": "fitted code", "mean_code": "mean code", "mean_labels": "mean labels", "nearest": "nearest"}
CODES = "codes.table.weight"


@dataclass(frozen=True)
class Part:
    """What is left of a heart.

    Attributes:
        removed: structures whose labels are taken away.
        every: of all slices along ``axis`` one in so many is kept; 0 for all.
        axis: voxel axis.
    """

    removed: tuple[str, ...] = ()
    every: int = 0
    axis: int = 2

    def of(self, labels: UInt8[np.ndarray, "i j k"]) -> UInt8[np.ndarray, "i j k"]:
        """The labels that are left."""
        gone = [PUBLIC_CARDIAC_CT[name].index for name in self.removed]
        kept = np.where(np.isin(labels, gone), 0, labels).astype(np.uint8)
        if not self.every:
            return kept
        shown = np.zeros(labels.shape[self.axis], dtype=bool)
        shown[self.every // 2 :: self.every] = True
        return np.where(np.expand_dims(shown, tuple(a for a in range(3) if a != self.axis)), kept, 0).astype(np.uint8)

    @property
    def settings(self) -> dict[str, Any]:
        """Of the search."""
        return {"slices_axis": self.axis} if self.every else {}


PARTS: dict[str, Part] = {
    "whole": Part(),
    "2 removed: LAA PV": Part(("LAA", "PV")),
    "2 removed: RV PA": Part(("RV", "PA")),
    "4 removed: Aorta PA LAA Coronary": Part(("Aorta", "PA", "LAA", "Coronary")),
    "4 removed: LA RA LAA PV": Part(("LA", "RA", "LAA", "PV")),
    "one slice in six": Part(every=6),
}


@dataclass(frozen=True)
class Search:
    """One part of every unseen heart, to be completed by a trained run."""

    run: Run
    unseen: Path
    name: str
    epochs: int

    @property
    def part(self) -> Part:
        return PARTS[self.name]

    @cached_property
    def folder(self) -> Path:
        simple = self.name.replace(":", "").replace(" ", "_")
        asked = content_of([Path(path) for path in bundle_configs(BUNDLE, ["fit"])])
        return self.run.folder / f"{simple}_{self.epochs}_{asked[:6]}"


def given_parts(search: Search) -> Path:
    """Folder of what is left of each unseen heart, written once."""
    folder = search.folder / "given"
    for case, path in label_maps(search.unseen).items():
        target = folder / f"{case}.nii.gz"
        if not target.exists():
            heart = read_label_map(path)
            write_label_map(target, search.part.of(heart.labels), heart.affine)
    return folder


def fit(search: Search, given: Path) -> Path:
    """The checkpoint of the codes that were found."""
    run_dir = search.folder / "fit"

    def work() -> dict[str, Any]:
        where = {"checkpoint": search.run.best, "run_dir": run_dir, "dataset_dir": given}
        epochs = {"max_epochs": search.epochs, "val_interval": search.epochs, "picture_interval": search.epochs + 1}
        names = ["train", *search.run.overlays, "fit"]
        settings = {key: value for key, value in search.run.settings.items() if key not in epochs}
        bundle(search.run, "training", names, **settings, **search.part.settings, **where, **epochs)
        return {}

    once(search.folder / "fitted.json", work)
    return run_dir / "last.pt"


def with_mean_code(trained: Mapping[str, Any], fitted: Path) -> Path:
    """The same checkpoint with the mean of the trained codes for every case."""
    path, content = fitted.with_name("mean.pt"), load_checkpoint(fitted)
    mean = trained["model"][CODES].mean(dim=0, keepdim=True).expand_as(content["model"][CODES]).clone()
    save_atomically({**content, "model": {**content["model"], CODES: mean}}, path)
    return path


def draw_baselines(search: Search, trained: Mapping[str, Any], fitted: Path, given: Path) -> None:
    """Label maps of the mean labels and of the nearest heart."""
    learned = {case: read_label_map(path).labels for case, path in label_maps(search.run.hearts.labels).items()}
    content = load_checkpoint(fitted)
    axis = search.part.axis if search.part.every else None
    hearts = DrawnHearts(boxes_of(learned, trained), content, axis)
    for row, case in enumerate(content["cases"]):
        heart = read_label_map(given / f"{case}.nii.gz")
        write_label_map(search.folder / "mean_labels" / f"{case}.nii.gz", hearts.mean_labels(row), heart.affine)
        write_label_map(search.folder / "nearest" / f"{case}.nii.gz", hearts.nearest(row, heart.labels), heart.affine)


def completed(search: Search) -> dict[str, Any]:
    """Dice by way and structure, of one part of all unseen hearts."""

    def work() -> dict[str, Any]:
        torch.set_num_threads(1)
        given, trained = given_parts(search), load_checkpoint(search.run.best)
        fitted = fit(search, given)
        for way, checkpoint in (("fitted", fitted), ("mean_code", with_mean_code(trained, fitted))):
            place = {"maps_dir": search.folder / way, "checkpoint": checkpoint}
            bundle(search.run, "infer", ["inference"], thresholds=trained["thresholds"], **place, **shared(search.run))
        draw_baselines(search, trained, fitted, given)
        return {way: mean_dices(search.folder / way, search.unseen) for way in WAYS}

    return {"name": search.name, **once(search.folder / "scores.json", work)}


def table_of(results: Sequence[Mapping[str, Any]]) -> str:
    """Two lines per part, what was given and what was not; a column per way."""
    lines = []
    for one in results:
        removed = PARTS[one["name"]].removed
        given = [name for name in PUBLIC_CARDIAC_CT.names if name not in removed]
        for kind, names in (("given", given), ("removed", removed)):
            if names:
                lines.append([one["name"], kind, *(f"{mean_of(one[way], names):.3f}" for way in WAYS)])
    return markdown(["part", "structures", *WAYS.values()], lines)


def by_structure(results: Sequence[Mapping[str, Any]]) -> str:
    """Every structure of every part: fitted, and the mean labels; those that were removed in brackets."""
    header = ["part", "way", *PUBLIC_CARDIAC_CT.names]
    lines = []
    for one in results:
        removed = PARTS[one["name"]].removed
        for way, title in WAYS.items():
            dices: Dices = one[way]
            shown = [f"{dices.get(name, float('nan')):.3f}" for name in PUBLIC_CARDIAC_CT.names]
            pairs = zip(PUBLIC_CARDIAC_CT.names, shown, strict=True)
            lines.append([one["name"], title, *(f"({text})" if name in removed else text for name, text in pairs)])
    return markdown(header, lines)


def main(
    output: str,
    form: str = CONFIGURED,
    cases: int = 12,
    unseen: int = 4,
    size: int = 64,
    seed: int = 10,
    unseen_seed: int = 11,
    epochs: int = 120,
    fit_epochs: int = 60,
    parts: Sequence[str] = tuple(PARTS),
    quick: bool = False,
    workers: int = 1,
    **settings: Any,
) -> None:
    """Train, search, score, print and write the tables."""
    folder = Path(output)
    for number, count in ((seed, cases), (unseen_seed, unseen)):
        make_cohort(folder / f"cohort_{number}_{size}", count, size, number)
    labels = folder / f"cohort_{seed}_{size}" / "truth"
    length = {"max_epochs": epochs, "val_interval": max(1, epochs // 4), "picture_interval": epochs + 1}
    given = {**settings, **FORMS[form], **length}
    run = Run(form, folder, Hearts(labels, labels), given, ("smoke",) if quick else ())
    spent = train(run)
    calibrate(run, run.best)
    itself = mean_dices(infer(run, "maps", run.best), labels)
    tests = folder / f"cohort_{unseen_seed}_{size}" / "truth"
    results = spread(completed, [Search(run, tests, name, fit_epochs) for name in parts], workers)
    text = f"{cases} hearts learned ({form}): mean Dice {mean_of(itself, list(itself)):.3f} with their own label maps, "
    text += f"{spent['cpu_seconds']:.0f} CPU seconds. {unseen} unseen ones:\n\n{table_of(results)}\n"
    text += f"Structure by structure, removed ones in brackets:\n\n{by_structure(results)}"
    print(text)
    (folder / "unseen.md").write_text(text)
    (folder / "unseen.json").write_text(json.dumps({"learned": itself, "parts": results}, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
