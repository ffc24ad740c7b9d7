"""Runs of the bundle unified_implicit for the benchmarks: each named by all that goes into it, and done once.

Settings are those of the bundle's configs and what a benchmark, or the user by ``--NAME VALUE``, gives on top. A run
begun with other settings, label maps, teachers or configs lies in another folder; one that was killed goes on.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

from custom.data.case_list import label_maps
from custom.errors import InputError
from custom.near.field_checkpoint import load_checkpoint
from custom.phantoms.write_cohort import make_cohort
from custom.run.json_records import digest, read_record, write_record
from custom.run.presets import read_settings
from custom.run.repair_labels import run_repair
from custom.run.repair_request import RepairRequest
from custom.run.stage1_structures import escape_monai
from custom.training.run_bundle import bundle_configs, run_bundle

BUNDLE = "unified_implicit"
SHARED = ("amp", "cpu_threads", "device", "label_table")
"""Settings of training that inference has too."""


@dataclass(frozen=True)
class Hearts:
    """What is trained on and scored against.

    Attributes:
        labels: folder of the label maps to learn, L_ref.
        truth: folder of the true ones, of the same names.
        teachers: folder with ``STRUCTURE/best.pt``; empty for none.
    """

    labels: Path
    truth: Path
    teachers: str = ""


def hearts_of(
    output: Path,
    repair: str = "",
    fused: str = "",
    truth: str = "",
    no_teachers: bool = False,
    cases: int = 6,
    size: int = 96,
    seed: int = 0,
    workers: int = 2,
) -> Hearts:
    """The cohort asked for: a repair's output, a folder of fused maps, or phantoms made and repaired below ``output``.

    Raises:
        InputError: a repair or fused maps without their truth.
    """
    if (repair or fused) and not truth:
        raise InputError("--truth", "none", "the true label maps beside --repair or --fused", "Give their folder.")
    if fused:
        return Hearts(Path(fused), Path(truth), "" if no_teachers or not repair else str(Path(repair) / "stage1"))
    done = Path(repair) if repair else output / f"repair_{seed}"
    if not repair:
        cohort = output / f"cohort_{seed}"
        make_cohort(cohort, cases, size, seed)
        truth = str(cohort / "truth")
        asked = RepairRequest(
            labels=cohort / "labels", output=done, workers=workers, seed=seed, device="cpu", skip_unified=True
        )
        run_repair(asked, logging.getLogger(__name__).info)
    maps = done / "fused" if (done / "fused").is_dir() else done / "repaired"
    return Hearts(maps, Path(truth), "" if no_teachers else str(done / "stage1"))


def plain_settings(overlays: Sequence[str] = ()) -> dict[str, Any]:
    """The settings of ``train.json``, and of configs laid over it."""
    return read_settings(tuple(bundle_configs(BUNDLE, ["train", *overlays])))


def content_of(paths: Sequence[Path]) -> str:
    """Changes with the name or a byte of any file."""
    made = hashlib.blake2b(digest_size=8)
    for path in paths:
        made.update(path.name.encode() + hashlib.blake2b(path.read_bytes()).digest())
    return made.hexdigest()


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        name: for people.
        output: folder of the benchmark.
        hearts: what is learned.
        settings: on top of the configs.
        overlays: configs of the bundle laid over ``train.json``.
    """

    name: str
    output: Path
    hearts: Hearts
    settings: Mapping[str, Any] = field(default_factory=dict)
    overlays: tuple[str, ...] = ()

    @cached_property
    def folder(self) -> Path:
        configs = [Path(path) for path in bundle_configs(BUNDLE, ["train", "inference", "calibrate", *self.overlays])]
        teachers = sorted(Path(self.hearts.teachers).glob("*/best.pt")) if self.hearts.teachers else []
        parts = [content_of(files) for files in (configs, list(label_maps(self.hearts.labels).values()), teachers)]
        simple = re.sub(r"\W+", "_", self.name).strip("_")
        return self.output / f"{simple}_{digest(parts, dict(self.settings))[:8]}"

    @property
    def best(self) -> Path:
        return self.folder / "heart" / "best.pt"

    @property
    def last(self) -> Path:
        return self.folder / "heart" / "last.pt"

    @property
    def merged(self) -> dict[str, Any]:
        """All plain settings."""
        return plain_settings(self.overlays) | dict(self.settings)


def once(record: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` has answered, now or in an earlier call; it is asked again until it has answered."""
    kept = read_record(record)
    if not kept:
        kept = work() | {"done": True}
        write_record(record, kept)
    return kept


def bundle(run: Run, run_id: str, names: Sequence[str], **settings: Any) -> ConfigWorkflow:
    """One list of the bundle's configs, in this process, on one thread; the workflow, its parts still at hand."""
    torch.set_num_threads(1)
    given = {"output_dir": str(run.folder), "cpu_threads": 1} | settings
    texts = {key: escape_monai(str(value)) if isinstance(value, Path) else value for key, value in given.items()}
    return run_bundle(bundle_configs(BUNDLE, names), run_id, **texts)


def train(run: Run) -> dict[str, Any]:
    """Train; ``cpu_seconds`` of training, ``cutting_cpu_seconds`` of the boxes and the teachers' answers, stored once
    for all runs on the same hearts; and ``calls``: above 1 after a kill, whose seconds are lost."""

    def work() -> dict[str, Any]:
        calls = run.folder / "calls.json"
        write_record(calls, {"calls": read_record(calls).get("calls", 0) + 1})
        boxes = {"train::dataset::cache_dir": str(run.output / "boxes")}
        given = dict(run.settings) | boxes | {"dataset_dir": run.hearts.labels, "teacher_dir": run.hearts.teachers}
        names, begun = ["train", *run.overlays], time.process_time()
        bundle(run, "check", names, **given).parser.get_parsed_content("train::dataset")
        cut, begun = time.process_time() - begun, time.process_time()
        bundle(run, "training", names, **given)
        return {"cpu_seconds": time.process_time() - begun, "cutting_cpu_seconds": cut, **read_record(calls)}

    return once(run.folder / "trained.json", work)


def shared(run: Run) -> dict[str, Any]:
    """The settings of a run that inference takes too."""
    return {key: run.settings[key] for key in SHARED if key in run.settings}


def calibrate(run: Run, checkpoint: Path) -> dict[str, float]:
    """Choose the thresholds of a checkpoint on the label maps trained on; they are in it, and handed back."""

    def work() -> dict[str, Any]:
        given = {"checkpoint": checkpoint, "dataset_dir": run.hearts.labels}
        bundle(run, "calibrate", ["inference", "calibrate"], **shared(run), **given)
        return {"thresholds": load_checkpoint(checkpoint)["thresholds"]}

    return dict(once(run.folder / f"calibrated_{checkpoint.stem}.json", work)["thresholds"])


def infer(run: Run, maps: str, checkpoint: Path, **settings: Any) -> Path:
    """Draw all cases of a checkpoint; the folder of the label maps."""
    folder = run.folder / maps

    def work() -> dict[str, Any]:
        bundle(run, "infer", ["inference"], checkpoint=checkpoint, maps_dir=folder, **shared(run), **settings)
        return {}

    once(folder / "drawn.json", work)
    return folder


def spread(work: Callable[..., Any], items: Sequence[Any], workers: int) -> list[Any]:
    """``work`` of every item, in as many processes; in this one if it is one."""
    if workers <= 1:
        return [work(item) for item in items]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(work, items))
