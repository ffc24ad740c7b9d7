"""What the settings of a bundle may be, checked before anything is built from them."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import InputError
from ..losses.occupancy import LOSSES


class Rule(NamedTuple):
    """What a setting may be: in words, and as a test of a value."""

    wanted: str
    holds: Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def whole(least: int) -> Rule:
    return Rule(f"a whole number of at least {least}", lambda value: _is_whole(value) and value >= least)


def number(least: float | int, most: float | int = float("inf")) -> Rule:
    upper = "" if most == float("inf") else f" and at most {most:g}"
    return Rule(f"a number of at least {least:g}{upper}", lambda value: _is_number(value) and least <= value <= most)


def positive() -> Rule:
    return Rule("a number above 0", lambda value: _is_number(value) and 0 < value < float("inf"))


def or_null(rule: Rule) -> Rule:
    return Rule(f"{rule.wanted}, or null", lambda value: value is None or rule.holds(value))


def each(rule: Rule, least: int = 0, most: float | int = float("inf")) -> Rule:
    """A list, every element of which obeys the rule."""
    many = {(0, float("inf")): "any number", (least, least): str(least)}.get((least, most), f"at least {least}")

    def holds(value: Any) -> bool:
        return isinstance(value, (list, tuple)) and least <= len(value) <= most and all(map(rule.holds, value))

    return Rule(f"a list of {many}, each {rule.wanted}", holds)


def _is_expression(value: Any) -> bool:
    """Whether it is a valid regular expression that is not empty."""
    try:
        return isinstance(value, str) and bool(value) and bool(re.compile(value))
    except re.error:
        return False


def _never_falls(value: Any) -> bool:
    return each(whole(1)).holds(value) and all(one <= other for one, other in pairwise(value))


def _is_there(value: Any) -> bool:
    """Whether torch can keep a number on the device; on ``meta`` it cannot."""
    if value is None or isinstance(value, bool):
        return False
    try:
        return torch.ones(1, device=value).item() == 1
    except (RuntimeError, AssertionError, TypeError, ValueError):
        return False


PATH = Rule("a path; a name of digits as ./7", lambda value: isinstance(value, (str, Path)))
FILLED = Rule("a path that is not empty; a name of digits as ./7", lambda value: PATH.holds(value) and value != "")
FLAG = Rule("true or false, on a command line True or False", lambda value: isinstance(value, bool))

TEXTS = Rule(
    "a list of names", lambda value: isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)
)

LARGEST = 2**63
"""Above every seed: random generators take 64 bits."""

REMEDY = "Correct it; docs/README.md of the bundle lists the settings."

RULES: dict[str, Rule] = {
    **dict.fromkeys(("dataset_dir", "masks_dir", "reference_dir", "checkpoint", "run_dir"), PATH),
    "output_dir": FILLED,
    "seed": Rule(f"a whole number from 0 and below {LARGEST}", lambda value: _is_whole(value) and 0 <= value < LARGEST),
    **dict.fromkeys(("overwrite", "amp", "resume", "save_probability", "strict_components"), FLAG),
    **dict.fromkeys(("points_per_case", "val_points", "latent_size", "max_epochs", "batch_size"), whole(1)),
    **dict.fromkeys(("accumulation_steps", "val_interval", "picture_interval", "stride", "world_size"), whole(1)),
    **dict.fromkeys(("margin", "code_side", "num_workers", "rank", "cpu_threads"), whole(0)),
    **dict.fromkeys(
        ("latent_weight", "save_seconds", "reach_mm", "bridge_mm", "min_volume_mm3", "along_mm"), number(0)
    ),
    **dict.fromkeys(("learning_rate", "code_learning_rate", "tolerance_mm"), positive()),
    **dict.fromkeys(("threshold", "spare_fraction"), number(0, 1)),
    **dict.fromkeys(("teacher_dir", "maps_dir"), PATH),
    **dict.fromkeys(("points_per_structure", "shell_points", "band_points", "background_points"), whole(0)),
    **dict.fromkeys(("teacher_points", "fine_code_side", "modes"), whole(0)),
    **dict.fromkeys(("teacher_pool", "fine_latent_size"), whole(1)),
    **dict.fromkeys(("dice_weight", "teacher_weight"), number(0)),
    **dict.fromkeys(("teacher_temperature",), positive()),
    "weight_cap": number(1),
    "missing_structures": Rule("empty or unknown", lambda value: value in ("empty", "unknown")),
    "unlabelled": TEXTS,
    "slices_axis": or_null(Rule("0, 1 or 2", lambda value: _is_whole(value) and 0 <= value <= 2)),
    "fallback": Rule("background or best", lambda value: value in ("background", "best")),
    "save_meshes": FLAG,
    "mesh_format": Rule("ply or stl", lambda value: value in ("ply", "stl")),
    "grid_from": PATH,
    **dict.fromkeys(("clouds_dir", "init_from", "source_dir", "confidence_dir"), PATH),
    "complete_only": TEXTS,
    **dict.fromkeys(("keep_given", "save_confidence", "save_distances"), FLAG),
    **dict.fromkeys(("decoder_feedforward", "decoder_residual", "normals"), FLAG),
    **dict.fromkeys(("width", "heads", "class_tokens", "latent_channels", "surface_points"), whole(1)),
    **dict.fromkeys(("volume_points", "near_points", "cloud_points"), whole(1)),
    **dict.fromkeys(("depth", "point_queries", "octaves", "surface_queries"), whole(0)),
    **dict.fromkeys(("warmup_epochs", "cache_cases"), whole(0)),
    **dict.fromkeys(("volume_weight", "near_weight", "surface_weight", "eikonal_weight"), number(0)),
    **dict.fromkeys(("side_weight", "weight_decay"), number(0)),
    **dict.fromkeys(("scheme_share", "subset_share", "eikonal_share", "inside_share"), number(0, 1)),
    **dict.fromkeys(("truncation_mm", "softness_mm", "clip_norm"), positive()),
    "scale_mm": number(0, 1e4),
    "val_share": number(0, 0.9),
    "rotation_deg": number(0, 45),
    "scale_share": number(0, 0.5),
    "shift_mm": number(0, 50),
    "hidden_counts": each(whole(0), least=2, most=2),
    **dict.fromkeys(("hidden_schemes", "shown_subsets"), TEXTS),
    "phase": Rule("a name for a folder", lambda value: isinstance(value, str) and value.replace("_", "").isalnum()),
    "hide": Rule(
        "a scheme, structures joined by +, how many, or nothing",
        lambda value: isinstance(value, str) or _is_whole(value) and value >= 0,
    ),
    "variant": Rule("channels, parts or placed", lambda value: value in ("channels", "parts", "placed")),
    "codes_on_disk": Rule(
        "true, false or auto, on a command line True or False", lambda value: isinstance(value, bool) or value == "auto"
    ),
    "loss": Rule(f"one of {', '.join(LOSSES)}", lambda value: value in LOSSES),
    "mask_from": Rule("field or label", lambda value: value in ("field", "label")),
    "resolution": whole(2),
    "band_radius": whole(1),
    "bias_ratios": each(number(0, 1), least=1),
    "bias_milestones": Rule("a list of epochs, none earlier than the one before", _never_falls),
    **dict.fromkeys(("trunk_channels", "fine_trunk_channels"), each(whole(1), least=1)),
    "mlp_widths": each(whole(1), least=4, most=4),
    "spacing_mm": or_null(number(0.05)),
    **dict.fromkeys(("codec_from", "base_from", "weights_dir"), PATH),
    **dict.fromkeys(("random_rotation", "crop", "train_conditioner"), FLAG),
    **dict.fromkeys(("phantom_cases", "least_pixels", "code_channels", "context_width", "fuser_width"), whole(1)),
    **dict.fromkeys(("image_size", "patch", "embed_width", "point_size", "point_window", "point_width"), whole(1)),
    **dict.fromkeys(("point_heads", "lora_rank", "val_draws", "steps"), whole(1)),
    **dict.fromkeys(
        ("codec_blocks", "codec_middle", "val_steps", "keep_epochs", "cache_codes", "cache_slices"), whole(0)
    ),
    **dict.fromkeys(("lora_alpha", "shape_weight", "time_deviation"), positive()),
    **dict.fromkeys(("kl_weight", "mask_weight", "sdf_weight", "guidance", "val_guidance"), number(0)),
    **dict.fromkeys(("unconditional_share", "decoded_loss_after"), number(0, 1)),
    "lora_dropout": number(0, 0.9),
    "lora_targets": Rule("a regular expression", _is_expression),
    "time_mean": number(-10, 10),
    "voxels": whole(8),
    "encoder_channels": each(whole(1), least=1),
    "embedder": Rule("patches or dino", lambda value: value in ("patches", "dino")),
    "stage": Rule("vae, base or lora", lambda value: value in ("vae", "base", "lora")),
    "split": Rule("training, validation or test", lambda value: value in ("training", "validation", "test")),
    "evaluation_dir": PATH,
    "subvoxel": FLAG,
    **dict.fromkeys(("draws", "eval_batch_size"), whole(1)),
    "tolerances_mm": each(positive(), least=1),
    "eval_axes": each(Rule("0, 1 or 2", lambda value: _is_whole(value) and 0 <= value <= 2), least=1),
    "slice_axis": Rule("0, 1 or 2", lambda value: _is_whole(value) and 0 <= value <= 2),
    "axes": each(Rule("0, 1 or 2", lambda value: _is_whole(value) and 0 <= value <= 2), least=1),
    "structures": Rule(
        "a list of names or indices",
        lambda value: isinstance(value, (list, tuple)) and all(isinstance(one, (str, int)) for one in value),
    ),
    "device": Rule("a device of this machine, such as cpu or cuda:0", _is_there),
}
"""By the setting's name. The names of a structure and of its table are checked by the tables."""

