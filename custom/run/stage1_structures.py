"""Stage 1: one field per structure, trained on all cases and asked for all masks; what is up to date is left alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from .. import __version__
from ..anatomy import Structure
from ..errors import InputError, in_one_line
from ..files import is_full_disk
from ..output_record import may_overwrite, remove_tree
from ..training.preflight import root_cause
from ..training.run_bundle import run_bundle
from .check_label_map import CheckedCase
from .json_records import digest, read_record, write_record
from .presets import Preset, inference_settings, read_settings, stage1_configs, training_settings
from .task import phase

State = Literal["done", "trained", "begun", "new"]

LOGGER = logging.getLogger(__name__)

IN_VAIN = 3
"""Cases that a run may fail for, none of all written, before it is taken for a fault of none of them."""

WITHOUT_EFFECT = {
    "bundle_root", "dataset_dir", "output_dir", "masks_dir", "checkpoint", "label_table", "structure", "device",
    "num_workers", "picture_interval", "resume", "save_seconds", "rank", "world_size", "cpu_threads", "only_cases",
    "teacher_dir", "maps_dir", "codes_on_disk", "overwrite", "input_paths", "output_folders", "output_files",
}  # fmt: skip
"""Settings that change where and how fast a run works, and not what comes out."""


@dataclass(frozen=True)
class StructureJob:
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
) -> StructureJob:
    """What has to be run for one structure.

    Args:
        structure: which.
        preset: how thoroughly.
        cases: all of them, those without the structure too: they have an empty mask.
        output: folder of the whole repair, which holds ``cases.json``.
        common: settings of all runs: ``label_table``, ``seed``, ``device``.
        changes: settings to use instead of the preset's.
    """
    where = {
        "output_dir": escape_monai(str(output / "stage1")),
        "dataset_dir": escape_monai(str(output / "cases.json")),
    }
    train_configs, infer_configs = (stage1_configs(preset, structure, name) for name in ("train", "inference"))
    train = where | training_settings(preset, structure, {**changes, **common})
    infer = where | inference_settings(preset, structure, {**changes, **common})
    voxels = [(case.name, case.shape, case.structures.get(structure.name)) for case in cases]
    train_key = digest(
        __version__, structure.name, common["label_table"], voxels, result_settings(train_configs, train)
    )
    mask_key = digest(train_key, result_settings(infer_configs, infer))
    names = tuple(case.name for case in cases)
    return StructureJob(
        structure.name, output / "stage1", names, train_configs, train, infer_configs, infer, train_key, mask_key
    )


def result_settings(configs: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that what comes out depends on."""
    merged = {**read_settings(configs), **given}
    return {key: value for key, value in merged.items() if key not in WITHOUT_EFFECT}


def run_training(job: StructureJob) -> None:
    """Train a field in this process; one that was begun goes on."""
    run_bundle(job.train_configs, "training", **job.train_settings)


def missing_cases(job: StructureJob) -> list[str]:
    """Names of the cases whose mask is not there."""
    kept = [job.masks_dir] + ([job.masks_dir / "probability"] if job.infer_settings["save_probability"] else [])
    return [case for case in job.cases if not all((folder / f"{case}.nii.gz").is_file() for folder in kept)]


def escape_monai(value: str | Sequence[str]) -> Any:
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


def state_of(job: StructureJob) -> State:
    """How far a job is: masks all there, field trained, training begun, or nothing that could be used."""
    record = read_record(job.record)
    if record.get("train_key") != job.train_key:
        return "new"
    if record.get("mask_key") == job.mask_key and record.get("seconds") is not None and not missing_cases(job):
        return "done"
    if record.get("trained") and (job.run_dir / "best.pt").is_file():
        return "trained"
    return "begun" if (job.run_dir / "last.pt").is_file() else "new"


