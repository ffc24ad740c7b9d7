"""Hearts from one slice: a LoRA-tuned flow beside the untuned one and beside answers that need no network::

    python -m benchmarks.sam3d_quality --output runs/sam3d                      # phantoms, all three stages trained
    python -m benchmarks.sam3d_quality --output runs/sam3d --seed 100 --split validation --lora_max_epochs 200
    python -m benchmarks.sam3d_quality --output runs/sam3d --quick              # minutes; says nothing about quality

Makes scans of phantom hearts and their slices, trains the bundle ``heart_sam3d_lora`` in its three stages (``vae``,
``base``, ``lora``) on the training patients, and asks about patients that none of them has seen: whole volumes, one
question per structure and axis. Prints and writes OUTPUT/quality.md and quality.json; the evaluation lies in
OUTPUT/run_*/evaluation_*. What is done is not done again.

``--split validation`` asks about the validation patients instead: settings are to be chosen there, not on the test.
``--vae_NAME``, ``--base_NAME`` and ``--lora_NAME`` are settings of one stage, ``--eval_NAME`` of the evaluation, and
any other ``--NAME`` is one of all stages; ``--sizes`` is a config of ``configs/sizes``, empty for those of
``train.json``. The base is trained on the four chambers as they lie and the adapters on all five structures
(:data:`RECIPE`). These are phantoms: nothing is said about patients.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fire
import torch

from custom.metrics.csv_tables import markdown
from custom.metrics.slice_evaluation import format_answers, read_answers
from custom.report.slice_evaluation_page import write_drawn_report
from custom.run.json_records import digest
from custom.sam3d.sliced_phantoms import make_sliced_phantoms
from custom.training.run_bundle import bundle_configs, run_bundle

from .unified_runs import content_of, once

BUNDLE = "heart_sam3d_lora"
STAGES = {"vae": ["train", "vae"], "base": ["train", "base"], "lora": ["train"]}
BARS = ("untuned_base", "mean_shape", "nearest_case")
"""What the tuned flow is to be above, in mean Dice over structures."""

CHAMBERS = ("heart_atrium_left", "heart_ventricle_left", "heart_atrium_right", "heart_ventricle_right")

RECIPE: dict[str, Any] = {
    "vae_max_epochs": 12,
    "vae_val_interval": 4,
    "vae_random_rotation": False,
    "base_structures": list(CHAMBERS),
    "base_random_rotation": False,
    "base_learning_rate": 0.002,
    "base_unconditional_share": 0.0,
    "base_max_epochs": 170,
    "base_val_interval": 17,
    "base_val_steps": 0,
    "lora_learning_rate": 0.004,
    "lora_unconditional_share": 0.0,
    "lora_max_epochs": 105,
    "lora_val_interval": 15,
    "lora_val_steps": 0,
    "eval_draws": 8,
    "eval_steps": 2,
}
"""What is set unless it is given: the base knows the four chambers, and the adapters are to learn the myocardium too, a
shape of another kind, without losing these. An answer is the mean of eight draws, with adapters and without."""

QUICK = {f"{stage}_{name}": 2 for stage in STAGES for name in ("max_epochs", "val_interval")}


def parted(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by what they are of: each stage, and ``eval``; those of none are of every stage, ``all``."""
    found: dict[str, dict[str, Any]] = {name: {} for name in (*STAGES, "eval", "all")}
    for key, value in settings.items():
        group, _, name = key.partition("_")
        # These two are called so in the config itself.
        if group in (*STAGES, "eval") and name and key not in ("eval_axes", "eval_batch_size"):
            found[group][name] = value
        else:
            found["eval" if group == "eval" else "all"][key] = value
    return found


def overlays(stage: str, sizes: str) -> list[str]:
    """Configs of a stage, that of the sizes among them."""
    first, *rest = STAGES[stage]
    return [first, f"sizes/{sizes}", *rest] if sizes else [first, *rest]


def timed(configs: list[str], run_id: str, **settings: Any) -> dict[str, float]:
    """One list of the bundle's configs, on one thread; CPU seconds."""
    torch.set_num_threads(1)
    begun = time.process_time()
    run_bundle(bundle_configs(BUNDLE, configs), run_id, **settings)
    return {"cpu_seconds": time.process_time() - begun}


def made(cache: Path, scans: Path, voxels: int, cases: int, seed: int) -> dict[str, float]:
    """The phantoms and their slices; CPU seconds."""
    begun = time.process_time()
    make_sliced_phantoms(cache, scans, voxels, cases, seed)
    return {"cpu_seconds": time.process_time() - begun}


