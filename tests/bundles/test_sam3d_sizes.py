"""The networks of heart_sam3d_lora have the sizes that its README gives, and the adapters their places."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.models.lora import SHAPE_ATTENTION
from custom.models.sam3d.network_sizes import FULL
from custom.sam3d.shape_model import ShapeModel, build_parts
from tests.bundles.sam3d_helpers import BUNDLE

CONFIGS = BUNDLE / "configs"
METADATA = CONFIGS / "metadata.json"
SCHEMA = Path(__file__).resolve().parents[1] / "data" / "meta_schema_20240725.json"
SCHEMA_MD5 = "76e1add273836515d0bbb3bc71962474"
README = (BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")


def config(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return content


def sizes_of(*names: str) -> dict[str, Any]:
    merged = {key: value for name in ("train", *names) for key, value in config(name).items()}
    return {key: merged[key] for key in config("train")["sizes"]}


def test_the_adapters_are_on_all_attention_of_the_shape() -> None:
    assert config("train")["lora_targets"] == SHAPE_ATTENTION
    assert (config("train")["lora_rank"], config("train")["lora_alpha"]) == (8, 16)


def test_the_full_size_is_the_published_one() -> None:
    sizes = sizes_of("sizes/full")
    with torch.device("meta"):
        parts = build_parts(sizes | {"embedder": "patches", "image_size": 28})
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
    assert (counts["encoder"], counts["decoder"], counts["flow"]) == (59_298_192, 73_671_201, 556_856_328)
    assert sizes["voxels"] // parts["encoder"].factor == FULL["flow"]["grid"]


@pytest.mark.parametrize(("size", "millions"), [("sizes/tiny", 1.09), ("train", 7.9)])
def test_the_sizes_have_as_many_parameters_as_the_readme_says(size: str, millions: float) -> None:
    model = ShapeModel(sizes_of(size))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == pytest.approx(1e6 * millions, rel=0.02)
    assert f"| `{size}.json` | {model.voxels} | {model.grid}³ x {model.sizes['code_channels']} | {millions}" in README


def test_the_readme_names_the_structures_and_configs_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|$", README, flags=re.MULTILINE)
    assert [(int(index), name) for index, name in rows] == [(one.index, one.name) for one in TOTALSEGMENTATOR_HEART]
    named = set(re.findall(r"bundles/heart_sam3d_lora/configs/([\w/]+)\.json", README))
    assert named >= {"train", "smoke", "vae", "base", "inference", "evaluate", "multi_gpu_train", "sizes/full"}
    assert [name for name in sorted(named) if not (CONFIGS / f"{name}.json").is_file()] == []
