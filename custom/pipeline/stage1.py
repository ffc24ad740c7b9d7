"""Stage 1: one field per structure, trained on all cases and asked for all masks; what is up to date is left alone."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from .. import __version__
from ..anatomy import Structure
from ..engines.workflows import run_bundle
from .checking import CheckedCase
from .presets import Preset, inference_settings, read_settings, stage1_configs, training_settings
from .records import digest, read_record, write_record
from .task import phase

State = Literal["done", "trained", "begun", "new"]

WITHOUT_EFFECT = {
    "bundle_root", "dataset_dir", "output_dir", "masks_dir", "checkpoint", "label_table", "structure", "device",
    "num_workers", "picture_interval", "resume", "save_seconds", "rank", "world_size", "cpu_threads", "only_cases",
    "teacher_dir", "maps_dir", "codes_on_disk",
}  # fmt: skip
"""Settings that change where and how fast a run works, and not what comes out."""


@dataclass(frozen=True)
class Job:
    """Training and inference of one structure.

    Attributes:
        structure: its name.
        folder: of stage 1: ``FOLDER/STRUCTURE/best.pt`` and ``FOLDER/masks/STRUCTURE/CASE.nii.gz`` are written.
        cases: names of all cases, in order.
        train_configs, train_settings: of the training run.
        infer_configs, infer_settings: of the inference run.
        train_key: changes when anything does that the field depends on: the structure's voxels in any case, the list of
            cases, a setting, the version.
        mask_key: likewise of the masks.
        calibrate_configs: of a run between the two that chooses thresholds; empty for none.
    """

    structure: str
    folder: Path
    cases: tuple[str, ...]
    train_configs: tuple[str, ...]
    train_settings: dict[str, Any]
    infer_configs: tuple[str, ...]
    infer_settings: dict[str, Any]
    train_key: str
    mask_key: str
    calibrate_configs: tuple[str, ...] = ()
    passing: ClassVar[tuple[str, ...]] = ("last.pt", "cubes")
    """What an unfinished run alone has use for."""

    @property
    def run_dir(self) -> Path:
        return self.folder / self.structure

    @property
    def masks_dir(self) -> Path:
        return self.folder / "masks" / self.structure

    @property
    def record(self) -> Path:
        return self.run_dir / "run.json"

    @property
    def merged(self) -> dict[str, Any]:
        """The settings of the training run, all of them."""
        return read_settings(self.train_configs) | self.train_settings


def make_job(
    structure: Structure,
    preset: Preset,
    cases: Sequence[CheckedCase],
    output: Path,
    common: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> Job:
    """What has to be run for one structure.

    Args:
        structure: which.
        preset: how thoroughly.
        cases: all of them, those without the structure too: they have an empty mask.
        output: folder of the whole repair, which holds ``cases.json``.
        common: settings of all runs: ``label_table``, ``seed``, ``device``.
        changes: settings to use instead of the preset's.
    """
    where = {"output_dir": verbatim(str(output / "stage1")), "dataset_dir": verbatim(str(output / "cases.json"))}
    train_configs, infer_configs = (stage1_configs(preset, structure, name) for name in ("train", "inference"))
    train = where | training_settings(preset, structure, {**changes, **common})
    infer = where | inference_settings(preset, structure, {**changes, **common})
    voxels = [(case.name, case.shape, case.structures.get(structure.name)) for case in cases]
    train_key = digest(__version__, structure.name, common["label_table"], voxels, telling(train_configs, train))
    mask_key = digest(train_key, telling(infer_configs, infer))
    names = tuple(case.name for case in cases)
    return Job(
        structure.name, output / "stage1", names, train_configs, train, infer_configs, infer, train_key, mask_key
    )


def telling(configs: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that what comes out depends on."""
    merged = {**read_settings(configs), **given}
    return {key: value for key, value in merged.items() if key not in WITHOUT_EFFECT}


def run_training(job: Job) -> None:
    """Train a field in this process; one that was begun goes on."""
    run_bundle(job.train_configs, "training", **job.train_settings)


