"""The demonstration: a phantom cohort with known truth, damaged, repaired and scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..phantoms.write_cohort import make_cohort
from .repair_labels import RepairOutcome, run_repair
from .repair_request import RepairRequest


def run_demo(
    output: Path, cases: int, size: int, seed: int, workers: int, say: Callable[[str], None], **request: object
) -> RepairOutcome:
    """Make the cohort in ``OUTPUT/phantoms`` and repair it into ``OUTPUT``.

    Args:
        output: folder to write.
        cases, size, seed: of the cohort, see :func:`custom.phantoms.write_cohort.make_cohort`; the training has the
            seed too.
        workers: processes; 0 for as many as there are cores.
        say: prints the plan.
        request: fields of the request to set otherwise.

    Raises:
        InputError: as :func:`custom.run.repair_labels.run_repair`.
    """
    phantoms = output / "phantoms"
    make_cohort(phantoms, cases, size, seed)
    asked = {
        "labels": phantoms / "labels",
        "output": output,
        "reference": phantoms / "truth",
        "preset": "quick",
        "device": "cpu",
        "workers": workers,
        "seed": seed,
    }
    return run_repair(RepairRequest(**{**asked, **request}), say)  # type: ignore[arg-type]
