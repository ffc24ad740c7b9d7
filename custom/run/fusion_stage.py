"""Stage 2: the masks of stage 1 become one heart per case, by the bundle ``near_fusion``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..output_record import may_overwrite, remove_tree
from ..training.run_bundle import bundle_configs, run_bundle
from .json_records import read_record, write_record
from .process_pool import ProcessPool
from .repair_request import RepairRequest
from .stage1_structures import escape_monai
from .task import Task, stop_if_full

BUNDLE = "near_fusion"


def fuse(settings: Mapping[str, Any]) -> None:
    """Run the bundle over the share of the cases that ``rank`` and ``world_size`` name; cases up to date are kept."""
    run_bundle(bundle_configs(BUNDLE, ["inference"]), "infer", **settings)


def fusion_settings(output: Path, with_masks: bool) -> dict[str, Any]:
    """Where the bundle finds what stage 1 has made, and writes what it makes of it."""
    return {
        "dataset_dir": escape_monai(str(output / "cases.json")),
        "masks_dir": escape_monai(str(output / "stage1" / "masks")) if with_masks else "",
        "output_dir": escape_monai(str(output)),
        "maps_dir": escape_monai(str(output / "fused")),
        "cpu_threads": 1,
    }


def stage2_settings(request: RepairRequest) -> dict[str, Any]:
    """What the bundle is given besides where things lie."""
    changes = {name: dict(fields) for name, fields in request.table_changes.items()}
    given = {"label_table": request.label_table, "strict_components": request.strict_components}
    return given | ({"table_changes": changes} if changes else {})


def fuse_all(
    output: Path, structures: Sequence[str], cases: Sequence[str], settings: Mapping[str, Any], crew: ProcessPool
) -> list[str]:
    """Fuse all cases of ``output/cases.json``; the faults of those that could not be, a line each.

    A share whose process is ended, or that fails of an error nobody has foreseen, is done case by case.

    Args:
        output: of the repair: ``fused``, ``ledger`` and ``ledger.csv`` are written.
        structures: whose masks of stage 1 are used; the others are taken from the label maps.
        cases: their names, in order.
        settings: of the bundle, on top of where things lie.
        crew: does it.

    Raises:
        InputError: a full disk.
    """
    masks = output / "stage1" / "masks"
    for folder in masks.iterdir() if masks.is_dir() else ():
        if folder.name not in structures:  # of an earlier run: the fusion would take it for this one's
            remove_tree(folder)
    common = {**fusion_settings(output, bool(structures)), **settings}
    world = min(crew.workers, len(cases))
    logs = [output / "logs" / f"fusion_{rank}.log" for rank in range(world)]
    tasks = [
        # Process 0 alone shows a bar, and the shares are alike: its progress stands for all.
        Task(
            f"fusion {rank}",
            fuse,
            {"settings": {**common, "rank": rank, "world_size": world}},
            1e-6 if rank else 1.0,
            logs[rank],
        )
        for rank in range(world)
    ]

    def split(task: Task) -> list[Task]:
        rank = tasks.index(task)
        return [
            Task(case, fuse, {"settings": {**common, "only_cases": escape_monai([case])}}, log=logs[rank])
            for case in cases[rank::world]
        ]

    done = list(crew.run(tasks, "stage 2: fusion", split if len(cases) > 1 else None))
    answers = [stop_if_full(answer, output) for answer in done]
    return [answer.fault for answer in answers if answer.fault]


def refuse_other_cases(output: Path, earlier: Iterable[str], cases: Sequence[str]) -> None:
    """Refuse an output folder that holds the results of other cases alone: they would all be deleted.

    Raises:
        InputError: naming some of them.
    """
    others = sorted(set(earlier))
    if others and not set(others) & set(cases) and not may_overwrite():
        found = f"the results of other cases ({', '.join(others[:3])})"
        remedy = "Choose another --output, or add --overwrite to delete them."
        raise InputError(output, found, "a new folder, or that of an earlier run on some of these", remedy)


def drop_outdated(output: Path, cases: Sequence[str]) -> list[str]:
    """Delete what an earlier run wrote for cases that are not among those of this one, and note whose outputs there
    are: a repaired map of a label map that is gone, or faulty by now, would pass for one of this run.

    Returns:
        The names of the cases whose results were deleted.

    Raises:
        InputError: as :func:`refuse_other_cases`.
    """
    record = output / "written.json"
    earlier = read_record(record).get("cases", ())
    refuse_other_cases(output, earlier, cases)
    gone = sorted(set(earlier) - set(cases))
    for case in gone:
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
            remove_tree(output / folder / f"{case}{suffix}")
    write_record(record, {"cases": list(cases)})
    return gone
