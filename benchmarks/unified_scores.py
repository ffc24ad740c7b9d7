"""What the benchmarks of whole hearts score alike: mean Dice by structure, and the bars they are held to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.case_list import label_maps
from custom.data.label_maps import read_label_map
from custom.metrics.overlap import dice

SMALL = ("LAA", "Coronary", "PV")
"""The thin and the small ones; all others are spoken of together."""

BARS = {name: 0.97 for name in PUBLIC_CARDIAC_CT.names} | {"LAA": 0.93, "PV": 0.93, "Coronary": 0.88}
"""Dice against the label maps trained on."""

LOSS = 0.01
"""Of Dice against the truth, that the field may cost on any structure."""

Dices = dict[str, float]


def mean_dices(found: Path, wanted: Path) -> Dices:
    """Mean Dice of every structure over the cases of ``wanted`` where either map holds it; without one, left out."""
    scores: dict[str, list[float]] = {}
    for case, path in label_maps(wanted).items():
        one, other = read_label_map(found / f"{case}.nii.gz").labels, read_label_map(path).labels
        for structure in PUBLIC_CARDIAC_CT:
            here, there = one == structure.index, other == structure.index
            if here.any() or there.any():
                scores.setdefault(structure.name, []).append(dice(here, there))
    return {name: float(np.mean(scores[name])) for name in PUBLIC_CARDIAC_CT.names if name in scores}


def mean_of(dices: Mapping[str, float], names: Collection[str]) -> float:
    """The mean over those of ``names`` that are scored; NaN if none is."""
    own = [dices[name] for name in names if name in dices]
    return float(np.mean(own)) if own else float("nan")


def grouped(dices: Mapping[str, float]) -> list[float]:
    """LAA, Coronary, PV, and the mean of the others."""
    others = [name for name in dices if name not in SMALL]
    return [dices.get(name, float("nan")) for name in SMALL] + [mean_of(dices, others)]


def below_bar(dices: Mapping[str, float]) -> list[str]:
    """The structures below their bar."""
    return [name for name, value in dices.items() if value < BARS[name]]


def lost(ours: Mapping[str, float], fused: Mapping[str, float]) -> list[str]:
    """The structures that lose more than :data:`LOSS` against the truth."""
    return [name for name, value in ours.items() if value < fused.get(name, 0.0) - LOSS - 1e-9]