def do_job(job: StructureJob) -> list[str]:
    """Train and infer what is not up to date; the faults of the cases that no mask could be written of, a line each.

    Stopped at any moment and called again, it ends with the same files: what belongs to other cases or settings is
    deleted before the record says whose the folder is.
    """
    begun = time.monotonic()
    if state_of(job) == "done":
        return []
    phase(0.0, 0.95)
    train_field(job)
    phase(0.95, 1.0)
    faults = infer(job, job.cases)
    finish(job, time.monotonic() - begun)
    return faults


def train_field(job: StructureJob, train: Callable[[StructureJob], None] = run_training) -> None:
    """Train and calibrate a field that is not trained yet, and delete the masks that are out of date.

    Args:
        job: whose.
        train: how.
    """
    # It would recommend the overlay over which a preset lies.
    logging.getLogger("custom.training.preflight").setLevel(logging.WARNING)
    state, trained = state_of(job), {"train_key": job.train_key, "trained": True}
    if state == "new":
        if not job.record.is_file() and not may_overwrite():
            refuse_strange_field(job)
        forget(job.run_dir)
        remove_tree(job.masks_dir)
        write_record(job.record, {"train_key": job.train_key})
    if state in ("new", "begun"):
        train(job)
        if job.calibrate_configs:
            threads = job.train_settings["cpu_threads"]
            run_bundle(job.calibrate_configs, "calibrate", **{**job.infer_settings, "cpu_threads": threads})
        write_record(job.record, trained)
    if read_record(job.record).get("mask_key") != job.mask_key:
        remove_tree(job.masks_dir)
        write_record(job.record, {**trained, "mask_key": job.mask_key})


def infer(job: StructureJob, cases: Sequence[str]) -> list[str]:
    """Write the masks of some of the cases, as far as they are not there; the faults of the others, a line each.

    The bundle takes them in their order and writes each whole: a run that fails has failed at the first one whose mask
    is not there. That case is left out, and the run goes on behind it.

    Raises:
        Exception: what the bundle raises, of a full disk, or if it fails for the first few cases and no case has a mask
            yet: the fault is no case's then.
    """
    faults = list[str]()
    left = [case for case in missing_cases(job) if case in cases]
    while left:
        try:
            run_bundle(job.infer_configs, "infer", **job.infer_settings, only_cases=escape_monai(left))
            return faults
        except Exception as error:
            wanting = missing_cases(job)
            left = [case for case in left if case in wanting]
            in_vain = len(wanting) == len(job.cases) and len(faults) + 1 >= min(IN_VAIN, len(wanting))
            if is_full_disk(error) or in_vain or not left:
                raise
            cause = root_cause(error)
            said = str(cause) if isinstance(cause, InputError) else in_one_line(error)
            LOGGER.error("%s is left out by %s", left[0], job.structure, exc_info=not isinstance(cause, InputError))
            faults.append(f"{left[0]}: {said}")
            left = left[1:]
    return faults


def finish(job: StructureJob, seconds: float) -> None:
    """Note that a job is done, once its masks are all there, and delete what is large and of use to an unfinished run
    alone."""
    done = {"train_key": job.train_key, "trained": True, "mask_key": job.mask_key, "seconds": round(seconds, 1)}
    write_record(job.record, done)
    for rest in job.passing:
        remove_tree(job.run_dir / rest)


def refuse_strange_field(job: StructureJob) -> None:
    """Refuse to train where somebody has trained a field without this record of it. Raises ``InputError``."""
    for name in ("best.pt", "last.pt"):
        if (job.run_dir / name).exists():
            remedy = "Move it away, choose another --output, or add --overwrite."
            raise InputError(job.run_dir / name, "a field that no repair has trained", "a place to train one", remedy)


def forget(run_dir: Path) -> None:
    """Delete a field that is out of date; the cut-out cubes stay, they know themselves whose they are."""
    for name in ("best.pt", "last.pt", "tensorboard"):
        remove_tree(run_dir / name)
