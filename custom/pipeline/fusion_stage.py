"""Stage 2: the masks of stage 1 become one heart per case, by the bundle ``near_fusion``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..engines.workflows import bundle_configs, run_bundle
from .crew import Crew
from .records import read_record, write_record
from .request import Request
from .stage1 import discard, verbatim
from .task import Task, stop_if_full

BUNDLE = "near_fusion"


def fuse(settings: Mapping[str, Any]) -> None:
    """Run the bundle over the share of the cases that ``rank`` and ``world_size`` name; cases up to date are kept."""
    run_bundle(bundle_configs(BUNDLE, ["inference"]), "infer", **settings)


def fusion_settings(output: Path, with_masks: bool) -> dict[str, Any]:
    """Where the bundle finds what stage 1 has made, and writes what it makes of it."""
    return {
        "dataset_dir": verbatim(str(output / "cases.json")),
        "masks_dir": verbatim(str(output / "stage1" / "masks")) if with_masks else "",
        "output_dir": verbatim(str(output)),
        "maps_dir": verbatim(str(output / "fused")),
        "cpu_threads": 1,
    }


def stage2_settings(request: Request) -> dict[str, Any]:
    """What the bundle is given besides where things lie."""
    changes = {name: dict(fields) for name, fields in request.table_changes.items()}
    given = {"label_table": request.label_table, "strict_components": request.strict_components}
    return given | ({"table_changes": changes} if changes else {})


def fuse_all(output: Path, structures: Sequence[str], cases: int, settings: Mapping[str, Any], crew: Crew) -> list[str]:
    """Fuse all cases of ``output/cases.json``; the faults of those that could not be, a line each.

    Args:
        output: of the repair: ``fused``, ``ledger`` and ``ledger.csv`` are written.
        structures: whose masks of stage 1 are used; the others are taken from the label maps.
        cases: how many there are.
        settings: of the bundle, on top of where things lie.
        crew: does it.

    Raises:
        InputError: a full disk.
    """
    masks = output / "stage1" / "masks"
    for folder in masks.iterdir() if masks.is_dir() else ():
        if folder.name not in structures:  # of an earlier run: the fusion would take it for this one's
            discard(folder)
    common = {**fusion_settings(output, bool(structures)), **settings}
    world = min(crew.workers, cases)
    log = output / "logs"
    tasks = [
        # Process 0 alone shows a bar, and the shares are alike: its progress stands for all.
        Task(
            f"fusion {rank}",
            fuse,
            {"settings": {**common, "rank": rank, "world_size": world}},
            1e-6 if rank else 1.0,
            log / f"fusion_{rank}.log",
        )
        for rank in range(world)
    ]
    answers = [stop_if_full(answer, output) for answer in list(crew.run(tasks, "stage 2: fusion"))]
    return [answer.fault for answer in answers if answer.fault]


def drop_outdated(output: Path, cases: Sequence[str]) -> None:
    """Delete what an earlier run wrote for cases that are not among those of this one, and note whose outputs there
    are: a repaired map of a label map that is gone, or faulty by now, would pass for one of this run."""
    record = output / "written.json"
    for case in set(read_record(record).get("cases", ())) - set(cases):
        for folder, suffix in (
            ("repaired", ".nii.gz"),
            ("fused", ".nii.gz"),
            ("unified", ".nii.gz"),
            ("ledger", ".csv"),
            ("unified_run/maps", ".nii.gz"),
            ("unified_run/ledger", ".csv"),
            ("unified_run/stamps", ".json"),
            ("stamps", ".json"),
            ("measures", ".json"),
            ("slicer", ".seg.nrrd"),
        ):
            discard(output / folder / f"{case}{suffix}")
    write_record(record, {"cases": list(cases)})
