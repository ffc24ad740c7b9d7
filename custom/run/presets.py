"""How thorough a repair is: which settings each structure's field, and that of the whole heart, are trained with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..anatomy import Structure
from ..errors import InputError
from ..training.run_bundle import bundle_configs
from ..training.setting_rules import is_expression

BUNDLE, HEART_BUNDLE = "near_stage1", "unified_implicit"
VALIDATIONS = 4
"""In a shortened run. The last falls on the last epoch, when the learning rate is lowest and the field at its best."""

UNCLEANED = {"spare_fraction": 0.0, "reach_mm": 0.0, "bridge_mm": 0.0, "min_volume_mm3": 0.0}
"""Stage 1 removes nothing and bridges nothing: stage 2 does, and its ledger lists it."""


@dataclass(frozen=True)
class Preset:
    """How thoroughly fields are trained.

    Attributes:
        name: as on the command line.
        about: one clause for the plan and for help.
        overlays: whether a structure's own settings lie over ``train.json``; if not, ``train.json`` stands alone.
        share: of the epochs of a structure's own settings that is trained, above 0 and at most 1.
        least_epochs: trained whatever the share says, if the settings have as many: a grid of codes that has learned
            for fewer has no vessel in it yet.
        heart: settings of the whole heart's field to use instead of its bundle's own.
    """

    name: str
    about: str
    overlays: bool = True
    share: float = 1.0
    least_epochs: int = 0
    heart: Mapping[str, Any] = field(default_factory=dict)

    def epochs(self, own: int) -> int:
        """How many are trained of the settings' own."""
        return min(own, max(self.least_epochs, round(own * self.share)))


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "quick",
            "the structures' own settings, three quarters of their epochs: a first look",
            share=0.75,
            least_epochs=100,
            heart={"max_epochs": 200, "val_interval": 50, "picture_interval": 200},
        ),
        Preset("standard", "the structures' own settings, small fields that were measured to be best on a CPU"),
        Preset("full", "the published field with 323 features for every structure: for a GPU", overlays=False),
    )
}


def preset_named(name: str) -> Preset:
    """The preset of that name.

    Raises:
        InputError: there is none.
    """
    if name not in PRESETS:
        raise InputError("--preset", repr(name), f"one of {', '.join(PRESETS)}", "Choose one of them.")
    return PRESETS[name]


def overlay_of(structure: Structure) -> str:
    """The structure whose settings overlay serves: its own, or else that of one like it, thin or a chamber."""
    overlays = Path(bundle_configs(BUNDLE, ["train"])[0]).parent / "structures"
    if (overlays / f"{structure.name.lower()}.json").is_file():
        return structure.name
    return "Coronary" if structure.thin else "LA"


def stage1_configs(preset: Preset, structure: Structure, name: str) -> tuple[str, ...]:
    """Paths of the bundle's config of that name and of what lies over it."""
    return tuple(bundle_configs(BUNDLE, [name], overlay_of(structure) if preset.overlays else None))


def read_settings(configs: tuple[str, ...]) -> dict[str, Any]:
    """The plain top-level values of configs laid over each other: neither what is computed nor what is built."""
    merged: dict[str, Any] = {}
    for path in configs:
        merged |= json.loads(Path(path).read_text(encoding="utf-8"))
    return {key: value for key, value in merged.items() if not is_expression(value) and key != "imports"}


def training_settings(preset: Preset, structure: Structure, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is given to a training run on top of its configs.

    Args:
        preset: whose share of the epochs is taken.
        structure: which is trained.
        changes: settings to use instead of the preset's; a key that only inference has is left out.
    """
    own = read_settings(stage1_configs(preset, structure, "train"))
    given = _known(changes, own)
    if preset.share < 1:
        interval = max(1, round(preset.epochs(own["max_epochs"]) / VALIDATIONS))
        milestones = [max(1, round(preset.share * epoch)) for epoch in own["bias_milestones"]]
        shorter = {"max_epochs": interval * VALIDATIONS, "val_interval": interval, "bias_milestones": milestones}
        given = shorter | given
    return {"structure": structure.name, "cpu_threads": 1, **given}


def inference_settings(preset: Preset, structure: Structure, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is given to an inference run on top of its configs; a thin structure's probabilities are kept for bridging.

    The masks are the field's own, thresholded; see :data:`UNCLEANED`.

    Args: as in :func:`training_settings`; a key that only training has is left out.
    """
    given = _known(changes, read_settings(tuple(bundle_configs(BUNDLE, ["inference"]))))
    kept = {"save_probability": structure.thin}
    return {"structure": structure.name, "cpu_threads": 1, **UNCLEANED, **kept, **given}


def heart_configs(*names: str) -> tuple[str, ...]:
    """Paths of the configs of these names of the whole heart's bundle."""
    return tuple(bundle_configs(HEART_BUNDLE, names))


def heart_training_settings(preset: Preset, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is given to the training of the whole heart's field on top of its config.

    Args:
        preset: whose settings of the whole heart are taken.
        changes: settings to use instead; a key that only inference has is left out.
    """
    return {**preset.heart, **_known(changes, read_settings(heart_configs("train")))}


def heart_inference_settings(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is given to the drawing of whole hearts on top of its config; a key that only training has is left out."""
    return {
        "cpu_threads": 1,
        "save_probability": False,
        **_known(changes, read_settings(heart_configs("inference"))),
    }


def _known(changes: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the changes that a run has a setting for. Where it runs is one, though a config computes it."""
    return {key: value for key, value in changes.items() if key in own or key == "device"}
