"""The whole repair beside the smoothers a user would reach for, against a known truth::

    python -m benchmarks.repair_quality --output runs/repair                  # damaged phantoms, 6 cases, 96^3
    python -m benchmarks.repair_quality --output runs/repair --hearts FOLDER  # a folder of label maps, damaged here
    python -m benchmarks.repair_quality --output runs/repair --undamaged      # the phantoms' truth itself: hands off

Runs ``corfield repair`` with its standard preset, scores the input, every peer and the result, and prints a table each
of Dice, HD95, ASSD, surface Dice and components, then what holds of each claim, whatever it says. Structures that the
truth of a case lacks are left out of the means. Written to OUTPUT/COHORT/table.md and quality.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import fire

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.case_list import find_cases
from custom.data.label_maps import read_label_map
from custom.metrics.case_scores import ScoreRow, format_comparison, score_labels, summarise, write_scores
from custom.metrics.repair_rows import RepairRow
from custom.phantoms.write_cohort import make_cohort
from custom.rules.ledger import read_ledger
from custom.run.repair_labels import run_repair
from custom.run.repair_request import RepairRequest

from .peer_scores import DAMAGED, TRUTH, read_pairs, score_peers
from .peer_smoothers import PEERS
from .stage1_quality import MEASURES, OURS, best_peer, damaged_copies, without_absent

LEDGER_MM3 = 50.0
"""On an undamaged heart, a change above this is one too many."""


def scored(repaired: Path, truth: Path) -> list[ScoreRow]:
    """Rows of all structures of the repaired maps of a folder of truths."""
    rows = []
    for case in find_cases(truth):
        reference = read_label_map(case.path)
        found = read_label_map(repaired / f"{case.name}.nii.gz")
        rows += score_labels(case.name, found.labels, reference.labels, reference.spacing_mm, PUBLIC_CARDIAC_CT)
    return rows


def against_peers(rows: dict[str, list[ScoreRow]]) -> str:
    """Per structure: input, best peer and ours in Dice, input and ours in HD95 and ASSD; and how many are won."""
    before, after = summarise(rows[DAMAGED]), summarise(rows[OURS])
    lines = [
        "| structure | Dice damaged | best peer | ours | peer | HD95 mm damaged | ours | ASSD mm damaged | ours |",
        "| - | -: | -: | -: | - | -: | -: | -: | -: |",
    ]
    won, better = [], []
    for name in (name for name in after if name != "mean"):
        one, other = before[name], after[name]
        peer, dice = best_peer(rows, name)
        if other["dice"] > dice:
            won.append(name)
        if other["dice"] > one["dice"] and all(other[key] < one[key] for key in ("hd95_mm", "assd_mm")):
            better.append(name)
        lines.append(
            f"| {name} | {one['dice']:.3f} | {dice:.3f} | {other['dice']:.3f} | {peer} "
            f"| {one['hd95_mm']:.2f} | {other['hd95_mm']:.2f} | {one['assd_mm']:.3f} | {other['assd_mm']:.3f} |"
        )
    count = len(after) - 1
    lines.append(f"\nAbove the best peer's Dice: {len(won)} of {count}{_but(after, won)}.")
    lines.append(
        f"Better than the damaged label in Dice, HD95 and ASSD: {len(better)} of {count}{_but(after, better)}."
    )
    return "\n".join(lines)


def _but(all_of: dict[str, dict[str, float | int]], these: Sequence[str]) -> str:
    others = [name for name in all_of if name != "mean" and name not in these]
    return f" (not {', '.join(others)})" if others else ""


def anatomy(rows: Sequence[RepairRow]) -> str:
    """What holds of components, contacts and volumes, case by case."""
    present = [row for row in rows if row.volume_reference_mm3]
    lines = []
    for side in ("before", "after"):
        right = [row for row in present if getattr(row, f"components_{side}") == row.components_reference]
        text = f"{len(right)} of {len(present)}"
        for name in ("LAA", "PV"):
            asked = [row for row in present if row.structure == name and getattr(row, f"contact_{side}") is not None]
            touching = sum(bool(getattr(row, f"contact_{side}")) for row in asked)
            text += f"; {name} in contact with LA: {touching} of {len(asked)}"
        lines.append(f"Components as in the truth {side}: {text}.")
    smallest = min(present, key=lambda row: row.volume_after_mm3 / (row.volume_reference_mm3 or 1.0))
    share = smallest.volume_after_mm3 / (smallest.volume_reference_mm3 or 1.0)
    lines.append(f"Least volume after, of the true volume: {share:.3f} ({smallest.structure} of {smallest.case}).")
    lost = max(present, key=lambda row: (row.reference_share_before or 0.0) - (row.reference_share_after or 0.0))
    loss = (lost.reference_share_before or 0.0) - (lost.reference_share_after or 0.0)
    lines.append(
        f"Most true volume that the input had and the repair lost: {loss:.3f} ({lost.structure}, {lost.case})."
    )
    return "\n".join(lines)


def hands_off(rows: Sequence[ScoreRow], ledger: Path) -> str:
    """What the repair of an undamaged cohort keeps, and what it enters in the ledger."""
    means = summarise(rows)
    dice = ", ".join(f"{name} {own['dice']:.3f}" for name, own in means.items())
    changes = [(case, change) for case, own in read_ledger(ledger).items() for change in own]
    large = [(case, change) for case, change in changes if change.volume_mm3 > LEDGER_MM3]
    text = f"Dice kept: {dice}.\nLedger entries over {LEDGER_MM3:g} mm3: {len(large)} of {len(changes)}."
    return text + "".join(
        f"\n- {case}: {change.rule}, {change.structure}, {change.volume_mm3:.0f} mm3, {change.why}"
        for case, change in large
    )


def main(
    output: str,
    hearts: str = "",
    undamaged: bool = False,
    cases: int = 6,
    size: int = 96,
    seed: int = 0,
    workers: int = 2,
) -> None:
    """Repair, score, print and write the tables."""
    name = "hearts" if hearts else f"undamaged_{seed}" if undamaged else f"phantoms_{seed}"
    folder = Path(output) / name
    if hearts:
        labels, truth = damaged_copies(Path(hearts), folder, seed)
    else:
        cohort = Path(output) / f"cohort_{seed}"
        make_cohort(cohort, cases, size, seed)
        truth = cohort / "truth"
        labels = truth if undamaged else cohort / "labels"
    done = run_repair(
        RepairRequest(labels=labels, output=folder / "out", reference=truth, workers=workers, seed=seed, device="cpu"),
        print,
    )
    ours = scored(folder / "out" / "repaired", truth)
    if undamaged:
        text = hands_off(ours, folder / "out" / "ledger.csv") + "\n"
        rows = {OURS: ours}
    else:
        rows, _ = score_peers(read_pairs(labels, truth, PUBLIC_CARDIAC_CT), PUBLIC_CARDIAC_CT, PEERS)
        rows = without_absent({name: own for name, own in (rows | {OURS: ours}).items() if name != TRUTH})
        text = "\n".join(format_comparison(rows, measure) for measure in MEASURES)
        text += f"\n{against_peers(rows)}\n\n{anatomy(done.rows)}\n"
    print(text)
    write_scores(rows[OURS], folder, "ours")
    (folder / "table.md").write_text(text)
    summary = {name: summarise(own) for name, own in rows.items()}
    (folder / "quality.json").write_text(json.dumps({"scores": summary, "seconds": done.seconds}, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
