"""What each lever of the training brings to the small and the thin structures, same steps, same seeds::

    python -m benchmarks.unified_ablation --output runs/ablation                              # phantoms, repaired here
    python -m benchmarks.unified_ablation --output runs/ablation --repair OUT --truth TRUTH   # a repair's output

From plain cross entropy on points drawn anywhere, one lever after the other is added: the weights of the classes, the
points in every structure (as many points in all), the Dice term if ``train.json`` has one, the teachers, which bring
points of their own. At the end a softmax over background and structures in the place of the sigmoids, on the points of
the positive resampling, with its weights and without: nothing is calibrated there that could mend them. Every run is
short (``--steps``) and none is the bundle's own; ``--only`` takes some of them.

Two tables: with calibrated thresholds, the product's decision, and with all at one half; a softmax has none, its label
is the largest. Any other ``--NAME VALUE`` is a setting of ``train.json``; ``--quick`` lays ``smoke.json`` over it.
Written to OUTPUT/ablation.md and ablation.json; what is done is not done again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fire

from custom.data.case_list import label_maps
from custom.metrics.csv_tables import markdown

from .unified_runs import Hearts, Run, calibrate, hearts_of, infer, plain_settings, spread, train
from .unified_scores import SMALL, grouped, mean_dices

SOFTMAX = {"loss_function::heart::_target_": "benchmarks.softmax_ablation.SoftmaxLoss"}
LARGEST = {"decision::_target_": "benchmarks.softmax_ablation.largest_of"}
EACH = ("points_per_structure", "shell_points")
"""Settings that count points for each structure."""

LEAST_CAP = 10.0
"""Of the weights, if the configuration makes them all equal."""


def levers(configured: Mapping[str, Any], structures: int = 10) -> dict[str, dict[str, Any]]:
    """Settings by name, in the order of the ladder; ``teachers`` says whether they teach.

    Args:
        configured: the settings that the full ladder ends at.
        structures: heads.
    """
    each = {key: configured[key] for key in EACH if key in configured}
    counts = each | {key: configured[key] for key in ("band_points", "background_points")}
    every = sum(counts.values()) + (structures - 1) * sum(each.values())
    anywhere = {**dict.fromkeys(counts, 0), "background_points": every}
    cap = configured["weight_cap"] if configured["weight_cap"] > 1 else LEAST_CAP
    plain = {**anywhere, "weight_cap": 1.0, "dice_weight": 0.0, "teachers": False}
    ladder = {"plain cross entropy": plain, "+ class weights": {**plain, "weight_cap": cap}}
    resampled = {**plain, "weight_cap": cap, **counts}
    ladder["+ positive resampling"] = best = resampled
    if configured["dice_weight"]:
        ladder["+ Dice"] = best = {**best, "dice_weight": configured["dice_weight"]}
    ladder["+ distillation"] = {**best, "teachers": True}
    ladder["softmax, resampled"] = {**resampled, **SOFTMAX}
    ladder["softmax, resampled, no weights"] = {**resampled, **SOFTMAX, "weight_cap": 1.0}
    return ladder


def measured(run: Run) -> dict[str, Any]:
    """One run, scored with thresholds at one half, and calibrated unless it has none."""
    spent = train(run)
    softmax = SOFTMAX.items() <= run.settings.items()
    calibrated = {} if softmax else calibrate(run, run.last)
    halves = dict.fromkeys(calibrated, 0.5)
    even = infer(run, "even", run.last, **(LARGEST | {"stride": 1} if softmax else {"thresholds": halves}))
    decided = even if softmax else infer(run, "calibrated", run.last)
    scores = {
        way: {"learned": mean_dices(maps, run.hearts.labels), "truth": mean_dices(maps, run.hearts.truth)}
        for way, maps in (("calibrated", decided), ("even", even))
    }
    return {"name": run.name, "folder": str(run.folder), "training": spent, "thresholds": calibrated, **scores}


def table_of(results: Sequence[Mapping[str, Any]], way: str) -> str:
    """A line per run: Dice of the fine structures and the mean of the rest, against both."""
    names = (*SMALL, "rest")
    header = ["", *(f"{name} L_ref" for name in names), *(f"{name} truth" for name in names), "CPU s"]
    lines = []
    for one in results:
        values = grouped(one[way]["learned"]) + grouped(one[way]["truth"])
        lines.append([one["name"], *(f"{value:.3f}" for value in values), f"{one['training']['cpu_seconds']:.0f}"])
    return markdown(header, lines)


def runs_of(
    output: Path, hearts: Hearts, steps: int, overlays: tuple[str, ...], settings: Mapping[str, Any]
) -> list[Run]:
    """The ladder's runs, each of ``steps`` steps."""
    configured = plain_settings(overlays) | dict(settings)
    batches = -(-len(label_maps(hearts.labels)) // configured["batch_size"])
    epochs = max(1, round(steps / batches))
    length = {"max_epochs": epochs, "val_interval": epochs, "picture_interval": epochs + 1}
    runs = []
    for name, lever in levers(configured).items():
        taught = hearts if lever["teachers"] else replace(hearts, teachers="")
        given = {key: value for key, value in lever.items() if key != "teachers"}
        runs.append(Run(name, output, taught, {**settings, **length, **given}, overlays))
    return [run for run in runs if hearts.teachers or run.name != "+ distillation"]


def main(
    output: str,
    repair: str = "",
    fused: str = "",
    truth: str = "",
    steps: int = 80,
    only: Sequence[str] = (),
    quick: bool = False,
    cases: int = 6,
    size: int = 96,
    seed: int = 0,
    workers: int = 1,
    **settings: Any,
) -> None:
    """Train every run of the ladder, score, print and write the tables."""
    folder = Path(output)
    hearts = hearts_of(folder, repair, fused, truth, False, cases, size, seed, workers)
    every = runs_of(folder, hearts, steps, ("smoke",) if quick else (), settings)
    runs = [run for run in every if not only or run.name in only]
    results = spread(measured, runs, workers)
    text = f"{steps} steps. Calibrated thresholds:\n\n{table_of(results, 'calibrated')}"
    text += f"\nAll thresholds at one half:\n\n{table_of(results, 'even')}"
    print(text)
    (folder / "ablation.md").write_text(text)
    (folder / "ablation.json").write_text(json.dumps({"steps": steps, "runs": results}, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
