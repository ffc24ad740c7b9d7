"""How well one field holds a whole cohort of hearts: against the label maps it learned, and against the truth::

    python -m benchmarks.unified_quality --output runs/unified                                # phantoms, repaired here
    python -m benchmarks.unified_quality --output runs/unified --repair OUT --truth TRUTH     # a repair's output
    python -m benchmarks.unified_quality --output runs/unified --fused MAPS --truth TRUTH     # without teachers
    python -m benchmarks.unified_quality --output runs/unified --repair OUT --truth TRUTH --forms all

Trains the bundle ``unified_implicit`` on the fused label maps, the fields of stage 1 beside it as teachers
(``--no_teachers`` leaves them out), calibrates, draws every case and prints a table by structure, with the bars met and
missed. ``--forms`` does so for several forms of the code, ``all`` or a list of names, and prints quality against size.
Any other ``--NAME VALUE`` is a setting of ``train.json``; ``--quick`` lays ``smoke.json`` over it. Written to
OUTPUT/quality.md and quality.json; what is done is not done again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fire

from custom.metrics.csv_tables import markdown
from custom.near.field_checkpoint import load_checkpoint
from custom.package.pack import run_pack

from .unified_runs import Hearts, Run, calibrate, hearts_of, infer, spread, train
from .unified_scores import BARS, LOSS, SMALL, Dices, below_bar, grouped, lost, mean_dices, mean_of

CONFIGURED = "as configured"

ONE_PART = {"fine_code_side": 0}
VECTOR = {"code_side": 0, "latent_size": 256, "trunk_channels": [64, 48, 32, 16], "code_learning_rate": 0.01}
GRID_16 = {"code_side": 16, "latent_size": 8, "trunk_channels": [16, 16]}
FINE = {"fine_latent_size": 1, "fine_trunk_channels": [8]}

FORMS: dict[str, dict[str, Any]] = {
    CONFIGURED: {},
    "vector of 256": {**ONE_PART, **VECTOR},
    "grid 16 x 8^3": {**ONE_PART, "code_side": 8, "latent_size": 16, "trunk_channels": [32, 32, 16, 16]},
    "grid 8 x 16^3": {**ONE_PART, **GRID_16, "trunk_channels": [32, 16, 16]},
    "grid 16 x 16^3": {**ONE_PART, **GRID_16, "latent_size": 16, "trunk_channels": [32, 16, 16]},
    "grid 8 x 24^3": {**ONE_PART, "code_side": 24, "latent_size": 8, "trunk_channels": [32, 16]},
    "grid 4 x 32^3": {**ONE_PART, "code_side": 32, "latent_size": 4, "trunk_channels": [32, 16]},
    "grid 8 x 32^3": {**ONE_PART, "code_side": 32, "latent_size": 8, "trunk_channels": [32, 16]},
    "grids 8 x 16^3 and 1 x 32^3": {**GRID_16, **FINE, "fine_code_side": 32},
    "grids 8 x 16^3 and 1 x 48^3": {**GRID_16, **FINE, "fine_code_side": 48},
    "grids 8 x 16^3 and 1 x 64^3": {**GRID_16, **FINE, "fine_code_side": 64},
    "vector of 256 and 1 x 64^3": {**VECTOR, **FINE, "fine_code_side": 64},
}
"""Settings on top of the configured ones. A side of 0 is a vector; a fine grid is a second part of the code."""


def sizes(run: Run) -> dict[str, float]:
    """Numbers a code, and the bytes of the package that ``corfield pack`` makes of the run: of the ``field``, of a
    ``code``, in all of a ``case``, and of its gzip ``label_map``."""
    packed = run_pack(run.best, run.folder / "package", run.hearts.labels, overwrite=True).sizes
    kinds = ("field", "code", "case", "label_map")
    codes = load_checkpoint(run.best)["model"]["codes.table.weight"]
    return {"numbers": codes[0].numel(), **{kind: packed[f"{kind}_bytes"] for kind in kinds}}


def measured(run: Run) -> dict[str, Any]:
    """One form, trained, calibrated, drawn and scored."""
    spent = train(run)
    thresholds = calibrate(run, run.best)
    maps = infer(run, "maps", run.best)
    hearts = run.hearts
    return {
        "name": run.name,
        "folder": str(run.folder),
        "learned": mean_dices(maps, hearts.labels),
        "truth": mean_dices(maps, hearts.truth),
        "thresholds": thresholds,
        "training": spent,
        "size": sizes(run),
    }


def by_structure(result: Mapping[str, Any], fused: Mapping[str, float]) -> str:
    """The table of one form, and its bars."""
    learned, truth = result["learned"], result["truth"]
    missed, worse = below_bar(learned), lost(truth, fused)
    lines = []
    for name, own in learned.items():
        gain = truth[name] - fused[name]
        verdict, kept = "missed" if name in missed else "met", "no" if name in worse else "yes"
        values = [own, BARS[name], truth[name], fused[name], gain]
        shown = [f"{value:.3f}" for value in values[:4]] + [f"{gain:+.3f}"]
        lines.append([name, *shown[:2], verdict, *shown[2:], kept])
    header = ["structure", "Dice with L_ref", "bar", "", "unified, truth", "fused, truth", "difference", "kept"]
    return markdown(header, lines) + f"\n{bars(learned, truth, fused)}\n{cost(result)}\n"


def bars(learned: Dices, truth: Dices, fused: Mapping[str, float]) -> str:
    """How many bars are met, and which are not."""
    missed, worse = below_bar(learned), lost(truth, fused)
    text = f"Bars met: {len(learned) - len(missed)} of {len(learned)}"
    text += f" (not {', '.join(missed)})" if missed else ""
    text += f". Within {LOSS:g} of the fused labels on the truth: {len(truth) - len(worse)} of {len(truth)}"
    return text + (f" (not {', '.join(worse)})" if worse else "") + "."


def cost(result: Mapping[str, Any]) -> str:
    """Sizes and seconds in words."""
    size, spent = result["size"], result["training"]
    more = f"; begun {spent['calls']} times, the last one's seconds" if spent["calls"] > 1 else ""
    kilobytes = {kind: size[kind] / 1000 for kind in ("code", "field", "case", "label_map")}
    return (
        f"{size['numbers']} numbers a case, {kilobytes['code']:.1f} kB; weights for all {kilobytes['field']:.0f} kB; "
        f"in all {kilobytes['case']:.1f} kB a case, {size['case'] / size['label_map']:.2f} times its gzip label map of "
        f"{kilobytes['label_map']:.1f} kB.\nTraining: {spent['cpu_seconds']:.0f} CPU seconds{more}."
    )


def against_size(results: Sequence[Mapping[str, Any]], fused: Dices) -> str:
    """One line per form, the smallest code first."""
    header = ["form", "numbers", "code kB", "weights kB", "in all of gzip", "CPU s"]
    header += [f"{name} L_ref" for name in (*SMALL, "rest")] + [f"{name} truth" for name in (*SMALL, "rest")]
    lines = []
    for one in sorted(results, key=lambda result: result["size"]["numbers"]):
        size = one["size"]
        cells = [str(size["numbers"]), f"{size['code'] / 1000:.1f}", f"{size['field'] / 1000:.0f}"]
        cells += [f"{size['case'] / size['label_map']:.2f}", f"{one['training']['cpu_seconds']:.0f}"]
        values = [f"{value:.3f}" for value in grouped(one["learned"]) + grouped(one["truth"])]
        met = len(one["learned"]) - len(below_bar(one["learned"]))
        kept = len(one["truth"]) - len(lost(one["truth"], fused))
        lines.append([one["name"], *cells, *values, str(met), str(kept)])
    lines.append(["fused labels", *[""] * 9, *(f"{value:.3f}" for value in grouped(fused)), "", ""])
    return markdown([*header, "bars met", "kept"], lines)


def chosen(forms: str | Sequence[str] | bool) -> list[str]:
    """Names of forms: none asked for is the configured one alone."""
    if not forms:
        return [CONFIGURED]
    names = list(FORMS) if forms is True or forms == "all" else [forms] if isinstance(forms, str) else list(forms)
    unknown = [name for name in names if name not in FORMS]
    if unknown:
        raise SystemExit(f"--forms: no form {unknown[0]!r}; there are {', '.join(FORMS)}")
    return names


def main(
    output: str,
    repair: str = "",
    fused: str = "",
    truth: str = "",
    no_teachers: bool = False,
    forms: str | Sequence[str] | bool = "",
    quick: bool = False,
    cases: int = 6,
    size: int = 96,
    seed: int = 0,
    workers: int = 1,
    **settings: Any,
) -> None:
    """Train, score, print and write the tables."""
    folder = Path(output)
    hearts: Hearts = hearts_of(folder, repair, fused, truth, no_teachers, cases, size, seed, workers)
    overlays = ("smoke",) if quick else ()
    make = partial(Run, output=folder, hearts=hearts, overlays=overlays)
    runs = [make(name, settings=settings | FORMS[name]) for name in chosen(forms)]
    of_fused = mean_dices(hearts.labels, hearts.truth)
    results = spread(measured, runs, workers)
    text = "\n".join(f"## {one['name']}\n\n{by_structure(one, of_fused)}" for one in results)
    if len(results) > 1:
        text = against_size(results, of_fused) + "\n" + text
    mean = mean_of(of_fused, list(of_fused))
    text += f"\nMean Dice of the fused labels against the truth: {mean:.3f}.\n"
    print(text)
    (folder / "quality.md").write_text(text)
    (folder / "quality.json").write_text(json.dumps({"forms": results, "fused": of_fused}, indent=2) + "\n")


if __name__ == "__main__":
    fire.Fire(main)
