"""What of a damaged coronary tree can be mended at all, and by what::

    python -m benchmarks.coronary_upper_bound --output runs/coronary_limits          # 6 phantoms, 96^3

The same hearts are damaged four times, with the same seeds: in full, without cuts, without wandering outlines, without
both. Each copy's coronaries are cleaned of crumbs, bridged, and smoothed along their course, and scored against the
truth. A copy without cuts shows what perfect bridging would give; one without wandering shows what a perfect memory of
the vessel's place would. Mean Dice over the cases, printed and written to OUTPUT/table.md.
"""

from __future__ import annotations

from pathlib import Path

import fire
import numpy as np

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.case_list import find_cases
from custom.data.label_maps import read_label_map
from custom.metrics.overlap import dice
from custom.phantoms.damage import Defects
from custom.phantoms.write_cohort import make_cohort
from custom.volumes.components import clean
from custom.volumes.vessel_bridges import bridge
from custom.volumes.vessel_smoothing import smooth_along

CORONARY = PUBLIC_CARDIAC_CT["Coronary"]
COPIES = {
    "in full": Defects(),
    "without cuts": Defects(cuts=0.0),
    "without wandering": Defects(boundary=0.0),
    "without both": Defects(cuts=0.0, boundary=0.0),
}
ALONG_MM = (1.5, 3.0, 5.0)


def steps(damaged: np.ndarray, spacing_mm: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """The mask after each step, by the step's name."""
    cleaned, _ = clean(damaged, CORONARY.components, reach_mm=CORONARY.bridge_mm, spacing_mm=spacing_mm)
    bridged, _ = bridge(cleaned, CORONARY.components, CORONARY.bridge_mm, spacing_mm)
    masks = {"damaged": damaged, "crumbs off": cleaned, "bridged": bridged}
    return masks | {f"smoothed {mm:g} mm along": smooth_along(bridged, spacing_mm, mm) for mm in ALONG_MM}


def main(output: str, cases: int = 6, size: int = 96, seed: int = 0) -> None:
    """Damage, mend, score, print and write the table."""
    folder = Path(output)
    means: dict[str, dict[str, float]] = {}
    for name, defects in COPIES.items():
        cohort = folder / name.replace(" ", "_")
        make_cohort(cohort, cases, size, seed, defects)
        found: dict[str, list[float]] = {}
        for case in find_cases(cohort / "truth"):
            truth, damaged = read_label_map(case.path), read_label_map(cohort / "labels" / case.path.name)
            reference = truth.labels == CORONARY.index
            for step, mask in steps(damaged.labels == CORONARY.index, truth.spacing_mm).items():
                found.setdefault(step, []).append(dice(mask, reference))
        means[name] = {step: float(np.mean(values)) for step, values in found.items()}
    columns = list(next(iter(means.values())))
    lines = ["| damage | " + " | ".join(columns) + " |", "| - " + "| -: " * len(columns) + "|"]
    lines += [f"| {name} | " + " | ".join(f"{own[step]:.3f}" for step in columns) + " |" for name, own in means.items()]
    text = "\n".join(lines) + "\n"
    print(text)
    (folder / "table.md").write_text(text)


if __name__ == "__main__":
    fire.Fire(main)