def trained(run: Path, data: Path, sizes: str, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """All stages, each once; CPU seconds of each."""
    spent = {}
    for stage in STAGES:
        given = {"dataset_dir": str(data), "output_dir": str(run), "cpu_threads": 1, "device": "cpu"}
        given |= {**settings["all"], **settings[stage]}
        names = overlays(stage, sizes)
        spent[stage] = once(run / f"{stage}.done.json", lambda n=names, g=given: timed(n, "training", **g))
    return {stage: record["cpu_seconds"] for stage, record in spent.items()}


def evaluated(run: Path, data: Path, split: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """The content of ``metrics.json``, and the CPU seconds it took."""
    folder = run / ("evaluation" if split == "test" else f"evaluation_{split}")
    folder = folder.with_name(f"{folder.name}_{digest(dict(settings))[:6]}") if settings else folder
    given = {"dataset_dir": str(data), "output_dir": str(run), "evaluation_dir": str(folder), "split": split}
    given |= {"cpu_threads": 1, "device": "cpu", **settings}
    pictures = given.pop("pictures", 12)
    record = once(folder / "done.json", lambda: timed(["inference", "evaluate"], "evaluate", **given))
    write_drawn_report(folder, data, pictures)
    return read_answers(folder / "metrics.json"), record["cpu_seconds"]


def bars(content: Mapping[str, Any]) -> str:
    """Which baselines the first method is above in mean Dice, and in how many patients, in words."""
    first, own = next(iter(content["overall"].items()))
    lines = []
    for name in (one for one in content["overall"] if one not in (first, "codec_ceiling")):
        other, against = content["overall"][name], content["against"][name]
        verdict = "above" if own["dice"] > other["dice"] else "NOT above"
        needed = "" if name in BARS else " (no bar)"
        lines.append(
            f"- {first} {own['dice']:.3f} is {verdict} {name} {other['dice']:.3f}{needed}: {against['dice_gain']:+.3f} "
            f"a patient, better in {against['better_in']} of {against['patients']} patients"
        )
    met = [name for name in BARS if own["dice"] > content["overall"][name]["dice"]]
    return "\n".join(lines) + f"\n\nBars met: {len(met)} of {len(BARS)}."


def report(content: Mapping[str, Any], spent: Mapping[str, float], cases: int) -> str:
    """What is printed and kept."""
    told = content["settings"]
    head = (
        f"{cases} phantoms, {told['training_cases']} for training, {told['patients']} patients of the {told['split']} "
        f"split, {content['overall']['lora']['asked']} questions, voxels of {told['spacing_mm']:g} mm.\n"
        f"Adapters: {told['adapter_parameters']} of {told['flow_parameters']} parameters of the flow "
        f"({100 * told['adapter_share']:.2f} %).\n"
    )
    seconds = markdown(["CPU seconds", *spent, "all"], [["", *map(_whole, [*spent.values(), sum(spent.values())])]])
    banner = f"{content['banner']}\n\n" if content["banner"] else ""
    return f"{banner}{head}\n{format_answers(content)}\n{bars(content)}\n\n{seconds}"


def _whole(value: float) -> str:
    return f"{value:.0f}"


def main(
    output: str,
    cases: int = 300,
    voxels: int = 32,
    seed: int = 7,
    split: str = "test",
    sizes: str = "tiny",
    quick: bool = False,
    **settings: Any,
) -> None:
    """Make, train, ask, print and write."""
    folder, sizes = Path(output), "tiny" if quick else sizes
    voxels = 16 if sizes == "tiny" else voxels
    cache, scans = folder / f"slices_{voxels}_{cases}_{seed}", folder / f"scans_{voxels}_{seed}"
    data = once(cache.with_suffix(".done.json"), lambda: made(cache, scans, voxels, cases, seed))
    of = parted(RECIPE | (QUICK if quick else {}) | settings)
    configs = bundle_configs(BUNDLE, ["train", "vae", "base", *([f"sizes/{sizes}"] if sizes else [])])
    key = digest({name: of[name] for name in of if name != "eval"}, content_of([Path(path) for path in configs]))
    run = folder / f"run_{re.sub('[^a-z0-9]', '', cache.name)}_{key[:8]}"
    spent = {"data": data["cpu_seconds"], **trained(run, cache, sizes, of)}
    content, spent["evaluation"] = evaluated(run, cache, split, of["eval"])
    text = report(content, spent, cases)
    print(text)
    kept = {
        "run": run.name,
        "split": split,
        "spent": spent,
        **{name: content[name] for name in content if name != "rows"},
    }
    stem = "quality" if split == "test" else f"quality_{split}"
    (folder / f"{stem}.md").write_text(text)
    (folder / f"{stem}.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
