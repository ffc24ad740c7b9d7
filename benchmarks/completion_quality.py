"""How well hearts are completed, beside what has not learned to, and beside a U-Net that had the same time::

    python -m benchmarks.completion_quality --output runs/completion                           # all of it
    python -m benchmarks.completion_quality --output runs/completion --stages shapes,unet      # the rivals alone
    python -m benchmarks.completion_quality --output runs/completion --cohort dev --epochs 40  # to choose settings on
    python -m benchmarks.completion_quality --output runs/completion --real LABELS             # and on hearts outside

Makes phantoms (to learn from, to choose settings on, to test on: three seeds), trains ``heart_completion``
at ``--size`` in ``--phases`` of ``--epochs``, and completes hearts with one to five structures missing and by every
named scheme. Rivals get the same parts of the same hearts: the mean shape, the nearest training heart, a MONAI U-Net
trained for ``--budget_s`` CPU seconds, and a constant. Forms and settings of rivals are chosen on the second cohort.

The bar: above mean shape, nearest heart and U-Net in the mean Dice of what was completed (one to five missing, the mean
over the structures), and a mean Dice of at least 0.90 where nothing is missing and all is drawn anew. Any other
``--NAME VALUE`` is a setting of ``train.json``. Written to OUTPUT/quality_COHORT.md and .json; what is done is not done
again.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import fire

from custom.completion.complete_case import load_completer
from custom.run.check_clouds import run_check_clouds
from custom.run.json_records import digest, read_record, write_record
from custom.run.make_clouds import CloudRequest, run_clouds
from custom.run.presets import read_settings
from custom.run.stage1_structures import escape_monai
from custom.surfaces.surface_sampling import Counts
from custom.training.run_bundle import ROOT, bundle_configs

from .completion_baselines import Asked
from .completion_benchmark import DEV, TEST, TRAIN, Study
from .completion_scores import (
    Rows,
    completed_dice,
    means,
    pooled,
    reconstructed_dice,
    table_of,
    table_of_measures,
    table_of_schemes,
    table_of_structures,
    verdict,
)
from .partial_hearts import WHOLE, counts_names
from .unified_runs import content_of, once

BUNDLE, OURS = "heart_completion", "heart_completion"
STAGES = ("shapes", "unet", "network")


@dataclass(frozen=True)
class Trained:
    """The network, trained phase after phase.

    Attributes:
        study: whose hearts it learns from.
        size: overlay of the bundle, such as ``small``; empty for ``train.json`` as it is.
        phases: overlays, each begun with the best weights of the one before.
        epochs: of each phase; 0 for what the configs say.
        cloud_points: in the volume of a cloud, as many near surfaces, and half as many on them.
        workers: processes that make clouds.
        settings: of ``train.json``, on top.
        draws: parts of a cloud that the trained network is shown; its answers are averaged.
    """

    study: Study
    size: str
    phases: Sequence[str]
    epochs: Sequence[int]
    cloud_points: int = 20_000
    workers: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    draws: int = 4

    def names(self, phase: str) -> list[str]:
        """The configs of a phase."""
        return ["train", *([f"sizes/{self.size}"] if self.size else []), phase]

    @property
    def merged(self) -> dict[str, Any]:
        """All plain settings of the last phase."""
        configs = bundle_configs(BUNDLE, self.names(self.phases[-1]))
        return read_settings(tuple(configs)) | dict(self.settings)

    @cached_property
    def key(self) -> str:
        configs = [Path(path) for phase in self.phases for path in bundle_configs(BUNDLE, self.names(phase))]
        asked = [self.size, list(self.phases), list(self.epochs), self.cloud_points, dict(self.settings)]
        return digest(content_of(configs), asked, self.study.learned_from)[:8]

    @property
    def folder(self) -> Path:
        return self.study.output / "network" / f"{self.size or 'plain'}_{'_'.join(self.phases)}_{self.key}"

    def clouds(self) -> Path:
        """Folder of the clouds, which passed the gate; made once for all trainings."""
        name = f"clouds_{digest(self.study.learned_from, self.cloud_points)[:8]}"
        folder, labels, points = self.study.output / name, self.study.folder(TRAIN), self.cloud_points

        def work() -> dict[str, Any]:
            counts = Counts(surface=points // 2, volume=points, near=points)
            asked = CloudRequest(labels, folder, counts=counts, validation=0.0, test=0.0, workers=self.workers)
            before = _children_s() + _own_s()
            faults = [*run_clouds(asked).faults, *run_check_clouds(folder, labels, self.workers).faults]
            if faults:
                raise SystemExit("\n".join(faults))
            return {"cpu_seconds": _children_s() + _own_s() - before}

        once(folder.with_suffix(".json"), work)
        return folder

    def train(self) -> dict[str, Any]:
        """Train; CPU seconds by phase, of the whole process and its children, and how many times each was begun."""
        dataset, previous, spent = self.clouds() / "datalist.json", "", dict[str, Any]()
        for phase, epochs in zip(self.phases, self.epochs, strict=True):
            given = dict(self.settings) | {"dataset_dir": dataset, "output_dir": self.folder, "init_from": previous}
            given |= {"max_epochs": epochs} if epochs else {}
            spent[phase] = once(self.folder / f"{phase}.json", lambda one=phase, what=given: self._phase(one, what))
            previous = str(self.folder / phase / "best.pt")
        return spent

    def _phase(self, phase: str, given: Mapping[str, Any]) -> dict[str, Any]:
        calls = self.folder / f"{phase}_calls.json"
        write_record(calls, {"calls": read_record(calls).get("calls", 0) + 1})
        texts = {
            key: escape_monai(str(value)) if isinstance(value, Path) else str(value) for key, value in given.items()
        }
        configs = bundle_configs(BUNDLE, self.names(phase))
        command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(configs)]
        command += [part for key, value in ({"cpu_threads": "1"} | texts).items() for part in (f"--{key}", value)]
        before = _children_s()
        subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
        return {"cpu_seconds": _children_s() - before, **read_record(calls)}

    def rows(self, cohort: str, which: str = "best") -> Rows:
        """The scores of the last phase's weights."""
        path = self.folder / self.phases[-1] / f"{which}.pt"
        name, asked = f"{self.folder.name}_{which}_{self.draws}", {"key": self.key, "draws": self.draws}
        return self.study.rows(name, lambda: Asked(load_completer(path, draws=self.draws)), cohort, asked)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def tables(results: Mapping[str, Rows]) -> str:
    """All tables of a cohort of phantoms."""
    return "\n".join(
        [
            table_of(results),
            table_of_schemes(results),
            table_of_structures(results, [WHOLE], "given", "reconstructed"),
            table_of_structures(results, counts_names(), "completed", "completed"),
            table_of_measures(results),
        ]
    )