PATHS = {"bundle_root", *(key for key, rule in RULES.items() if rule in (PATH, FILLED))}
"""The settings that are paths."""


def is_expression(value: Any) -> bool:
    """Whether a config's value is still to be computed or looked up."""
    return isinstance(value, str) and value.startswith(("$", "@", "%")) or isinstance(value, dict)


def check_settings(config: dict[str, Any]) -> None:
    """Refuse a value that no run can use.

    Args:
        config: merged, overrides included; what is still to be computed is passed over.

    Raises:
        InputError: naming the setting, its value and what it may be.
    """
    given = {key: value for key, value in config.items() if not is_expression(value)}
    for key, rule in RULES.items():
        if key in given and not rule.holds(given[key]):
            raise InputError(f"--{key}", repr(given[key]), rule.wanted, REMEDY)
    ratios, milestones = given.get("bias_ratios"), given.get("bias_milestones")
    if ratios is not None and milestones is not None and len(ratios) != len(milestones) + 1:
        found, wanted = f"{len(ratios)} ratios and {len(milestones)} milestones", "one ratio more than milestones"
        remedy = f"Give {len(ratios) - 1} --bias_milestones, or {len(milestones) + 1} --bias_ratios."
        raise InputError("--bias_ratios", found, wanted, remedy)
    channels = given.get("trunk_channels", ())
    if given.get("code_side") == 0 and any(size % 8 for size in channels):
        wanted = "multiples of 8, the groups of its group norm"
        raise InputError("--trunk_channels", str(list(channels)), wanted, "Round them, or give a --code_side above 0.")
