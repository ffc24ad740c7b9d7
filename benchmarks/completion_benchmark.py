"""The hearts of the benchmark of completion, and those that compete with the network, each chosen on hearts of its own.

Everything is done once: a stage whose result lies there, made with the same settings, is not done again, and a training
that was broken off goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from custom.phantoms.write_cohort import make_cohort
from custom.run.json_records import digest

from .completion_baselines import Drawn, Labels, MeanShapes, NearestHeart, indifferent
from .completion_scores import Completes, Rows, completed_dice, scored
from .completion_unet import Training, UNetPreference, UNetRun
from .partial_hearts import Canvas, Heart, Part, canvas_of, hearts_in, parts_but_one, parts_of
from .unified_runs import once

TRAIN, DEV, TEST = "train", "dev", "test"
NEAREST, CONSTANT = "nearest heart", "constant"


@dataclass(frozen=True)
class Study:
    """Where, on how many hearts, and for how long.

    Attributes:
        output: folder of the benchmark.
        cases: hearts of each cohort: to learn from, to choose settings on, to test on.
        seeds: of each cohort.
        size: voxels along each axis.
        budget_s: CPU seconds of each training.
        real: folder of other label maps to test on; none if empty.
    """

    output: Path
    cases: Mapping[str, int]
    seeds: Mapping[str, int]
    size: int = 96
    budget_s: float = 1800.0
    real: str = ""
    chosen: dict[str, dict[str, float]] = field(default_factory=dict)
    """Mean completed Dice on the hearts for choosing, by rival and form."""

    def folder(self, cohort: str) -> Path:
        """Of the true label maps of a cohort, made if they are not there."""
        place = self.output / f"{cohort}_{self.seeds[cohort]}_{self.size}"
        make_cohort(place, self.cases[cohort], self.size, self.seeds[cohort])
        return place / "truth"

    def hearts(self, cohort: str) -> list[Heart]:
        """The hearts of a cohort, or of the folder ``real``."""
        if cohort == "real":
            return hearts_in(Path(self.real))
        return hearts_in(self.folder(cohort))[: self.cases[cohort]]

    @cached_property
    def training(self) -> list[Labels]:
        return [heart.labels for heart in self.hearts(TRAIN)]

    @cached_property
    def canvas(self) -> Canvas:
        return canvas_of(self.hearts(TRAIN)[:2])

    @cached_property
    def learned_from(self) -> list[int]:
        """What everything learned depends on."""
        return [self.cases[TRAIN], self.seeds[TRAIN], self.size]

    def rows(self, name: str, make: Callable[[], Completes], cohort: str, asked: Mapping[str, Any]) -> Rows:
        """The scores of a competitor on a cohort."""
        parts: Callable[[Heart, int], Iterable[Part]] = parts_but_one if cohort == "real" else parts_of
        whose = [self.real] if cohort == "real" else [self.cases[cohort], self.seeds[cohort], self.size]
        own = {**asked, "learned_from": self.learned_from, "hearts": whose}
        simple = "".join(letter if letter.isalnum() else "_" for letter in name)
        return scored(self.output / "scores" / f"{simple}_{cohort}.json", make, self.hearts(cohort), parts, own)

    def rivals(self, cohort: str, unets: Sequence[UNetRun] = ()) -> dict[str, Rows]:
        """Scores by name of all that compete with the network; the U-Net only if any is asked for."""
        found = self._mean_shape(cohort)
        nearest = self.rows(NEAREST, lambda: Drawn(NearestHeart(self.training), self.canvas), cohort, {})
        found |= {NEAREST: nearest}
        found |= self._unet(cohort, unets) if unets else {}
        return found | {CONSTANT: self.rows(CONSTANT, lambda: Drawn(indifferent, self.canvas), cohort, {})}

    @cached_property
    def _shapes(self) -> MeanShapes:
        path = self.output / f"mean_shapes_{digest(self.learned_from)[:8]}.npz"
        if not path.exists():
            MeanShapes.of(self.training, self.canvas.step_mm).save(path)
        return MeanShapes.load(path)

    def _mean_shape(self, cohort: str) -> dict[str, Rows]:
        """The form of the mean shape that is best on the hearts for choosing."""
        forms = {name: Drawn(liked, self.canvas) for name, liked in self._shapes.preferences().items()}
        on_dev = {name: completed_dice(self.rows(name, lambda one=form: one, DEV, {})) for name, form in forms.items()}
        self.chosen["mean shape"] = on_dev
        best = max(on_dev, key=lambda name: on_dev[name])
        return {f"mean shape ({best})": self.rows(best, lambda: forms[best], cohort, {})}

    def unet_runs(
        self, bundle: Mapping[str, Any], sides: Sequence[int], rates: Sequence[float], trial_s: float
    ) -> list[UNetRun]:
        """For each side a run of the whole time, its learning rate the best of some short runs on the hearts for
        choosing; a single one is not tried."""
        runs = []
        for side in sides:
            if len(rates) == 1:
                runs.append(UNetRun(side, rates[0], self.budget_s, bundle))
                continue
            trials = [UNetRun(side, rate, trial_s, bundle) for rate in rates]
            on_dev = {trial.learning_rate: completed_dice(self._unet_rows(trial, DEV)) for trial in trials}
            named = {f"side {side}, learning rate {rate:g}": value for rate, value in on_dev.items()}
            self.chosen[f"U-Net, {trial_s:g} CPU s"] = self.chosen.get(f"U-Net, {trial_s:g} CPU s", {}) | named
            best = max(on_dev, key=lambda rate: on_dev[rate])
            runs.append(UNetRun(side, best, self.budget_s, bundle))
        return runs

    def _unet(self, cohort: str, runs: Sequence[UNetRun]) -> dict[str, Rows]:
        """The side that is best on the hearts for choosing."""
        best = runs[0]
        if len(runs) > 1:
            on_dev = {run.side: completed_dice(self._unet_rows(run, DEV)) for run in runs}
            self.chosen[f"U-Net, {self.budget_s:g} CPU s"] = {f"side {side}": value for side, value in on_dev.items()}
            best = max(runs, key=lambda run: on_dev[run.side])
        return {f"U-Net ({best.side}^3)": self._unet_rows(best, cohort)}

    def _unet_rows(self, run: UNetRun, cohort: str) -> Rows:
        asked = run.record()
        key = digest(asked, self.learned_from)[:8]
        name = f"unet_{run.side}_{run.learning_rate:g}_{run.budget_s:g}_{key}"
        path = self.output / "unet" / f"{name}.pt"

        def trained() -> Completes:
            once(path.with_suffix(".json"), lambda: Training(run, self.training, self.canvas, path).go())
            return Drawn(UNetPreference(run, path, self.canvas), self.canvas)

        return self.rows(name, trained, cohort, asked)

    def choices(self) -> str:
        """What was chosen among, and by which figures."""
        lines = [
            f"- {rival}: " + "; ".join(f"{form} {value:.3f}" for form, value in forms.items())
            for rival, forms in self.chosen.items()
        ]
        return "\n".join(lines) + "\n"

    def unet_cost(self) -> str:
        """CPU seconds and steps of every training of a U-Net."""
        records = sorted((self.output / "unet").glob("unet_*.json"))
        found = [(path.stem, json.loads(path.read_text())) for path in records]
        return "".join(f"- {name}: {one['cpu_seconds']:.0f} CPU s, {one['steps']} steps\n" for name, one in found)