def outside_tables(results: Mapping[str, Rows]) -> str:
    """Reconstruction, and each structure completed from all others."""
    parts = sorted({name.split(":")[0] for rows in results.values() for name in rows} - {WHOLE})
    return "\n".join(
        [
            table_of_structures(results, [WHOLE], "given", "outside, reconstructed"),
            table_of_structures(results, parts, "completed", "outside, completed from all others"),
        ]
    )


def in_short(results: Mapping[str, Rows]) -> dict[str, Any]:
    """The figures of each competitor, for the record."""
    return {
        name: {
            "reconstruction": reconstructed_dice(rows),
            "completed": completed_dice(rows),
            "reconstructed": means(pooled(rows, [WHOLE], "given")),
            "by_part": {part: means(own) for part, own in rows.items()},
        }
        for name, rows in results.items()
    }


def listed(value: Any) -> list[Any]:
    """What the command line gives for a list: a tuple, one value, or a text with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _costs(study: Study, spent: Mapping[str, Any]) -> str:
    """CPU seconds of every training, in words."""
    text = "".join(
        f"- {OURS}, {phase}: {one['cpu_seconds']:.0f} CPU s"
        + (f" in the last of {one['calls']} calls" if one["calls"] > 1 else "")
        + "\n"
        for phase, one in spent.items()
    )
    total = sum(one["cpu_seconds"] for one in spent.values())
    if total > study.budget_s:
        text += f"- {OURS} took {total - study.budget_s:.0f} CPU s more than its {study.budget_s:g}: fewer epochs\n"
    return text + study.unet_cost()


def main(
    output: str,
    size: str = "small",
    phases: Any = "phase2",
    epochs: Any = 0,
    budget_s: float = 1800.0,
    cohort: str = TEST,
    stages: Any = STAGES,
    cases: Any = (200, 10, 20),
    seeds: Any = (1000, 2000, 3000),
    side: int = 96,
    unet_sides: Any = (48, 96),
    unet_rates: Any = (1e-3, 3e-3),
    unet_trial_s: float = 300.0,
    cloud_points: int = 20_000,
    checkpoint: str = "best",
    draws: int = 4,
    real: str = "",
    workers: int = 1,
    **settings: Any,
) -> None:
    """Train, complete, score, print and write the tables."""
    asked, order, overlays = listed(stages), (TRAIN, DEV, TEST), listed(phases)
    unknown = [stage for stage in asked if stage not in STAGES]
    if unknown:
        raise SystemExit(f"--stages: no stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    of_each = [dict(zip(order, map(int, listed(one)), strict=True)) for one in (cases, seeds)]
    study = Study(Path(output).resolve(), of_each[0], of_each[1], side, budget_s, str(real))
    lengths = [int(one) for one in listed(epochs)] if epochs else [0] * len(overlays)
    network = Trained(study, size, overlays, lengths, cloud_points, workers, settings, draws)
    spent = network.train() if "network" in asked else {}
    unets = []
    if "unet" in asked:
        unets = study.unet_runs(network.merged, listed(unet_sides), listed(unet_rates), unet_trial_s)

    def all_on(whose: str) -> dict[str, Rows]:
        own = {OURS: network.rows(whose, checkpoint)} if spent else {}
        return own | (study.rivals(whose, unets) if "shapes" in asked or unets else {})

    results = all_on(cohort)
    text = f"{study.cases[TRAIN]} hearts learned from, {study.cases[cohort]} of the cohort '{cohort}':\n\n"
    text += tables(results) + (f"\n{verdict(results, OURS)}" if spent else "")
    outside = all_on("real") if real else {}
    text += f"\n{outside_tables(outside)}" if real else ""
    text += f"\nCompleted Dice on the hearts for choosing:\n\n{study.choices()}\n{_costs(study, spent)}"
    print(text)
    record = {"results": in_short(results), "outside": in_short(outside), "training": spent, "chosen": study.chosen}
    (study.output / f"quality_{cohort}.md").write_text(text)
    (study.output / f"quality_{cohort}.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
