"""Work that ends its own process, as the system does when memory is short; a worker imports it from here."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from custom.anatomy import StructureTable
from custom.run.check_label_map import check_files

GUILTY = "guilty"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(mark: Path) -> int:
    """Die, unless the mark of an earlier death is there; then the number of the process."""
    if not mark.exists():
        mark.touch()
        die()
    return os.getpid()


def check_or_die(paths: Sequence[str], label_table: StructureTable) -> Any:
    """Check label maps; the guilty one is the end of the process."""
    for path in paths:
        if GUILTY in path:
            die()
    return check_files(paths, label_table)


def fuse_or_die(settings: Mapping[str, Any]) -> None:
    """Leave a file for each case of a share of four, one of them guilty."""
    names = ["a", "b", GUILTY, "z"]
    chosen = settings.get("only_cases") or names[settings["rank"] :: settings["world_size"]]
    for case in chosen:
        if case == GUILTY:
            die()
        (Path(settings["output_dir"]) / f"{case}.done").touch()


def draw_or_die(job: Any, cases: Sequence[str]) -> list[str]:
    """Leave a file for each case but the guilty one; b is at fault."""
    for case in cases:
        if case == GUILTY:
            die()
        (job.output / f"{case}.done").touch()
    return ["b: no good"] if "b" in cases else []