def lacking(job: Job) -> list[str]:
    """Names of the cases whose mask is not there."""
    kept = [job.masks_dir] + ([job.masks_dir / "probability"] if job.infer_settings["save_probability"] else [])
    return [case for case in job.cases if not all((folder / f"{case}.nii.gz").is_file() for folder in kept)]


def verbatim(value: str | Sequence[str]) -> Any:
    """A path or some names as a setting that MONAI leaves as it is.

    It looks up a text that begins with an @ or %, runs one that begins with a $, and rewrites every #. Such a text is
    given as an expression for itself.
    """
    texts = [value] if isinstance(value, str) else list(value)
    if not any(text.startswith(("@", "%", "$")) or "#" in text for text in texts):
        return value if isinstance(value, str) else texts
    expression = ascii(value if isinstance(value, str) else texts)
    for sign in "@%#":
        expression = expression.replace(sign, f"\\x{ord(sign):02x}")
    return f"${expression}"


def state_of(job: Job) -> State:
    """How far a job is: masks all there, field trained, training begun, or nothing that could be used."""
    record = read_record(job.record)
    if record.get("train_key") != job.train_key:
        return "new"
    if record.get("mask_key") == job.mask_key and record.get("seconds") is not None and not lacking(job):
        return "done"
    if record.get("trained") and (job.run_dir / "best.pt").is_file():
        return "trained"
    return "begun" if (job.run_dir / "last.pt").is_file() else "new"


def do_job(job: Job) -> float:
    """Train and infer what is not up to date; seconds spent, those of runs that were killed not counted.

    Stopped at any moment and called again, it ends with the same files: what belongs to other cases or settings is
    deleted before the record says whose the folder is.
    """
    begun = time.monotonic()
    if state_of(job) == "done":
        return 0.0
    phase(0.0, 0.95)
    train_field(job)
    phase(0.95, 1.0)
    infer(job, job.cases)
    seconds = time.monotonic() - begun
    finish(job, seconds)
    return seconds


def train_field(job: Job, train: Callable[[Job], None] = run_training) -> None:
    """Train and calibrate a field that is not trained yet, and delete the masks that are out of date.

    Args:
        job: whose.
        train: how.
    """
    # It would recommend the overlay over which a preset lies.
    logging.getLogger("custom.engines.preflight").setLevel(logging.WARNING)
    state, trained = state_of(job), {"train_key": job.train_key, "trained": True}
    if state == "new":
        forget(job.run_dir)
        shutil.rmtree(job.masks_dir, ignore_errors=True)
        write_record(job.record, {"train_key": job.train_key})
    if state in ("new", "begun"):
        train(job)
        if job.calibrate_configs:
            threads = job.train_settings["cpu_threads"]
            run_bundle(job.calibrate_configs, "calibrate", **{**job.infer_settings, "cpu_threads": threads})
        write_record(job.record, trained)
    if read_record(job.record).get("mask_key") != job.mask_key:
        shutil.rmtree(job.masks_dir, ignore_errors=True)
        write_record(job.record, {**trained, "mask_key": job.mask_key})


def infer(job: Job, cases: Sequence[str]) -> None:
    """Write the masks of some of the cases, as far as they are not there."""
    missing = [case for case in lacking(job) if case in cases]
    if missing:
        run_bundle(job.infer_configs, "infer", **job.infer_settings, only_cases=verbatim(missing))


def finish(job: Job, seconds: float) -> None:
    """Note that a job is done, once its masks are all there, and delete what is large and of use to an unfinished run
    alone."""
    done = {"train_key": job.train_key, "trained": True, "mask_key": job.mask_key, "seconds": round(seconds, 1)}
    write_record(job.record, done)
    for rest in job.passing:
        discard(job.run_dir / rest)


def forget(run_dir: Path) -> None:
    """Delete a field that is out of date; the cut-out cubes stay, they know themselves whose they are."""
    for name in ("best.pt", "last.pt", "tensorboard"):
        discard(run_dir / name)


def discard(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
