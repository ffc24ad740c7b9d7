"""Small runs of every command and bundle with fixed seeds on one thread, and which of their files are compared.

Each run is given an empty folder, and returns nothing: what it writes there is its result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from custom.cli.main import main
from custom.run.repair_labels import run_repair
from tests.bundles import completion_helpers, sam3d_helpers, unified_helpers
from tests.bundles.conftest import Bundle
from tests.custom.run.conftest import TINY_HEART, asked

SIZE = ("--cases", "2", "--size", "48")


@dataclass(frozen=True)
class Run:
    """A run and what is compared of it.

    Attributes:
        do: the run, given its folder.
        files: patterns of the files, relative to the folder.
    """

    do: Callable[[Path], None]
    files: tuple[str, ...]


def corfield(*words: str | Path) -> None:
    """A command in this process, on one thread."""
    torch.set_num_threads(1)
    main([str(word) for word in words])


def phantoms(folder: Path) -> None:
    corfield("phantoms", folder, *SIZE)


def repair(folder: Path) -> None:
    """Three stages of two structures, the rest from the label maps; packed, rendered and scored."""
    corfield("phantoms", folder / "cohort", *SIZE)
    labels, truth, out = folder / "cohort" / "labels", folder / "cohort" / "truth", folder / "out"
    heart = TINY_HEART | {"max_epochs": 80, "val_interval": 40}
    request = asked(labels, out, reference=truth, skip_unified=False, unified_overrides=heart)
    run_repair(request, lambda text: None)
    corfield("pack", out, folder / "package")
    corfield("render", folder / "package", "phantom_000", folder / "drawn.nii.gz")
    corfield("render", folder / "package", "phantom_001", folder / "fine.nii.gz", "--spacing_mm", "2")
    corfield("score", out / "repaired", truth, "--output", folder / "scores", "--workers", "1")


def stage1(folder: Path) -> None:
    """Training, inference, evaluation and the fit of a code to an unseen case, of the left atrium."""
    corfield("phantoms", folder / "cohort", *SIZE)
    corfield("phantoms", folder / "unseen", "--cases", "1", "--size", "48", "--seed", "7")
    bundle, out = Bundle(folder / "cohort"), folder / "out"
    bundle.train(out)
    bundle.infer(out)
    bundle.evaluate(out)
    checkpoint = str(out / "LA" / "best.pt")
    unseen = {"dataset_dir": str(folder / "unseen" / "labels"), "checkpoint": checkpoint}
    bundle.run("training", ["train", "smoke", "fit"], folder / "fit", **unseen, max_epochs=10, amp=False)


def unified(folder: Path) -> None:
    """Training, calibration, inference and evaluation of the whole heart's field."""
    corfield("phantoms", folder / "cohort", *SIZE)
    truth, out = folder / "cohort" / "truth", folder / "out"
    unified_helpers.train(truth, out, max_epochs=20, val_interval=10)
    unified_helpers.calibrate(truth, out)
    unified_helpers.infer(out)
    unified_helpers.evaluate(truth, out)


def completion(folder: Path) -> None:
    """Clouds, two phases of training, inference, and a completion of partial hearts."""
    corfield("phantoms", folder, "--cases", "4", "--size", "32")
    few = ("--points", "2000", "--near_points", "2000", "--surface_points", "1000", "--workers", "1")
    corfield("clouds", folder / "truth", folder / "clouds", *few)
    completion_helpers.train(folder, folder / "out", "phase1", clouds_dir=folder / "own_clouds")
    completion_helpers.train(folder, folder / "out", "phase2", clouds_dir=folder / "own_clouds")
    best = folder / "out" / "phase2" / "best.pt"
    partial = ("--workers", "1", "--device", "cpu", "--draws", "2", "--smooth_given")
    corfield("complete", folder / "labels", folder / "completed", best, *partial)


def slices(folder: Path) -> None:
    """CT-like scans of phantoms cut into slices."""
    corfield("phantoms", folder / "cohort", *SIZE, "--images")
    corfield("slices", folder / "cohort" / "scans", folder / "slices", "--workers", "1")


def one_slice(folder: Path) -> None:
    """The codec, the base and the adapters, trained one after the other; inference and evaluation."""
    cache, out = sam3d_helpers.make_cache(folder / "cache"), folder / "out"
    for overlay in (("vae",), ("base",), ()):
        sam3d_helpers.train(cache, out, *overlay, max_epochs=4, val_interval=2)
    sam3d_helpers.infer(cache, out)
    where = {"dataset_dir": cache, "output_dir": out, "steps": 3, "least_pixels": 2}
    structures = sam3d_helpers.SMALL["structures"]
    sam3d_helpers.run("evaluate", ["inference", "evaluate"], **where, structures=structures)


RUNS = {
    "phantoms": Run(phantoms, ("labels/*.nii.gz", "truth/*.nii.gz")),
    "repair": Run(
        repair,
        (
            *(
                "out/repaired/*.nii.gz",
                "out/fused/*.nii.gz",
                "out/unified/*.nii.gz",
                "out/ledger.csv",
                "out/metrics.csv",
            ),
            *("package/*.safetensors", "drawn.nii.gz", "fine.nii.gz", "scores/scores.csv", "scores/scores.json"),
        ),
    ),
    "stage1": Run(stage1, ("out/LA/*.pt", "out/masks/LA/*.nii.gz", "out/masks/LA/scores.*", "fit/LA/fit/*.pt")),
    "unified": Run(unified, ("out/heart/*.pt", "out/maps/*.nii.gz", "out/maps/scores.*")),
    "completion": Run(
        completion,
        (
            *("clouds/*.npz", "clouds/datalist.csv", "own_clouds/*.npz", "out/phase*/*.pt"),
            *("completed/completed/*.nii.gz", "completed/source/*.nii.gz", "completed/confidence/*.nii.gz"),
            "completed/metrics.csv",
        ),
    ),
    "slices": Run(slices, ("slices/**/*.npz", "slices/**/*.obj", "slices/datalist.csv")),
    "one_slice": Run(
        one_slice, ("out/*/*.pt", "out/**/*.nii.gz", "out/evaluation/meshes/*.obj", "out/evaluation/metrics.*")
    ),
}
